"""Views of a text half-way up a model, against the model run on one text at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
import torch

from metapt_explore.config import ModelConfig
from metapt_explore.models.hidden_states import ROWS, text_hidden_states
from metapt_explore.models.load import load_backbone
from metapt_explore.texts.rows import TextInput

TEXTS: list[TextInput] = ["good book", "a very long and boring story of the old camera", "was it", *["bad"] * ROWS]


@pytest.mark.parametrize(("kind", "views"), [("llama", 2), ("gpt2", 2), ("t5", 1), ("bert", 1), ("sentence", 1)])
def test_each_text_alone_gives_the_same(kind: str, views: int, tmp_path: Path) -> None:
    folder = tiny.make_language_model(tmp_path / kind, kind)
    backbone = load_backbone(ModelConfig(name=str(folder), dtype="float32", device="cpu"))
    passes: list[int] = []
    found = text_hidden_states(backbone, TEXTS, lambda: passes.append(1))
    assert found.shape[:2] == (views, len(TEXTS))
    assert len(passes) == 2
    base = backbone.model.get_encoder() if kind == "t5" else backbone.model.base_model
    layout = backbone.layout
    for place in (0, 1, 2, len(TEXTS) - 1):
        ids = [*layout.special_before, *layout.tokens([str(TEXTS[place])])[0], *layout.special_after]
        with torch.no_grad():
            hidden = base(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
        middle = hidden[max(1, (len(hidden) - 1) // 2)][0]
        torch.testing.assert_close(found[0, place], middle.mean(0), atol=2e-5, rtol=0)
        if views == 2:
            torch.testing.assert_close(found[1, place], middle[-1], atol=2e-5, rtol=0)


def test_of_a_pair_the_longer_text_is_cut_first(tmp_path: Path) -> None:
    folder = tiny.make_language_model(tmp_path / "llama", "llama")
    backbone = load_backbone(ModelConfig(name=str(folder), dtype="float32", device="cpu", max_text_tokens=6))
    long, short = "a very long and boring story of the old camera", "good book"
    words = backbone.layout.tokens([long])[0]
    behind = backbone.layout.tokens([f"\n{short}"])[0]
    assert backbone.layout.bare_tokens([(long, short), short]) == [
        [*words[: 6 - len(behind)], *behind],
        backbone.layout.tokens([short])[0],
    ]
    one, other = text_hidden_states(backbone, [(long, "good book"), (long, "bad camera")]).unbind(1)
    assert not one.equal(other)
