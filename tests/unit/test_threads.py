"""Threads: the number asked for while it runs, the caller's own afterwards, in every job."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import delineate
from delineate.dataset.inspection import in_threads
from delineate.errors import DelineateWarning, UsageError
from delineate.threads import at_most, computing_threads, limiting_threads, processors, usual_threads

OWN = 3


@pytest.fixture(autouse=True)
def _own_number(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("delineate.threads.processors", lambda: 8)
    before = torch.get_num_threads()
    torch.set_num_threads(OWN)
    yield
    assert torch.get_num_threads() == OWN
    torch.set_num_threads(before)


def test_the_number_holds_within_the_block_alone() -> None:
    with computing_threads(2):
        assert torch.get_num_threads() == 2
        assert (at_most(1), at_most(5)) == (1, 2)
        with computing_threads(1):
            assert torch.get_num_threads() == at_most(5) == 1
        assert torch.get_num_threads() == at_most(5) == 2
    assert (torch.get_num_threads(), at_most(5)) == (OWN, 5)
    with computing_threads(None):
        assert (torch.get_num_threads(), at_most(5)) == (OWN, 5)


def test_the_callers_number_is_given_back_also_after_an_error() -> None:
    with pytest.raises(KeyError), computing_threads(1):
        raise KeyError
    assert (torch.get_num_threads(), at_most(5)) == (OWN, 5)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True])
def test_what_is_no_number_of_threads_is_refused(threads: int) -> None:
    told = "threads cannot compute: give --threads a whole number"
    with pytest.raises(UsageError, match=told), computing_threads(threads):
        pass


def test_more_threads_than_processors_are_warned_of_and_not_taken() -> None:
    told = "1000 threads are more than the 8 processors.*: 8 are taken"
    with pytest.warns(DelineateWarning, match=told), computing_threads(1000):
        assert torch.get_num_threads() == 8
    with computing_threads(8):
        assert torch.get_num_threads() == 8
    with computing_threads(np.int64(2)):  # type: ignore[arg-type]  # a whole number all the same
        assert torch.get_num_threads() == 2


def test_a_function_runs_with_the_threads_of_its_argument() -> None:
    @limiting_threads
    def found(value: int, *, threads: int | None = None) -> tuple[int, int | None, int]:
        """Documented."""
        return value, threads, torch.get_num_threads()

    assert found(7) == (7, None, OWN)
    assert found(7, threads=2) == (7, 2, 2)
    assert found.__doc__ == "Documented."


@pytest.mark.parametrize("job", [delineate.train, delineate.evaluate, delineate.predict])
def test_every_job_refuses_what_is_no_number_before_anything_else(job: object, tmp_path: Path) -> None:
    arguments = ["none", "none", tmp_path / "out"][: 3 if job is delineate.predict else 2]
    arguments = arguments[:1] if job is delineate.train else arguments
    with pytest.raises(UsageError, match="0 threads cannot compute"):
        job(*arguments, threads=0)  # type: ignore[operator]  # each of them is a function
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("threads", "at_once"), [(1, 1), (5, 2), (None, 2)])
def test_files_are_read_by_no_more_threads(threads: int | None, at_once: int) -> None:
    together, seen = threading.Barrier(at_once), set[int]()

    def read(item: int) -> int:
        seen.add(threading.get_ident())
        together.wait(60)  # so many at a time there must be
        return item

    with computing_threads(threads):
        assert list(in_threads(read, range(8), lambda *_: None)) == list(range(8))
    assert len(seen) == at_once


def test_this_machine_has_a_processor() -> None:
    assert processors() >= 1


@pytest.mark.parametrize(("told", "number"), [("3", 3), ("3,2", 3), ("99", 8), ("0", 1), ("", 8), ("all", 8)])
def test_the_usual_number_is_openmps(told: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert usual_threads() == number
