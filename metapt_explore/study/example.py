"""A finished study inside the package: the tour, as it was run once, to look at before anything is computed.

It holds scores, curves, prompts, clusters and manifests, and no text. Where the starter packages are installed
pre-training texts are put back by their place in the source, and the few-shot rows are drawn again; else a sentence
stands for each.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pandas as pd

from metapt_explore.config import EXAMPLES, to_yaml
from metapt_explore.errors import UserError
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.files import write_bytes, write_json, write_table
from metapt_explore.storage.integrity import payloads
from metapt_explore.storage.stage_file import FILES, STAGE, StageRecord, sealed, sum_of, sum_of_file, write_stage
from metapt_explore.storage.studies import IndexEntry
from metapt_explore.storage.study_files import write_with_copy
from metapt_explore.storage.workspace import Workspace

NAME = "tour-example"
ARCHIVE = EXAMPLES / "tour-example.zip"
#: What stands for a text whose package is not installed.
MISSING = "(this text comes with the starter packages: metapt setup)"
#: Columns that hold texts.
TEXT_COLUMNS = ("text", "text_pair", "held_out_text")
#: Artifacts of which only the question is kept: large, and only of use with the texts.
WITHOUT_TENSORS = ("embeddings", "hidden_states")


def pack_example(workspace: Workspace, study: str, file: Path = ARCHIVE) -> int:
    """Packs a finished study without its texts; returns the size in bytes.

    Args:
        workspace: Where it was run.
        study: Its name.
        file: The archive to write.
    """
    config = workspace.study_config(study).model_copy(update={"name": NAME})
    index = workspace.index(study)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        folder = f"studies/{NAME}"
        archive.writestr(f"{folder}/study.yaml", to_yaml(config))
        archive.writestr(f"{folder}/index.json", json.dumps(index))
        for identifier in dict.fromkeys(str(entry["id"]) for entry in index):
            artifact = workspace.artifact(identifier)
            if not artifact.finished:
                raise UserError(f"The artifact {artifact.id} is not finished ({artifact.status}): run the study first.")
            names = [
                name
                for name in payloads(artifact.folder)
                if not (artifact.id.startswith(WITHOUT_TENSORS) and name.endswith(".safetensors"))
            ]
            contents = {name: _without_texts(artifact.file(name)) for name in names}
            sums = {name: sum_of(content) for name, content in contents.items()}
            stage: StageRecord = {**artifact.stage, FILES: sums}
            for name, content in contents.items():
                archive.writestr(f"artifacts/{artifact.id}/{name}", content)
            archive.writestr(f"artifacts/{artifact.id}/{STAGE}", json.dumps(sealed(stage), indent=2))
    write_bytes(file, packed.getvalue())
    return len(packed.getvalue())


def _without_texts(path: Path) -> bytes:
    if path.suffix != ".parquet":
        return path.read_bytes()
    table = pd.read_parquet(path)
    for column in TEXT_COLUMNS:
        if column in table:
            table[column] = ""
    out = io.BytesIO()
    table.to_parquet(out, index=False, compression="zstd")
    return out.getvalue()


def open_example(workspace: Workspace) -> str:
    """Puts the example into a workspace, unless it is there, and returns its name.

    Raises:
        UserError: Where this installation has no example.
    """
    if (workspace.study_folder(NAME) / "study.yaml").exists():
        return NAME
    if not ARCHIVE.exists():
        raise UserError("This installation holds no example study; `metapt tour` makes one.")
    with zipfile.ZipFile(ARCHIVE) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        for name in names:
            target = (workspace.folder / name).resolve()
            if not target.is_relative_to(workspace.folder):
                raise UserError(f"{ARCHIVE} is damaged: it holds {name}.")
            # What the workspace has computed itself stays.
            if name.startswith("artifacts/") and target.parent.exists() and target.exists():
                continue
            if not name.endswith("index.json") and not name.endswith("study.yaml"):
                write_bytes(target, archive.read(name))
        # Last, so that no page finds a study whose artifacts are not there yet.
        index = json.loads(archive.read(f"studies/{NAME}/index.json"))
        for entry in index:
            _put_texts_back(workspace.artifact(entry["id"]), entry)
        folder = workspace.study_folder(NAME)
        workspace.write_index(NAME, index)
        write_json(folder / "job.json", {"status": "done", "fraction": 1.0, "began": 0.0, "updated": 0.0})
        write_with_copy(folder / "study.yaml", archive.read(f"studies/{NAME}/study.yaml"))
    return NAME


def _put_texts_back(artifact: Artifact, entry: IndexEntry) -> None:
    """Fills in texts by their place in the source, where the source is on this machine; rows of tasks are drawn again.

    What stays without its texts or tensors says so (`Artifact.is_whole`). A study that needs it, the tour itself among
    them, then makes it anew instead of learning from sentences that stand for texts.
    """
    kind = entry["kind"]
    if kind in WITHOUT_TENSORS and not (artifact.folder / f"{kind}.safetensors").exists():
        _mark(artifact)
    if kind not in ("texts", "split"):
        return
    name = "texts" if kind == "texts" else "rows"
    table = artifact.table(name)
    if "text" not in table or (table["text"] != "").any():
        return
    found = _source_texts(table) if name == "texts" else _task_texts(artifact, entry)
    if found is None:
        table["text"] = MISSING
        _mark(artifact)
    else:
        table["text"] = found
    file = artifact.folder / f"{name}.parquet"
    write_table(file, table)
    stage = artifact.stage
    if FILES in stage:
        write_stage(artifact.folder, {**stage, FILES: {**stage[FILES], file.name: sum_of_file(file)}})


def _mark(artifact: Artifact) -> None:
    write_stage(artifact.folder, {**artifact.stage, "without_texts": True})


def _source_texts(table: pd.DataFrame) -> list[str] | None:
    """Texts of the tour's source by their place, where it is on this machine."""
    from metapt_explore.config import load_study
    from metapt_explore.texts.sources import load_source

    if "source_row" not in table:
        return None
    try:
        source = list(load_source(load_study("tour").texts)["text"])
    except UserError:
        return None
    return [source[row] if 0 <= row < len(source) else MISSING for row in table["source_row"]]


def _task_texts(split: Artifact, entry: IndexEntry) -> list[str] | None:
    """Texts of a task's few-shot rows, where its source is on this machine and gives the very same rows."""
    from metapt_explore.config import load_study, load_task
    from metapt_explore.stages.split import drawn_rows

    try:
        splits, rows = drawn_rows(load_study("tour"), load_task(str(entry["task"])))
    except UserError:
        return None
    return rows["text"].to_list() if splits.checksums == split.summary["checksums"] else None
