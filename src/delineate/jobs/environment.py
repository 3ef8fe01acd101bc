"""What a run was made with: `environment.json`."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from delineate.errors import DataError, UsageError
from delineate.files import write_text
from delineate.jobs.software import software_versions
from delineate.jobs.source import Log, Source

NAME = "environment.json"


class Environment(BaseModel):
    """What a run was made with, and where its data lie, so that it can go on.

    Attributes:
        data: The data set's folder or table.
        test: The test set's; None without one.
        labels: The option `--labels`.
        group_regex: The option `--group-regex`.
        data_sha256: Of the training cases' pixels and masks in order: a resumed run must find the same.
        log: A further log that is kept.
        software: Name → version.
        processor: Architecture and number.
        system: The operating system.
        threads: Used for computing.
        plan_given: Whether the plan came from a file of the user's.
        precision: That the net is trained in.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    test: str | None = None
    labels: str | None = None
    group_regex: str | None = None
    data_sha256: str
    log: Log | None = None
    software: dict[str, str]
    processor: str
    system: str
    threads: int
    plan_given: bool
    precision: Literal["bf16", "fp32"]

    def source(self) -> Source:
        """The data of the run."""
        test = Path(self.test) if self.test is not None else None
        return Source(Path(self.data), test, self.labels, self.group_regex, self.log)


def describe(
    source: Source, *, data_sha256: str, precision: Literal["bf16", "fp32"], plan_given: bool
) -> Environment:
    """What a run beginning now is made with."""
    import torch  # noqa: PLC0415  heavy

    return Environment(
        data=str(source.data.absolute()),
        test=str(source.test.absolute()) if source.test is not None else None,
        labels=source.labels,
        group_regex=source.group_regex,
        data_sha256=data_sha256,
        log=source.log,
        software=software_versions(),
        processor=f"{platform.machine()}, {os.cpu_count()} of them",
        system=f"{platform.system()} {platform.release()}",
        threads=torch.get_num_threads(),
        plan_given=plan_given,
        precision=precision,
    )


def write_environment(folder: Path, environment: Environment) -> None:
    """Write `environment.json`, whole or not at all.

    Raises:
        OutputError: The place cannot be written.
    """
    write_text(folder / NAME, environment.model_dump_json(indent=2) + "\n")


def read_environment(folder: Path) -> Environment:
    """Read a run's `environment.json`.

    Raises:
        UsageError: It is missing.
        DataError: It is damaged.
    """
    path = folder / NAME
    try:
        return Environment.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"{folder} is no run that can go on: {NAME} cannot be read ({error.strerror or error}). "
            "Give the folder that delineate train wrote."
        ) from error
    except (ValidationError, ValueError) as error:
        raise DataError(f"{path} is damaged. Train anew in another folder.") from error
