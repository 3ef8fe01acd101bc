"""The commands that install extras."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path

import pytest

from delineate.extras import installing

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_the_packages_of_an_extra_are_named(extra: str) -> None:
    pip, install, *packages = shlex.split(installing(extra))
    assert (pip, install) == ("pip", "install")
    assert sorted(map(str.lower, packages)) == sorted(map(str.lower, EXTRAS[extra]))
