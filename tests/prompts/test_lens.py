"""Prompts beside the vocabulary: against numbers worked out by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from metapt_explore.config import StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.prompts import lens as lens_module
from metapt_explore.prompts.health import HealthWatch
from metapt_explore.prompts.lens import describe_vectors, nearest_tokens, similarities
from metapt_explore.study.study import Study

VOCABULARY = torch.tensor([[2.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [3.0, 3.0]])


@pytest.mark.parametrize("chunk", [1, 3, 8192])
def test_nearest_tokens_whatever_the_chunks(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(lens_module, "CHUNK", chunk)
    similarity, ids = nearest_tokens(torch.tensor([[5.0, 0.0], [1.0, 2.0]]), VOCABULARY, top=3)
    assert ids[0].tolist()[:2] == [0, 3] and similarity[0].tolist()[:2] == pytest.approx([1.0, math.sqrt(0.5)])
    # (1, 2): cosine 3 / sqrt 10 with (1, 1), 2 / sqrt 5 with (0, 1), 1 / sqrt 5 with (1, 0).
    assert ids[1].tolist() == [3, 1, 0]
    assert similarity[1].tolist() == pytest.approx([3 / math.sqrt(10), 2 / math.sqrt(5), 1 / math.sqrt(5)])


def test_vectors_by_hand() -> None:
    prompt, start = torch.tensor([[2.0, 0.0], [0.0, 4.0]]), torch.tensor([[2.0, 0.0], [3.0, 0.0]])
    first, second = describe_vectors(prompt, start, VOCABULARY, token=lambda number: f"t{number}", top=1)
    usual = (2 + 1 + 1 + math.sqrt(18)) / 4
    assert first["nearest"] == ["t0"] and first["similarity"] == pytest.approx(1.0)
    assert first["drift"] == 0.0 and first["cosine_to_start"] == pytest.approx(1.0)
    assert second["nearest"] == ["t1"] and second["norm_ratio"] == pytest.approx(4 / usual)
    # From (3, 0) to (0, 4) are 5, in lengths of the start 5 / 3.
    assert second["drift"] == pytest.approx(5 / 3) and second["cosine_to_start"] == pytest.approx(0.0)
    assert describe_vectors(prompt, None, VOCABULARY, token=str, top=1)[0]["drift"] is None


def test_likeness_of_prompts_and_of_their_ways() -> None:
    start, other = torch.eye(2), torch.ones(2, 2)
    prompts = {"a": start + 1, "b": start + 2, "c": start - 1, "d": other + 1, "e": start.clone()}
    starts = {"a": start, "b": start, "c": start, "d": other, "e": start}
    found = {(row["first"], row["second"]): row for row in similarities(prompts, starts)}
    assert len(found) == 10
    assert found["a", "b"]["moved"] == pytest.approx(1.0) and found["a", "c"]["moved"] == pytest.approx(-1.0)
    assert found["a", "d"]["moved"] is None, "other starts"
    assert found["a", "e"]["moved"] is None, "it did not move"
    # (2, 1) and (3, 2): cosine 8 / sqrt 65, and the same for (1, 2) and (2, 3).
    assert found["a", "b"]["cosine"] == pytest.approx(8 / math.sqrt(65))


def test_the_lens_of_a_study(world: Path, tmp_path: Path) -> None:
    study = Study(parse(StudyConfig, tiny.study_tree(world), "test"), tmp_path)
    with pytest.raises(UserError, match="No prompt of 'tiny' is finished"):
        study.lens()
    for method in ("PT", "PPT"):
        study.prompt(method)
    first = study.lens()
    vectors = first.table("vectors")
    assert vectors["prompt"].unique().tolist() == ["PT, seed 0", "PPT, seed 0"] and len(vectors) == 2 * 3
    pt = vectors[vectors["method"] == "PT"]
    # PT has not moved from its start, which is taken from the vocabulary.
    assert pt["drift"].tolist() == [0.0] * 3 and pt["similarity"].tolist() == pytest.approx([1.0] * 3)
    assert all(len(json.loads(nearest)) == 6 for nearest in vectors["nearest"])
    assert (vectors[vectors["method"] == "PPT"]["drift"] > 0).all()
    study.fewshot("PPT", "mood")
    second = study.lens()
    assert second.id != first.id, "there is another prompt to see"
    tuned = second.table("vectors").query("task == 'mood'")
    prompt = study.prompt("PPT").tensors("prompt")["prompt"]
    kept = study.fewshot("PPT", "mood").tensors("prompts")["data_seed_1"]
    by_hand: list[Any] = ((kept - prompt).norm(dim=1) / prompt.norm(dim=1)).tolist()
    assert tuned["drift"].tolist() == pytest.approx(by_hand, abs=1e-6)


def test_prompts_of_a_study_that_outgrow_the_vocabulary_are_said_once() -> None:
    said: list[str] = []
    rate = "evaluation.learning_rates: 0.064"

    def looked_at(watch: HealthWatch, factor: float, step: int) -> None:
        ((finite, ratio),) = watch.measure(torch.full((1, 2, 4), factor), torch.zeros(1)).tolist()
        watch.judge(finite, ratio, step=step, rate=rate)

    for step, factor in ((17, 3.5), (20, 4.0)):
        watch = HealthWatch(torch.ones(10, 4), "Few-shot tuning", said.append)
        for later in range(2):
            looked_at(watch, factor, step + later)
    looked_at(HealthWatch(torch.ones(10, 4), "Few-shot tuning", said.append), 0.1, 0)
    large, same, small = said
    assert large == same and "more than 3 times" in large and "less than 1/3" in small
