"""Good files with bytes flipped, cut or put in: read, or refused in a sentence, and never anything else."""

from __future__ import annotations

import gzip
import io
import json
import random
import zipfile
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from soak import examples
from tally import tried

from metapt_explore.config import Columns, SourceConfig
from metapt_explore.datacheck.check import check_file
from metapt_explore.datacheck.repair import write_repaired
from metapt_explore.errors import UserError
from metapt_explore.texts.sources import load_source

QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}
FOREIGN = "hunter2-is-a-password"
#: What is put between the bytes of a good file: marks, quotes, numbers and names that parsers stumble over.
PIECES = [
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b'""', b",", b";", b"\t", b"\r", b"\r\n", b"\n\n", b"{", b"[", b"}]",
    b"sep=;\n", b"# note\n", b"\xed\xa0\x80", b"\\ud83d", b"NaN", b"Infinity", b"1e999", b"9" * 5000, b"[" * 3000,
    b'{"text":1,"text":2}', b"PAR1", b"PK\x03\x04", b"\x1f\x8b\x08", b"<!ENTITY a 'b'>", b"\x80" * 9, b"=1+1",
    b'<row r="99999999999">', b'r="ZZZZ9"', b"-1", b"\x7f\xff\xff\xff",
]  # fmt: skip


@cache
def good(kind: str) -> bytes:
    """A good file of a kind."""
    rows = [{"text": f"this is text number {n}, it's “fine”\nindeed", "label": n % 2, "note": None} for n in range(12)]
    frame = pd.DataFrame(rows)
    stream = io.BytesIO()
    if kind == "csv":
        return frame.to_csv(index=False).encode()
    if kind == "tsv":
        return frame.to_csv(index=False, sep="\t").encode()
    if kind == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    if kind == "json":
        return json.dumps({"data": rows}, indent=1).encode()
    if kind == "parquet":
        frame.to_parquet(stream, index=False)
    elif kind == "xlsx":
        pytest.importorskip("openpyxl")
        frame.to_excel(stream, index=False)
    elif kind == "csv.gz":
        return gzip.compress(good("csv"), mtime=0)
    else:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("rows.csv", good("csv"))
    return stream.getvalue()


def mutate(data: bytes, dice: random.Random) -> bytes:
    """A few bytes flipped, cut out, doubled or put in."""
    changed = bytearray(data)
    for _ in range(dice.choice([1, 1, 1, 2, 5, 20])):
        place = dice.randrange(len(changed) + 1)
        what = dice.randrange(6)
        if what == 0 and place < len(changed):
            changed[place] ^= 1 << dice.randrange(8)
        elif what == 1 and place < len(changed):
            changed[place] = dice.choice((0, 0x7F, 0x80, 0xFF))
        elif what == 2:
            del changed[place : place + dice.choice((1, 2, 8, 64, len(changed)))]
        elif what == 3:
            changed[place:place] = changed[place : place + dice.choice((1, 8, 64))]
        else:
            changed[place:place] = dice.choice(PIECES)
    return bytes(changed)


def repack(data: bytes, dice: random.Random) -> bytes:
    """A workbook, one of whose parts is changed before it is packed: its checksums hold."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        changed = dice.choice(names)
        for name in names:
            new.writestr(name, mutate(old.read(name), dice) if name == changed else old.read(name))
    return stream.getvalue()


def read_every_way(path: Path) -> None:
    """As the check, --fix and a study do; a refusal is a sentence on one line, with the file's name in it."""
    columns = Columns(text="text", label="label")
    try:
        checked = check_file(path)
        out = path.with_name("repaired.jsonl")
        out.unlink(missing_ok=True)
        write_repaired(checked.rows, out)
        again = check_file(out, checked.rows.columns)
        assert not [finding for finding in again.findings if finding.level == "error"]
    except UserError as error:
        is_a_sentence(str(error), path)
    try:
        rows = load_source(SourceConfig(file=str(path), columns=columns))
        for text in rows["text"]:
            text.encode("utf-8")
    except UserError as error:
        is_a_sentence(str(error), path)


def is_a_sentence(said: str, path: Path) -> None:
    assert str(path) in said and len(said) < 2500
    assert not [letter for letter in said if not letter.isprintable()], said
    assert "Traceback" not in said and FOREIGN not in said


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "json", "parquet", "xlsx", "csv.gz", "csv.zip"])
@settings(max_examples=examples(40), **QUIET)
@given(seed=st.integers(0, 2**48))
def test_a_damaged_table_is_read_or_refused(tmp_path: Path, kind: str, seed: int) -> None:
    tried("inputs")
    dice = random.Random(seed)
    data = good(kind)
    path = tmp_path / f"table.{kind}"
    path.write_bytes(repack(data, dice) if kind == "xlsx" and dice.random() < 0.7 else mutate(data, dice))
    read_every_way(path)


@settings(max_examples=examples(40), **QUIET)
@given(data=st.binary(max_size=300), kind=st.sampled_from(["csv", "tsv", "jsonl", "json", "parquet", "xlsx", "csv.gz"]))
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes, kind: str) -> None:
    tried("inputs")
    path = tmp_path / f"table.{kind}"
    path.write_bytes(data)
    read_every_way(path)


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "json", "parquet", "xlsx", "csv.gz", "csv.zip"])
@pytest.mark.parametrize(
    "secret",
    [
        f"root:x:0:0:{FOREIGN}:/root:/bin/sh\nother:x:1:1::/:/bin/sh\n",
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{FOREIGN}\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----\n",
        f"password={FOREIGN}\nuser=me\n",
        f"{FOREIGN}\n",
        f"[default]\nkey = {FOREIGN}\n",
        f'{{"password": "{FOREIGN}", }}\n',
        f'"password": "{FOREIGN}\n',
        f"caf\xe9 {FOREIGN}\n",
    ],
)
def test_an_error_quotes_nothing_of_a_file_that_is_no_table(tmp_path: Path, kind: str, secret: str) -> None:
    path = tmp_path / f"table.{kind}"
    path.write_bytes(secret.encode("latin-1"))
    with pytest.raises(UserError) as caught:
        load_source(SourceConfig(file=str(path), columns=Columns(text="text", label="label")))
    is_a_sentence(str(caught.value), path)
