"""Readers of the starter sets: from files of a package to a table with the columns text, label and group."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

#: Text, label and group of each row.
Rows = list[tuple[str, str | None, str | None]]


def _table(rows: Rows) -> pd.DataFrame:
    # Several sets were collected from web pages and still write "&amp;".
    rows = [(html.unescape(text).strip(), label, group) for text, label, group in rows]
    # object keeps None as None; pandas' own string type would make it NaN.
    return pd.DataFrame(rows, columns=["text", "label", "group"], dtype=object)


def _csv(path: Path, **options: Any) -> pd.DataFrame:
    # Without keep_default_na=False a text "null" or "NA" would become a missing value.
    return pd.read_csv(path, dtype=str, keep_default_na=False, **options)


#: Mean ratings nearer to 0 than this (scale -4 to 4) carry no label.
NEUTRAL_BELOW = 0.5


def read_vader(paths: list[Path]) -> pd.DataFrame:
    rows: Rows = []
    for path, group in zip(paths, ("amazon", "movies", "news", "tweets"), strict=True):
        table = _csv(path, sep="\t", quoting=3)
        for text, rating in zip(table["text"], table["sentiment"].astype(float), strict=True):
            label = None if abs(rating) < NEUTRAL_BELOW else "positive" if rating > 0 else "negative"
            rows.append((text, label, group))
    return _table(rows)


def read_reviews(source: str) -> Callable[[list[Path]], pd.DataFrame]:
    def read(paths: list[Path]) -> pd.DataFrame:
        table = _csv(paths[0])
        table = table[table["source"] == source]
        names = {"0": "negative", "1": "positive"}
        # The long reviews still carry the web page's line breaks.
        texts = table["text"].str.replace(r"(?:<br\s*/?>\s*)+", " ", regex=True)
        return _table([(text, names[label], None) for text, label in zip(texts, table["label"], strict=True)])

    return read


_TWEET_ENCODING = "latin-1"
# Signs outside ASCII were garbled before the file was packaged; latin-1 reads every byte of it.
_AIRLINE_HANDLE = r"@(united|usairways|americanair|southwestair|jetblue|virginamerica)"
_SUBJECTS = {
    # The file does not say which set a tweet is from; a later pattern yields to an earlier one.
    "deflategate": r"deflat",
    "coachella": r"coachella",
    "allergy": r"claritin|allerg",
    "self_driving": r"driver-?\s?less|self[- ]?driving|autonomous|google car",
    "apple": r"apple|aapl",
}


def read_airline(paths: list[Path]) -> pd.DataFrame:
    table = _csv(paths[0], encoding=_TWEET_ENCODING)
    handle = table["text"].str.lower().str.extract(_AIRLINE_HANDLE, expand=False)
    table, handle = table[handle.notna()], handle[handle.notna()]
    return _table(list(zip(table["text"], table["sentiment"], handle, strict=True)))


def read_tweets(paths: list[Path]) -> pd.DataFrame:
    table = _csv(paths[0], encoding=_TWEET_ENCODING)
    table = table[table["text"].str.lower().str.extract(_AIRLINE_HANDLE, expand=False).isna()]
    texts = table["text"].str.lower()
    subject = pd.Series("other", index=table.index, dtype=object)
    for name, pattern in reversed(_SUBJECTS.items()):
        subject[texts.str.contains(pattern)] = name
    return _table(list(zip(table["text"], table["sentiment"], subject, strict=True)))


_QUESTION_TYPES = {
    "DESC": "description",
    "ENTY": "entity",
    "ABBR": "abbreviation",
    "HUM": "human",
    "LOC": "location",
    "NUM": "number",
}


def read_trec(paths: list[Path]) -> pd.DataFrame:
    # The file repeats the nested training subsets of the original, hence the dictionary.
    questions: dict[str, str] = {}
    for line in paths[0].read_text(encoding="utf-8").split("\n"):
        label, _, text = line.partition(" ")
        if text.strip():
            questions.setdefault(text.strip(), label)
    return _table([(text, _QUESTION_TYPES[label.split(":")[0]], label) for text, label in questions.items()])


def read_sms_spam(paths: list[Path]) -> pd.DataFrame:
    table = _csv(paths[0])
    names = {"0": "ham", "1": "spam"}
    return _table([(text, names[flag], None) for text, flag in zip(table["text"], table["spam"], strict=True)])


def read_satire(paths: list[Path]) -> pd.DataFrame:
    names = {"0": "real", "1": "satire"}
    rows: Rows = []
    for line in paths[0].read_text(encoding="utf-8").splitlines():
        if line.strip():
            sample = json.loads(line)
            rows.append((sample["input"][-1]["content"], names[sample["ideal"]], None))
    return _table(rows)


_SENTENCE_END = re.compile(r"""(?<=[.!?])["')\]]*\s+(?=["'(\[]*[A-Z0-9])""")
_SENTENCE_WORDS = range(6, 61)


def read_subjectivity(paths: list[Path]) -> pd.DataFrame:
    # Made the way the SUBJ set was made: sentences of plot summaries against review sentences.
    # One length window for both, so that length is no hint at the class.
    table = _csv(paths[0])
    rows: Rows = []
    for text, category in zip(table["text"], table["category"], strict=True):
        plot = category == "plot"
        for sentence in _SENTENCE_END.split(text) if plot else [text]:
            if len(sentence.split()) in _SENTENCE_WORDS:
                rows.append((" ".join(sentence.split()), "objective" if plot else "subjective", category))
    return _table(rows)


def read_newsgroups(paths: list[Path]) -> pd.DataFrame:
    rows: Rows = []
    for path in paths:
        # A header of three lines: names, types, roles.
        for line in path.read_text(encoding="utf-8").split("\n")[3:]:
            group, _, text = line.partition("\t")
            if text.strip():
                rows.append((text.strip(), group.split(".")[0], group))
    return _table(rows)
