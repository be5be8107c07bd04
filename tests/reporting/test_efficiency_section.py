"""The section on fewer and more examples, from scores made by hand: what is told, left out and put together."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from metapt_explore.reporting.document import Document
from metapt_explore.reporting.efficiency_section import add_efficiency, efficiency_of
from metapt_explore.results.record import Record

STUDY: dict[str, Any] = {
    "methods": [
        {"name": "PT", "kind": "pt"},
        {"name": "PPT", "kind": "ppt"},
        {"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"},
    ],
    "clusterings": [{"name": "kmeans", "algorithm": "kmeans"}],
    "baselines": [{"name": "tfidf", "kind": "tfidf"}],
    "evaluation": {"shots": 16, "more_shots": [1, 4]},
}
METHODS = ["PT", "PPT", "MetaPT", "tfidf"]
#: How many examples of PT one example of a method is worth.
WORTH = {"PT": 1.0, "PPT": 1.5, "MetaPT": 3.0, "tfidf": 0.5}


def scores(tasks: tuple[str, ...] = ("mr", "subj"), pairs: int = 8) -> pd.DataFrame:
    """Each doubling is worth five points; seeds move a method by up to two."""
    rows = [
        {
            "method": method,
            "task": task,
            "data_seed": 100 + seed,
            "init_seed": None if method == "tfidf" else seed,
            "accuracy": 0.6 + 0.05 * math.log2(WORTH[method] * shots) + 0.005 * ((seed * (place + 2)) % 5 - 2),
            "shots": shots,
            "shared_rows": 0.0,
        }
        for shots in (1, 4, 16)
        for place, method in enumerate(METHODS)
        for task in tasks
        for seed in range(pairs)
    ]
    return pd.DataFrame(rows).astype({"init_seed": "Int64"})


def written(efficiency: pd.DataFrame, study: dict[str, Any] = STUDY) -> str:
    document = Document("")
    record = Record("few", "", study, efficiency, pd.DataFrame(), efficiency=efficiency)
    add_efficiency(document, record, [*dict.fromkeys(efficiency["method"])])
    return document.markdown()


def test_the_baseline_is_that_of_the_primary_question() -> None:
    found = efficiency_of(scores(), STUDY, METHODS)
    assert found is not None and found.baseline == "PPT" and found.plain == ["PT"] and not found.left_out
    text = written(scores())
    assert "Points ahead of PPT, paired by seeds" in text
    assert "| method | examples a class | PPT needs | 95 % interval | labels |" in text
    assert "| method | examples a class | PT needs | 95 % interval | labels |" in text
    # MetaPT's four examples are worth twelve of PT, eight of PPT.
    (needs,) = [line for line in text.splitlines() if line.startswith("PPT needs") and "4 examples a class" in line]
    assert "for the score of MetaPT at 4 examples a class: MetaPT saves labels." in needs
    # Its sixteen are worth eight of PT.
    of_ppt, of_pt = [line.split(" | ") for line in text.splitlines() if line.startswith("| tfidf | 16 | ")]
    assert 6 < float(of_pt[2]) < 10 and float(of_ppt[2]) < float(of_pt[2])
    assert of_pt[-1] == of_ppt[-1] == "none saved |"


def test_a_task_without_scores_at_a_number_is_left_out_and_said() -> None:
    table = scores()
    text = written(table[~((table["task"] == "subj") & (table["shots"] == 16))])
    assert "- Without subj: it has no scores at some of the numbers." in text
    alone = written(table[table["task"] == "mr"])
    assert text.split("some of the numbers.")[1].strip() == alone.split("more examples")[1].strip()


def test_a_method_that_is_not_as_far_is_no_baseline() -> None:
    table = scores()
    found = efficiency_of(table[~((table["method"] == "PPT") & (table["shots"] == 4))], STUDY, METHODS)
    assert found is not None and found.baselines == ["PT", "MetaPT", "tfidf"] and found.baseline == "PT"
    assert found.left_out == ["PPT has no scores on every task at some of the numbers."]
    assert "PPT" not in found.needed("PT")


def test_one_number_of_examples_is_no_section() -> None:
    table = scores()
    assert efficiency_of(table[table["shots"] == 4], STUDY, METHODS) is None
    assert efficiency_of(table.iloc[:0], STUDY, METHODS) is None
    assert "fewer" not in written(table[table["shots"] == 4])
    apart = table[
        ((table["task"] == "mr") & (table["shots"] == 1)) | ((table["task"] == "subj") & (table["shots"] > 1))
    ]
    assert efficiency_of(apart, STUDY, METHODS) is None


def test_methods_that_differ_in_seeds_only_are_one() -> None:
    clusterings = [{"name": f"kmeans-s{seed}", "algorithm": "kmeans", "seed": seed} for seed in (0, 1)]
    swept = [{"name": f"MetaPT-s{s}", "kind": "metapt", "clustering": f"kmeans-s{s}"} for s in (0, 1)]
    study = {**STUDY, "clusterings": clusterings, "methods": [*STUDY["methods"][:2], *swept]}
    table = scores()
    of = table["method"] == "MetaPT"
    both = [table[of].assign(method=f"MetaPT-s{seed}", accuracy=table["accuracy"] + 0.01 * seed) for seed in (0, 1)]
    names = ["PT", "PPT", "MetaPT-s0", "MetaPT-s1", "tfidf"]
    found = efficiency_of(pd.concat([table[~of], *both]), study, names)
    assert found is not None and found.methods == METHODS
    mean = found.table("PT").set_index(["method", "shots"])["mean"]
    assert abs(mean["MetaPT", 4] - table[of & (table["shots"] == 4)]["accuracy"].mean() - 0.005) < 1e-12
