"""The language of texts: told where it is certain, and nothing said elsewhere; what does not suit it is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metapt_explore.clusters.names import keywords
from metapt_explore.clusters.topics import bag_of_words
from metapt_explore.config import load_study
from metapt_explore.datacheck.check import check_file, check_language
from metapt_explore.study.language_fit import misfits
from metapt_explore.texts.language import LANGUAGES, guess_language, stop_words

GERMAN = [
    "Die Rechnung für März ist falsch, bitte prüfen.",
    "Das Paket kam am Montag beschädigt an.",
    "Passwort vergessen",
    "Ich kann mich nicht anmelden.",
    "Wann kommt die Lieferung?",
    "Der Betrag wurde doppelt abgebucht.",
    "Login geht nicht",
    "Bitte stornieren Sie die Bestellung.",
    "Wo ist meine Gutschrift?",
    "Der Bote hat das Paket nicht gebracht.",
]
FRENCH = [
    "La facture de mars est fausse.",
    "Le colis n'est pas arrivé et la boîte était abîmée.",
    "Mot de passe oublié",
    "Je ne peux pas me connecter.",
    "Où est le colis que j'ai commandé ?",
    "Le montant a été débité deux fois.",
    "Qu'est-ce qui se passe avec la livraison ?",
    "Je voudrais annuler ma commande.",
    "Le livreur n'est jamais venu.",
]
CHINESE = [
    "这个茶壶非常好",
    "但是很快就坏了",
    "客服态度很差",
    "物流很快",
    "质量不错，下次还会买",
    "房间很干净",
    "味道一般",
    "价格太贵了",
]
ENGLISH = ["My parcel has not arrived yet.", "I forgot my password", "The invoice for March is wrong.", "login fails"]


@pytest.mark.parametrize(
    ("texts", "name"), [(GERMAN, "German"), (FRENCH, "French"), (CHINESE, "Chinese"), (ENGLISH, "English")]
)
def test_a_language_is_told(texts: list[str], name: str) -> None:
    language = guess_language(texts * 5)
    assert language is not None and language.name == name and language.share > 0.9
    with_noise = [f"{text} https://example.org/{n} w{n} @ann &amp;" for n, text in enumerate(texts * 5)]
    assert guess_language(with_noise) is not None


@pytest.mark.parametrize(
    "texts",
    [
        [],
        GERMAN[:3],  # too few
        ["ja", "nein", "gut"] * 100,  # too short
        ["iPhone 12 Pro", "Bosch GSR 18V-55", "Canon EOS R6", "DJI Mavic 2", "Sony WH-1000XM4"] * 20,  # no words
        (GERMAN + FRENCH) * 5,  # two languages
        ["12.5", "http://example.org", "@ann #now", ""] * 50,
    ],
)
def test_nothing_is_said_where_it_is_not_certain(texts: list[str]) -> None:
    assert guess_language(texts) is None


def test_stop_words_are_of_the_language_with_what_an_apostrophe_leaves() -> None:
    assert {"und", "die", "der", "nicht"} <= stop_words("de") and "paket" not in stop_words("de")
    assert {"est", "qu", "les"} <= stop_words("fr") and "colis" not in stop_words("fr")
    assert {"ja": "Japanese", "de": "German"}.items() <= LANGUAGES.items() and not stop_words("no such")


@pytest.mark.parametrize(
    ("texts", "topic"), [(GERMAN, {"paket", "rechnung"}), (FRENCH, {"colis", "facture"})], ids=["German", "French"]
)
def test_clusters_are_not_named_by_function_words(texts: list[str], topic: set[str]) -> None:
    """Even of few texts, where no word can be told to be everywhere."""
    few = texts * 2
    labels = np.array([any(word in text.lower() for word in ("paket", "colis")) for text in few], dtype=int)
    found = keywords(few, labels, top=20)
    words = {word for of_cluster in found.values() for word in of_cluster}
    assert topic <= words and not words & (stop_words("de") | stop_words("fr"))
    assert not set(bag_of_words(few)[1]) & (stop_words("de") | stop_words("fr")), "topics of lda neither"


def test_what_is_english_in_a_study_of_other_texts_is_named() -> None:
    said = misfits("German", model="smollm2-135m", encoder="minilm", tasks=["trec", "mine.yaml"])
    for part in ("texts look German", "(smollm2-135m)", "(minilm)", "task (trec)", "multilingual", "a task in German"):
        assert part in said
    assert "mine" not in said, "of a task of the user's own nothing is known"
    multilingual = {"model": "Qwen/Qwen2.5-0.5B", "encoder": "/models/paraphrase-multilingual-MiniLM-L12-v2"}
    assert misfits("German", **multilingual, tasks=[]) == ""  # type: ignore[arg-type]
    assert "(/models/gpt2)" in misfits("French", model="/models/gpt2", encoder="x", tasks=[])
    assert misfits("English", model="gpt2", encoder="minilm", tasks=["trec"]) == ""
    assert misfits(None, model="gpt2", encoder="minilm", tasks=["trec"]) == ""


def test_the_check_of_a_file_says_its_language_and_what_of_a_study_does_not_suit_it(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("\n".join(["text", *(f'"{text} ({n})"' for n, text in enumerate(GERMAN * 3))]), encoding="utf-8")
    checked = check_file(file)
    assert checked.language == "German" and checked.as_dict()["language"] == "German"
    (finding,) = check_language(checked, load_study("tour"))
    assert finding.level == "warning" and "smollm2-135m" in finding.message
