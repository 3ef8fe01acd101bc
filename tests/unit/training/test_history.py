"""`metrics.csv`: what is read is what was written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.errors import OutputError
from delineate.training.history import HistoryRow, read_history, write_history

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
ROWS = st.lists(
    st.builds(
        HistoryRow,
        step=st.integers(1, 10**7),
        seconds=NUMBERS,
        learning_rate=NUMBERS,
        train_loss=NUMBERS,
        train_dice=NUMBERS,
        validation_dice=st.none() | NUMBERS,
    ),
    max_size=5,
)


@given(ROWS)
def test_a_round_trip_keeps_every_bit(
    tmp_path_factory: pytest.TempPathFactory, rows: list[HistoryRow]
) -> None:
    path = tmp_path_factory.mktemp("history") / "metrics.csv"
    write_history(path, rows)
    assert read_history(path) == rows
    write_history(path, rows[:1])  # written anew, not added to
    assert read_history(path) == rows[:1]


def test_the_file_is_plain_to_read(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    write_history(
        path, [HistoryRow(10, 1.5, 0.01, 0.25, 0.5, None), HistoryRow(20, 3.0, 1e-07, 0.125, 0.75, 0.7)]
    )
    assert path.read_bytes() == (
        b"step,seconds,learning_rate,train_loss,train_dice,validation_dice\n"
        b"10,1.5,0.01,0.25,0.5,\n"
        b"20,3.0,1e-07,0.125,0.75,0.7\n"
    )


def test_an_absent_file_has_no_rows(tmp_path: Path) -> None:
    assert read_history(tmp_path / "metrics.csv") == []


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"Cannot write .*metrics\.csv"):
        write_history(tmp_path / "gone" / "metrics.csv", [])
