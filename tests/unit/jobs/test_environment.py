from __future__ import annotations

from pathlib import Path

import pytest

from delineate.errors import DataError, UsageError
from delineate.jobs.environment import NAME, describe, read_environment, write_environment
from delineate.jobs.source import Source


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    source = Source(tmp_path / "data", tmp_path / "test", "1=liver", "^(.)", "tensorboard")
    environment = describe(source, data_sha256="0" * 64, precision="bf16", plan_given=True)
    write_environment(tmp_path, environment)
    found = read_environment(tmp_path)
    assert found == environment
    assert found.source() == source
    assert found.software["torch"].startswith("2.")


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"data": 1}', "\x00"])
def test_a_damaged_one_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(content)
    with pytest.raises(DataError, match="is damaged"):
        read_environment(tmp_path)


def test_a_folder_without_one_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no run"):
        read_environment(tmp_path)
