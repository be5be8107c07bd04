"""`metapt data check --fix`: what it writes is read as it was, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner
from written_files import LABELLED, write

from metapt_explore.cli.main import metapt
from metapt_explore.config import SourceConfig
from metapt_explore.datacheck.check import check_file
from metapt_explore.datacheck.repair import write_repaired
from metapt_explore.errors import UserError
from metapt_explore.texts.sources import load_source

# ------------------------------------------------------------------------------------------- repairing


CELLS = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\r"), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(CELLS, st.sampled_from(["0", "1", " 1"])), min_size=1, max_size=8),
    st.sampled_from([".csv", ".tsv", ".jsonl"]),
)
def test_what_is_repaired_is_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], suffix: str
) -> None:
    folder = tmp_path_factory.mktemp("repair")
    file = folder / "a.jsonl"
    file.write_text(
        "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows), encoding="utf-8"
    )
    checked = check_file(file, LABELLED)
    if not any(text.strip() for text, _ in rows):
        return
    try:
        counts = write_repaired(checked.rows, folder / f"out{suffix}", keep_missing=True)
    except UserError as error:
        assert "no row is left" in str(error) and not (folder / f"out{suffix}").exists()
        return
    assert sum(counts[kind] for kind in counts if not kind.startswith("labels")) == len(rows)
    again = check_file(folder / f"out{suffix}", LABELLED)
    assert not [
        f for f in again.findings if f.level == "error" or f.kind in ("duplicate", "blank", "conflicting labels")
    ]
    given_texts = {text.replace("\r\n", "\n") for text, _ in rows}
    read = load_source(SourceConfig(file=str(folder / f"out{suffix}"), columns=LABELLED))
    assert set(read["text"]) <= given_texts and set(read["label"]) <= {"0", "1"}
    assert again.rows.texts == read["text"], "the check and the study read one thing"


def test_repair_keeps_the_first_labelled_copy_and_never_overwrites(tmp_path: Path) -> None:
    file = write(
        tmp_path / "a.csv",
        "id,text,label",
        "1,a fine film,",
        "2,a fine film,1",
        "3,so so film,0",
        "4,so so film,1",
        "5,,1",
    )
    rows = check_file(file, LABELLED).rows
    out = tmp_path / "out.csv"
    assert write_repaired(rows, out) == {"written": 1, "duplicate": 1, "conflicting": 2, "blank": 1}
    assert out.read_bytes() == b"id,text,label\r\n2,a fine film,1\r\n"
    with pytest.raises(UserError, match="exists"):
        write_repaired(rows, out)
    with pytest.raises(UserError, match=r"\.csv, \.tsv or \.jsonl"):
        write_repaired(rows, tmp_path / "out.parquet")


# ----------------------------------------------------------------------------------------- the command


def test_the_command_says_repairs_and_exits_with_one(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "text;label", "très bien fait;1", "pas si bien fait;0", encoding="latin-1")
    run = CliRunner().invoke(metapt, ["data", "check", str(file), "--fix", str(tmp_path / "b.csv")])
    assert run.exit_code == 1
    assert "latin-1" in run.output and "semicolons" in run.output and "2 rows written" in run.output
    run = CliRunner().invoke(metapt, ["data", "check", str(tmp_path / "b.csv")])
    assert run.exit_code == 0 and "Nothing is wrong" in run.output
    run = CliRunner().invoke(metapt, ["data", "check", str(file), "--json"])
    facts = json.loads(run.output)
    assert (
        facts["separator"] == ";"
        and facts["rows"] == 2
        and {f["kind"] for f in facts["findings"]} == {"encoding", "separator"}
    )


def test_the_example_in_the_docs_is_what_the_command_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "own-data.md").read_text(encoding="utf-8")
    shown = docs.split("--fix menus-utf8.csv\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    rows = "dish;verdict\na soup of the day;1\ncrème brûlée, burnt;0\n;1\nA soup of the day!;1\n"
    (tmp_path / "menus.csv").write_bytes(rows.encode("latin-1"))
    run = CliRunner().invoke(metapt, ["data", "check", "menus.csv", "--fix", "menus-utf8.csv"])
    assert run.output == shown
