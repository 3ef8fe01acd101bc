"""`train --resume`: every option of a new run beside it is refused by its name, whichever there will be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from delineate.cli import train as command
from delineate.errors import UsageError
from delineate.jobs import training

app = typer.Typer(add_completion=False)
app.command()(command.train)
OPTIONS = {parameter.name: parameter for parameter in typer.main.get_command(app).params if parameter.name}
VALUES = {"preset": "auto", "precision": "fp32", "fourth_axis": "channels", "log": "tensorboard", "dims": "2"}


class ReachedError(Exception):
    """The run would go on now."""


@pytest.fixture(autouse=True)
def _no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def resume(*_: object, **options: Any) -> None:
        raise ReachedError

    monkeypatch.setattr(training, "resume", resume)


def told(tmp_path: Path, name: str) -> BaseException | None:
    option = OPTIONS[name]
    given: list[str] = [] if name == "resume" else [option.opts[0]]
    if name == "data":
        given = ["data"]
    elif not getattr(option, "is_flag", False) and name != "resume":
        given.append(VALUES.get(name, "1"))
    return CliRunner().invoke(app, ["--resume", str(tmp_path), *given]).exception


def test_what_may_stand_beside_it_is_there() -> None:
    assert set(OPTIONS) >= command.RESUMING
    assert len(OPTIONS) > 25


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_each_option_of_a_new_run_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    found = told(tmp_path, name)
    if name in command.RESUMING:
        assert isinstance(found, ReachedError)
    else:
        assert isinstance(found, UsageError)
        assert f"omit {OPTIONS[name].opts[0]}." in str(found)
