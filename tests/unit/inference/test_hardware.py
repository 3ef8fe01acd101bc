"""How much memory there is, as the system says it, and whether a GPU is of use."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from delineate.errors import DelineateWarning
from delineate.inference import hardware


def told(folder: Path, monkeypatch: pytest.MonkeyPatch, meminfo: str | None, **container: str) -> int | None:
    monkeypatch.setattr(hardware, "MEMINFO", folder / "meminfo")
    monkeypatch.setattr(hardware, "CONTAINER", folder)
    if meminfo is not None:
        (folder / "meminfo").write_text(meminfo)
    for name, value in container.items():
        (folder / f"memory.{name}").write_text(value)
    return hardware.free_memory_bytes()


def test_what_is_available_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "MemTotal:  9000 kB\nMemFree:  10 kB\nMemAvailable:    4000 kB\n"
    assert told(tmp_path, monkeypatch, text) == 4000 * 1024
    assert told(tmp_path, monkeypatch, text, max="max\n", current="5\n") == 4000 * 1024


def test_a_containers_limit_counts_where_it_is_lower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "MemAvailable: 4000 kB\n"
    assert told(tmp_path, monkeypatch, text, max="3000000\n", current="1000000\n") == 2_000_000
    assert told(tmp_path, monkeypatch, text, max="1000\n", current="5000\n") == 0
    assert told(tmp_path, monkeypatch, text, max="99000000\n", current="0\n") == 4000 * 1024


def test_files_that_a_container_keeps_in_memory_are_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "MemAvailable: 4000 kB\n"
    stat = "anon 100000\nactive_file 50000\ninactive_file 800000\n"
    assert told(tmp_path, monkeypatch, text, max="3000000\n", current="1000000\n", stat=stat) == 2_800_000
    assert told(tmp_path, monkeypatch, text, current="700000\n", stat=stat) == 3_000_000
    assert told(tmp_path, monkeypatch, text, current="1000000\n", stat="inactive_file many\n") == 2_000_000


@pytest.mark.parametrize("text", [None, "", "MemAvailable: many\n"])
def test_without_a_word_of_it_the_machines_memory_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 7, "SC_PAGE_SIZE": 4096}.__getitem__)
    assert told(tmp_path, monkeypatch, text) == 7 * 4096


def test_memory_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "STATUS", tmp_path / "status")
    assert hardware.process_memory() is None
    (tmp_path / "status").write_text("Name:\tpython\nVmHWM:\t    3000 kB\nVmRSS:\t    2000 kB\n")
    assert hardware.process_memory() == hardware.ProcessMemory(2000 * 1024, 3000 * 1024)
    (tmp_path / "status").write_text("Name:\tpython\nVmHWM:\t    3000 kB\n")
    assert hardware.process_memory() is None


@pytest.fixture
def with_card(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A card that is there; computing on it fails, as this PyTorch has no part for it, or sees none."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    hardware.computing_device.cache_clear()
    hardware.has_fast_bf16.cache_clear()
    yield
    hardware.computing_device.cache_clear()
    hardware.has_fast_bf16.cache_clear()


@pytest.mark.usefixtures("with_card")
def test_a_card_that_cannot_compute_is_told_of_once_and_left_aside() -> None:
    with pytest.warns(DelineateWarning, match="The GPU is not used, as PyTorch cannot: "):
        assert hardware.computing_device() == "cpu"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert hardware.computing_device() == "cpu"
        assert hardware.has_fast_bf16() == hardware.has_fast_bf16("cpu")


@pytest.mark.usefixtures("with_card")
def test_a_card_that_computes_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    ones = torch.ones
    monkeypatch.setattr(torch, "ones", lambda *size, **_: ones(*size))
    assert hardware.computing_device() == "cuda"
    assert hardware.has_fast_bf16()


@pytest.mark.usefixtures("with_card")
def test_the_processors_numbers_are_not_those_of_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert not hardware.has_fast_bf16("cpu")
    assert hardware.has_fast_bf16("cuda")
