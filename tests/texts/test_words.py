"""Words are counted, compared and shown in any script, not only where spaces stand between them."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
import tiny
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metapt_explore.config import StudyConfig, parse
from metapt_explore.study.study import Study
from metapt_explore.texts.decontaminate import decontaminate
from metapt_explore.texts.normalise import comparison_key, normalise
from metapt_explore.texts.report import data_report
from metapt_explore.texts.words import Lexicon, count_words, is_word, plain_words, tokens

#: Some words of each language, and what stands between two of them.
LANGUAGES = {
    "English": ("the pot that I bought this time was very good from first day", " "),
    "Chinese": ("这次 买的 茶壶 非常 好用 味道 包装 客服 屏幕 电池 音质 颜色", ""),
    "Japanese": ("今回 買った ポット とても 良かった 本当に 電池 画面 配送 カメラ 最高 届いた", ""),
    "Thai": ("กาน้ำชา ที่ ซื้อ ครั้งนี้ ดีมาก ตั้งแต่ วันแรก ส่งเร็ว ชอบ สินค้า แบตเตอรี่ ราคา", ""),
    "Lao": ("ກາ ນ້ຳຊາ ທີ່ຊື້ ຄັ້ງນີ້ ດີຫຼາຍ ແຕ່ ມື້ທຳອິດ ສົ່ງໄວ ມັກ ສິນຄ້າ ລາຄາ ຖືກ", ""),
    "Khmer": ("ប៉ាន់ តែ ដែល ខ្ញុំ បាន ទិញ ល្អ ណាស់ តាំងពី ថ្ងៃ ដំបូង តម្លៃ", ""),
    "Burmese": ("ရေနွေးအိုး ဒီတစ်ခါ ဝယ်တာ အရမ်း ကောင်း ပထမ နေ့ ကတည်းက ဈေး ပို့ မြန်", ""),
    "Korean": ("이번에 산 주전자는 첫날부터 정말 좋았어요 배송도 빠르고 가격도 아주 만족합니다", " "),
    "Hindi": ("इस बार खरीदा हुआ बर्तन पहले दिन से बहुत अच्छा था कीमत हिन्दी", " "),
    "Arabic": ("الإبريق الذي اشتريته هذه المرة كان جيدا جدا من اليوم الأول سعر", " "),
    "Hebrew": ("הקומקום שקניתי הפעם היה טוב מאוד מהיום הראשון מחיר משלוח מהיר", " "),
    "Russian": ("чайник который я купил в этот раз был очень хорош с первого дня", " "),
    "Turkish": ("bu sefer aldığım çaydanlık ilk günden itibaren çok iyi ISPARTA İyi", " "),
    "emoji": ("😀 👍🏽 ❤️ 👨‍👩‍👧 🇩🇪 🎉 🔥 😡 🍵 📦 🔋 🎧", ""),
}


def sentences(language: str, fewest: int = 12, most: int = 30) -> st.SearchStrategy[str]:
    words, between = LANGUAGES[language]
    return st.lists(st.sampled_from(words.split()), min_size=fewest, max_size=most).map(between.join)


@pytest.mark.parametrize("language", LANGUAGES)
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_copy_with_a_little_more_is_found_in_every_script(language: str, data: st.DataObject) -> None:
    text, between = data.draw(sentences(language)), LANGUAGES[language][1]
    end = data.draw(st.sampled_from([between + LANGUAGES[language][0].split()[0], "!", "  ", "…", "\u200b"]))
    verdict = decontaminate([text + end, end + text], [text], 0.7)
    # Unless words come again and again, so that little is left to compare: a text of one word is no copy of another.
    triples = set(zip(normalise(text).split(), normalise(text).split()[1:], normalise(text).split()[2:], strict=False))
    if len(triples) >= 9:
        assert not verdict.kept.any()


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_without_a_common_word_are_kept(language: str) -> None:
    words, between = LANGUAGES[language]
    first, second = (between.join(words.split()[half::2]) for half in (0, 1))
    assert decontaminate([first], [second], 0.7).kept.all()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sentence_is_not_short_in_any_script(language: str) -> None:
    words, between = LANGUAGES[language]
    for count in (3, 6, 11):
        assert count_words(between.join(words.split()[:count])) >= 3
    assert count_words(words.split()[0]) < 12


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("It isn't bad .", 3),
        ("", 0),
        (" \n", 0),
        (":-)", 1),
        ("非常好", 3),
        ("スマホ、最高！", 5),
        ("ดีมาก", 4),  # "ดี" is one character with its vowel
        ("हिन्दी भाषा", 2),
        ("买iPhone 15手机", 5),
        ("😀😀😀", 3),
        ("👨‍👩‍👧👍🏽🇩🇪❤️", 4),
        ("so good 😀", 3),
        ("© 2020 ™", 2),  # NFKC writes "tm"
        ("안녕하세요 여러분", 2),
    ],
)
def test_counts_by_hand(text: str, count: int) -> None:
    assert count_words(text) == count


def test_the_report_counts_the_same_words() -> None:
    from datasets import Dataset

    texts = ["这个茶壶很好用", "好", "😀😀😀", "เครื่องนี้ดีมาก", "one two"]
    rows = Dataset.from_dict({"text": texts, "label": ["a"] * 5, "group": [None] * 5})
    report = data_report(rows)
    assert report["words"]["max"] == count_words(texts[3]) and report["words"]["min"] == 1
    assert "Rows of fewer than 3 words: 2." in report["warnings"]


def test_a_chinese_source_is_kept_and_its_leak_is_dropped(tmp_path: Path, world: Path) -> None:
    """Through the stage: nothing is dropped as short, the copy of a test row is."""
    feelings = ("太差了", "非常好")
    rows = [f"{'甲乙丙丁戊己庚'[n % 7]}店买的{thing}{feelings[n % 2]}" for n, thing in enumerate("壶杯盘碗锅勺" * 7)]
    task = tmp_path / "zh.csv"
    task.write_text("text,label\n" + "".join(f"{r},{n % 2}\n" for n, r in enumerate(rows)), encoding="utf-8")
    (tmp_path / "zh.yaml").write_text(
        "name: zh\ntitle: zh\ndata: {file: zh.csv, columns: {text: text, label: label}}\n"
        "template: '{text} Sentiment :'\nlabels: {bad: {value: '0', word: bad}, good: {value: '1', word: good}}\n",
        encoding="utf-8",
    )
    tree = tiny.study_tree(
        world,
        texts={"file": str(tmp_path / "texts.csv"), "columns": {"text": "text", "label": "label"}},
        evaluation={"tasks": [str(tmp_path / "zh.yaml")], "data_seeds": [1], "test_rows": None},
    )
    study = Study(parse(StudyConfig, tree, "test"), tmp_path / "workspace")
    split = study.split("zh").table("rows")
    held = split[split["split"] == "test"]["text"].iloc[0]
    own = ["昨天收到的耳机音质很好", "客服态度冷淡", "不值得买", "😀😀😀"]
    written = [*own, f"{held}真的", " ".join(held), "好"]
    (tmp_path / "texts.csv").write_text("text,label\n" + "".join(f"{t},positive\n" for t in written), encoding="utf-8")
    texts = study.texts()
    assert texts.table("texts")["text"].tolist() == own
    assert texts.summary["dropped"] == {
        "shorter than 3 words": 1,
        "equals a dev or test row": 1,
        "nearly equals a dev or test row": 1,
    }


# --------------------------------------------------------------------------------------------- normal form


@settings(max_examples=400, deadline=None)
@given(st.text())
@example("e'\u0301")
@example("İı ﬁ ß ǰ ΐ")
@example("ᾳ\u0301'n't")
def test_the_normal_form_is_its_own(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert comparison_key(comparison_key(text)) == comparison_key(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("我喜欢 这 部 电影", "我喜欢这部电影！"),
        ("买 iPhone 手机", "买ｉＰｈｏｎｅ手机"),
        ("ｶﾒﾗ", "カメラ"),
        ("か\u3099", "が"),
        ("IRMAK İyi", "ırmak iyi"),
        ("STRASSE", "straße"),
        ("كِتَابٌ", "كتاب"),
        ("كتـــاب", "كتاب"),
        ("שָׁלוֹם", "שלום"),
        ("infor\u00admation", "information"),
        ("te\u200bst \ufeffit", "test it"),
        ("می\u200cخواهم", "میخواهم"),
        ("I love it ❤️", "I love it"),
        ("❤️ 👍", "❤👍"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        (unicodedata.normalize("NFD", "Café"), "café"),
    ],
)
def test_other_spellings_are_equal(one: str, other: str) -> None:
    assert normalise(one) == normalise(other) != ""


@pytest.mark.parametrize(
    ("one", "other"), [("हिन्द", "हिन्दी"), ("คา", "ค่า"), ("😀", "😡"), ("café", "cafe"), ("は", "ば")]
)
def test_other_words_stay_apart(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_plain_text_is_spelled_as_ever(text: str) -> None:
    """ASCII alone never meets a rule of another script."""
    assert all(word.isalnum() for word in normalise(text).split())


# --------------------------------------------------------------------------------------------------- words


def test_tokens_keep_words_whole() -> None:
    assert tokens("don't x_1 ½") == ["don", "t", "x_1", "½"]
    assert tokens("हिन्दी में لُغَة naïve") == ["हिन्दी", "में", "لُغَة", "naïve"]
    assert tokens("手机ok😀👍🏽") == ["手", "机", "ok", "😀", "👍🏽"]


def test_words_are_found_where_no_space_stands() -> None:
    texts = ["这次买的茶壶非常好", "旧茶壶太差了", "送人一个茶壶", "茶壶和手柄", "新手柄坏了", "手柄非常好看"]
    lexicon = Lexicon(texts)
    assert lexicon.cut("我的茶壶，我的手柄 and a Lid") == ["茶壶", "手柄", "and", "lid"]
    assert "茶" not in lexicon.variety and "的茶" not in lexicon.variety
    assert Lexicon(["plain words", "हिन्दी भाषा"]).cut("हिन्दी in English") == ["हिन्दी", "in", "english"]
    assert Lexicon([]).cut("很好") == []


@settings(deadline=None)
@given(st.lists(st.text(max_size=30), max_size=5))
def test_whatever_is_cut_was_there(texts: list[str]) -> None:
    lexicon = Lexicon(texts)
    for text in texts:
        written = unicodedata.normalize("NFKC", text).lower()
        assert all(unicodedata.normalize("NFKC", word) in written for word in lexicon.cut(text))


def test_words_of_letters_and_marks() -> None:
    assert [is_word(word) for word in ("हिन्दी", "ดี", "ok", "x1", "a b", "")] == [True, True, True, False, False, False]
    assert plain_words("  news__topic-हिन्दी! ") == "news topic हिन्दी"


def test_half_a_character_is_no_reason_to_stop() -> None:
    """A file is checked before half characters are repaired."""
    for text in ("\ud83d", "好\ud83d 😀", "a\udc00b"):
        assert count_words(text) >= 1 and normalise(normalise(text)) == normalise(text)
        assert Lexicon([text, text]).cut(text) is not None and tokens(text) is not None
