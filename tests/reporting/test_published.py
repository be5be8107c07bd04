"""Opening a published record: from a folder, a zip or loose files; what is hostile or no record is refused."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from metapt_explore.errors import UserError
from metapt_explore.reporting import published
from metapt_explore.results import record_files
from metapt_explore.storage.workspace import Workspace

LOOK = Path(__file__).parents[2] / "studies" / "look"


def zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


def own_files() -> dict[str, bytes]:
    return {name: (LOOK / name).read_bytes() for name in published.FILES if (LOOK / name).exists()}


def as_parquet(table: pd.DataFrame) -> bytes:
    packed = io.BytesIO()
    table.to_parquet(packed, index=False)
    return packed.getvalue()


def test_folder_zip_and_loose_files_are_one_record(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    file = tmp_path / "look.zip"
    file.write_bytes(zipped({f"studies/look/{name}": data for name, data in own_files().items()}))
    opened = [
        published.open_record(workspace, LOOK),
        published.open_record(workspace, file),
        published.open_files(workspace, own_files() | {"report.md": b"left out"}, "upload"),
    ]
    assert set(opened) == {"record:look"} == set(published.record_names(workspace))
    record = published.read_record(workspace, "record:look")
    assert len(record.results) == 60 and record.methods == ["PT", "PPT", "MetaPT"]
    # Another record of the same name stands beside it.
    facts = json.loads((LOOK / "record.json").read_bytes()) | {"title": "Another"}
    again = published.open_files(workspace, own_files() | {"record.json": json.dumps(facts).encode()}, "upload")
    assert again == "record:look-2" and published.read_record(workspace, again).title == "Another"
    published.remove_record(workspace, again)
    assert published.record_names(workspace) == ["record:look"] and LOOK.exists()


def results(change: Callable[[pd.DataFrame], pd.DataFrame]) -> dict[str, bytes]:
    return own_files() | {"results.parquet": as_parquet(change(pd.read_parquet(LOOK / "results.parquet")))}


def facts(**change: object) -> dict[str, bytes]:
    known = json.loads((LOOK / "record.json").read_bytes())
    return own_files() | {"record.json": json.dumps(known | change).encode()}


HOSTILE = {
    "a path outside": ({"a.zip": zipped({"../../evil": b"x", **own_files()})}, "leads outside"),
    "an absolute path": ({"a.zip": zipped({"/etc/evil": b"x", **own_files()})}, "leads outside"),
    "a Windows path": ({"a.zip": zipped({"..\\evil": b"x", **own_files()})}, "leads outside"),
    "two records": ({"a.zip": zipped({f"{n}/record.json": b"{}" for n in "ab"})}, "holds 2 records"),
    "no record": ({"a.zip": zipped({"readme.txt": b"x"})}, "missing: record.json, study.yaml"),
    "no zip": ({"a.zip": b"PK\x03\x04 not really"}, "cannot be unpacked"),
    "a zip and files": ({"a.zip": zipped(own_files()), **own_files()}, "one zip, or the files"),
    "a cut table": (
        own_files() | {"curves.parquet": own_files()["curves.parquet"][:500]},
        "curves.parquet is no Parquet",
    ),
    "a missing column": (results(lambda t: t.drop(columns="accuracy")), "no column 'accuracy'"),
    "percent": (results(lambda t: t.assign(accuracy=71.3)), "shares of 1"),
    "names that are numbers": (results(lambda t: t.assign(method=1)), "must hold names"),
    "no row": (results(lambda t: t.head(0)), "no rows"),
    "a score twice": (results(lambda t: pd.concat([t, t])), "stands twice"),
    "a name that leads out": (facts(name="../../evil"), "record.json: name"),
    "facts of another kind": (facts(tasks=[3]), "do not hold what a record holds"),
    "unknown facts": (facts(surprise=1), "damaged"),
    "no methods": (own_files() | {"study.yaml": b"name: look\n"}, "do not hold"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_no_record_is_refused_with_one_sentence(tmp_path: Path, case: str) -> None:
    files, said = HOSTILE[case]
    workspace = Workspace(tmp_path / "workspace")
    with pytest.raises(UserError, match=r"^[^\n]+$") as refused:
        published.open_files(workspace, files, "upload")
    assert said in str(refused.value)
    assert published.record_names(workspace) == [] and not list(tmp_path.rglob("evil"))


def test_sizes_are_bounded_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(tmp_path / "workspace")
    monkeypatch.setattr(record_files, "MOST_BYTES", 1000)
    for source in (LOOK, tmp_path / "look.zip"):
        if source.suffix:
            source.write_bytes(zipped(own_files()))
        with pytest.raises(UserError, match="MiB; at most"):
            published.open_record(workspace, source)
    monkeypatch.undo()
    monkeypatch.setattr(record_files, "MOST_ROWS", 10)
    with pytest.raises(UserError, match="60 rows"):
        published.open_record(workspace, LOOK)
    with pytest.raises(UserError, match="There is no folder or file"):
        published.open_record(workspace, tmp_path / "nowhere")


def test_a_record_without_times_or_curves_opens(tmp_path: Path) -> None:
    shutil.copytree(LOOK, tmp_path / "look")
    bare = pd.read_parquet(LOOK / "results.parquet")[list(published.SCORES)]
    bare.to_parquet(tmp_path / "look" / "results.parquet", index=False)
    pd.DataFrame().to_parquet(tmp_path / "look" / "curves.parquet")
    record = published.read_record(
        workspace := Workspace(tmp_path), published.open_record(workspace, tmp_path / "look")
    )
    assert record.results["start_accuracy"].isna().all() and record.curves.empty
