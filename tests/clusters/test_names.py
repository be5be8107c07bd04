from __future__ import annotations

import warnings

import numpy as np
import pytest

from metapt_explore.clusters.names import cluster_name, keywords


def test_weights_by_hand() -> None:
    # Words: cluster 0 phone ×3, case ×2, good ×3; cluster 1 soup ×2, good ×4. 14 words, 7 a cluster.
    texts = ["phone phone phone case case", "good good good", "soup soup good good good good"]
    # Cluster 0: phone 3 log(1 + 7/3) = 3.61, case 2 log(1 + 7/2) = 3.01, good 3 log(1 + 7/7) = 2.08.
    # Cluster 1: soup 2 log(1 + 7/2) = 3.01, good 4 log(2) = 2.77: the plain count would name good.
    assert keywords(texts, np.array([0, 0, 1])) == {0: ["phone", "case", "good"], 1: ["soup", "good"]}
    assert keywords(texts, np.array([0, 0, 1]), top=1) == {0: ["phone"], 1: ["soup"]}


def test_tokens_are_words_of_two_letters_or_more() -> None:
    texts = ["I don't 42 x7 a b the CAFÉ snake_case über-cool we've", "zebra"]
    assert keywords(texts, np.array([0, 1])) == {0: ["café", "cool", "über"], 1: ["zebra"]}


def test_outliers_are_left_out_and_ids_kept() -> None:
    texts = ["apple", "banana", "cherry cherry"]
    assert keywords(texts, np.array([5, -1, 2])) == {2: ["cherry"], 5: ["apple"]}
    assert keywords(texts, np.array([-1, -1, -1])) == {}


def test_equal_weights_are_alphabetical() -> None:
    assert keywords(["pear fig apple date"], np.array([0]), top=3) == {0: ["apple", "date", "fig"]}


@pytest.mark.parametrize("texts", [["", ""], ["the", "and 12"], ["!", "?"]])
def test_empty_vocabulary(texts: list[str]) -> None:
    assert keywords(texts, np.array([0, 1])) == {0: [], 1: []}


def test_a_cluster_without_words_beside_one_with_words() -> None:
    assert keywords(["the", "harbour"], np.array([0, 1])) == {0: [], 1: ["harbour"]}
    assert keywords([], np.array([], dtype=int)) == {}


def test_no_warnings_and_one_label_per_text() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        keywords(["don't stop"], np.array([0]))
    with pytest.raises(ValueError, match="2 labels for 1 texts"):
        keywords(["a"], np.array([0, 1]))


def test_names() -> None:
    assert cluster_name(0, ["battery", "charger", "phone", "screen"]) == "0: battery, charger, phone"
    assert cluster_name(3, []) == "3"
    assert cluster_name(-1, ["noise"]) == "outliers"


@pytest.mark.parametrize(
    ("topics", "everywhere", "between"),
    [
        ((["茶壶", "手柄", "味道"], ["屏幕", "电池", "音质"]), ["这次", "非常", "但是"], ""),
        ((["急須", "取っ手", "香り"], ["画面", "電池", "カメラ"]), ["とても", "でした", "この"], ""),
        ((["กาน้ำชา", "ถ้วย", "กลิ่น"], ["หน้าจอ", "แบตเตอรี่", "เสียง"]), ["ดีมาก", "ครั้งนี้", "และ"], ""),
        ((["चायदानी", "हैंडल", "स्वाद"], ["स्क्रीन", "बैटरी", "आवाज़"]), ["बहुत", "लेकिन", "और"], " "),
        ((["teekanne", "henkel", "duft"], ["bildschirm", "akku", "klang"]), ["und", "aber", "sehr"], " "),
    ],
    ids=["Chinese", "Japanese", "Thai", "Hindi", "German"],
)
def test_keywords_are_words_in_other_scripts(
    topics: tuple[list[str], list[str]], everywhere: list[str], between: str
) -> None:
    """Topic words whole, and none that is in every cluster."""
    rng = np.random.default_rng(0)
    texts, labels = [], np.arange(200) % 2
    for label in labels:
        words = [*rng.choice(topics[label], 2, replace=False), *rng.choice(everywhere, 2, replace=False)]
        texts.append(between.join(words[place] for place in rng.permutation(4)))
    found = keywords(texts, labels, top=3)
    assert {label: set(words) for label, words in found.items()} == {0: set(topics[0]), 1: set(topics[1])}


def test_words_of_every_cluster_stay_where_nothing_else_is_left() -> None:
    texts = ["zub abur sehk gorr", "zub abur sehk schonk"] * 40
    assert set(keywords(texts, np.arange(80) % 2)[0]) == {"zub", "abur", "sehk", "gorr"}
