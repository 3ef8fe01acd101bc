"""A small data set and a finished run for all tests to look at."""

from __future__ import annotations

from pathlib import Path

import pytest
from commanding import Command, delineate


@pytest.fixture(scope="session")
def command() -> Command:
    """`delineate`, run to its end."""
    return delineate


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen small ultrasound phantoms."""
    folder = tmp_path_factory.mktemp("phantoms") / "lesions"
    done = delineate("phantom", "ultrasound", folder, "--count", "15", "--size", "64x48")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def finished_run(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on them, trained for a few epochs."""
    folder = tmp_path_factory.mktemp("runs") / "lesions"
    done = delineate("train", small_data, "--out", folder, "--epochs", "6")
    assert done.returncode == 0, done.stderr
    return folder
