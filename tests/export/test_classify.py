"""Texts classified with an exported prompt, in Python and in the shell."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from layouts import rows_on_test

from metapt_explore.cli.classify import ClassifyOptions, classify_lines
from metapt_explore.errors import UserError
from metapt_explore.export.classify import Classifier
from metapt_explore.storage.files import write_json
from metapt_explore.study.study import Study


def test_lines_come_out_as_they_go_in(
    studies: dict[str, tuple[Study, Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    study, folder = studies["llama-suffix"]
    texts, _ = rows_on_test(study)
    classify_lines(io.StringIO("\n".join([texts[0], "", texts[1]])), folder)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    expected = list(Classifier(folder).classify(texts[:2]))
    assert [line["label"] for line in lines] == [expected[0].label, None, expected[1].label]
    assert lines[0]["probabilities"] == pytest.approx(expected[0].probabilities, abs=1e-5)
    classify_lines(io.StringIO(texts[0] + "\r\n\n"), folder, ClassifyOptions(labels_only=True))
    assert capsys.readouterr().out.splitlines() == [expected[0].label, ""]


@pytest.mark.parametrize("calibration", ["batch_mean", "content_free"])
def test_calibration_takes_off_what_is_always_said(studies: dict[str, tuple[Study, Path]], calibration: Any) -> None:
    study, folder = studies["llama-suffix"]
    texts, _ = rows_on_test(study)
    plain = torch.tensor([list(p.probabilities.values()) for p in Classifier(folder, dtype="float32").classify(texts)])
    classifier = Classifier(folder, calibration, dtype="float32")
    found = torch.tensor([list(p.probabilities.values()) for p in classifier.classify(texts)])
    nothing = plain
    if calibration == "content_free":
        nothing = torch.tensor(
            [
                list(p.probabilities.values())
                for p in Classifier(folder, dtype="float32").classify(["N/A", "nothing", "..."])
            ]
        )
    by_hand = plain / nothing.mean(0)
    assert torch.allclose(found, by_hand / by_hand.sum(1, keepdim=True), atol=1e-5)


def test_a_folder_that_is_none_and_a_model_that_has_changed(
    studies: dict[str, tuple[Study, Path]], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="holds no prompt"):
        Classifier(tmp_path)
    _, folder = studies["llama-suffix"]
    facts = json.loads((folder / "prompt.json").read_text(encoding="utf-8"))
    for name in ("prompt.safetensors",):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    write_json(tmp_path / "prompt.json", {**facts, "format": 9})
    with pytest.raises(UserError, match="format 9"):
        Classifier(tmp_path)
    write_json(tmp_path / "prompt.json", {**facts, "model_hash": "other"})
    assert "not those that the prompt was made for" in Classifier(tmp_path).notes[0]
    with pytest.raises(UserError, match="--calibration"):
        classify_lines([], folder, ClassifyOptions(calibration="batchmean"))


def test_the_commands(studies: dict[str, tuple[Study, Path]], tmp_path: Path) -> None:
    study, folder = studies["llama-suffix"]
    words = [sys.executable, "-m", "metapt_explore"]
    out = tmp_path / "out"
    chosen = ["--method", "MetaPT", "--task", "mood", "--data-seed", "2", "--out", str(out)]
    done = subprocess.run(
        [*words, "export", "tiny", *chosen, "--workspace", str(study.workspace.folder)],
        capture_output=True, text=True, check=True,
        encoding="utf-8",
    )  # fmt: skip
    assert done.stdout.splitlines()[0] == str(out / "prompt.safetensors")
    assert (out / "prompt.json").read_text(encoding="utf-8") == (folder / "prompt.json").read_text(encoding="utf-8")
    told = subprocess.run(
        [*words, "classify", "--prompt", str(out), "--labels-only"],
        input="a good book\n", capture_output=True, text=True, check=True,
        encoding="utf-8",
    )  # fmt: skip
    assert told.stdout.strip() in ("negative", "positive")


def test_texts_that_are_no_utf_8_are_named(studies: dict[str, tuple[Study, Path]], tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("a good book\ncaf\u00e9\n".encode("latin-1"))
    with (tmp_path / "latin.txt").open(encoding="utf-8") as lines, pytest.raises(UserError, match="are not UTF-8"):
        classify_lines(lines, studies["llama-suffix"][1])
    through = (tmp_path / "latin.txt").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    with pytest.raises(UserError, match="Line 2: the texts are not UTF-8"):
        classify_lines(through, studies["llama-suffix"][1])
