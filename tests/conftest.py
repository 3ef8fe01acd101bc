"""What all tests share: where the real data lie, and quiet, repeatable property tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: several tests run at once
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # what tests expect, to the bit, is the processor's
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # for the tests that import ONNX Runtime themselves

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def _cache_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests, and the commands they start, leave the user's cache alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets; tests that need it are skipped where it is missing."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("DELINEATE_TEST_DATA", default))
    if not root.is_dir():
        pytest.skip(f"the real data sets are not at {root}; set DELINEATE_TEST_DATA to their folder")
    return root
