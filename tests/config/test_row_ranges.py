from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metapt_explore.config.row_ranges import format_rows, parse_rows


@given(st.sets(st.integers(0, 500)))
def test_rows_are_read_as_they_were_written(rows: set[int]) -> None:
    assert parse_rows(format_rows(rows)) == sorted(rows)


def test_any_way_to_write_them() -> None:
    assert parse_rows(" 3,1 1–2;".rstrip(";")) == [1, 2, 3] and parse_rows("") == []


@pytest.mark.parametrize("text", ["a", "-1", "1-", "2-1", "1.5", "٣", "0-99999999", "1" * 12, "1-2-3"])
def test_what_is_no_row_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="'"):
        parse_rows(text)
