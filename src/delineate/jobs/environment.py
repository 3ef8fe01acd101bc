"""What a run was made with, `environment.json`, and where its data lie, `private/source.json`."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from delineate.choices import FloatPrecision, FourthAxis
from delineate.dataset.pseudonyms import PRIVATE, Pseudonyms, private_folder
from delineate.errors import DataError, UsageError
from delineate.files import write_text
from delineate.formats import Reading
from delineate.inference.hardware import computing_device
from delineate.jobs.expectation import Expectation
from delineate.jobs.software import software_versions
from delineate.jobs.source import Log, Source

NAME = "environment.json"
SOURCE_NAME = "source.json"


class Environment(BaseModel):
    """What a run was made with; nothing of it says whose the data are or where they lie.

    Attributes:
        labels: The option `--labels`.
        data_sha256: Of the training cases' pixels, places and masks in order: a resumed run must find them.
        log: A further log that is kept.
        software: Name → version.
        processor: Architecture and number.
        device: What computes the net: "cpu", or the GPU's name; None in older files, which do not say it.
        system: The operating system.
        threads: Used for computing.
        plan_given: Whether the plan came from a file of the user's.
        splits_given: Whether the division into parts did.
        precision: That the net is trained in.
        folds: Of a cross-validation; 0 without one.
        ensemble: Whether the nets of the folds are the model.
        started_from: Hash of the weights that the training starts from; None for random ones.
        encoder_sha256: Of the file of weights that the net's encoder starts from; None without one.
        expected: What the training was expected to take; None until it is measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: str | None = None
    data_sha256: str
    log: Log | None = None
    software: dict[str, str]
    processor: str
    device: str | None = None
    system: str
    threads: int
    plan_given: bool
    splits_given: bool = False
    precision: FloatPrecision
    folds: Annotated[int, Field(ge=0)] = 0
    ensemble: bool = False
    started_from: str | None = None
    encoder_sha256: str | None = None
    expected: Expectation | None = None


class StoredSource(BaseModel):
    """Where a run's data lie and how they are read, so that it can go on: `private/source.json`.

    Attributes:
        data: The data set's folder or table.
        test: The test set's; None without one.
        group_regex: The option `--group-regex`.
        maximum_megapixels: Of the reading; the next two likewise, see `formats.Reading`.
        fourth_axis: What a volume's fourth axis is.
        resample_masks: Whether masks may be resampled.
        salt: Of the codes in place of names, as hexadecimal digits.
        anonymous: Whether all names are replaced by codes.
        tolerance_mm: Of the evaluation's surface Dice.
        start_from: The model that the training started from; it is not needed to go on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    test: str | None = None
    group_regex: str | None = None
    maximum_megapixels: float | None = None
    fourth_axis: FourthAxis = "refuse"
    resample_masks: bool = False
    salt: Annotated[str, Field(pattern="^([0-9a-f]{2}){8,64}$")]
    anonymous: bool = False
    tolerance_mm: float | None = None
    start_from: str | None = None

    def source(self, environment: Environment) -> Source:
        """The data of the run."""
        return Source(
            Path(self.data),
            Path(self.test) if self.test is not None else None,
            labels=environment.labels,
            group_regex=self.group_regex,
            log=environment.log,
            reading=Reading(self.maximum_megapixels, self.fourth_axis, self.resample_masks),
            pseudonyms=Pseudonyms(bytes.fromhex(self.salt), self.anonymous),
            tolerance_mm=self.tolerance_mm,
            folds=environment.folds,
            ensemble=environment.ensemble,
            start_from=Path(self.start_from) if self.start_from is not None else None,
        )


def describe(
    source: Source,
    *,
    data_sha256: str,
    precision: FloatPrecision,
    plan_given: bool,
    started_from: str | None = None,
    encoder_sha256: str | None = None,
) -> Environment:
    """What a run beginning now is made with."""
    import torch  # noqa: PLC0415  heavy

    return Environment(
        labels=source.labels,
        data_sha256=data_sha256,
        log=source.log,
        software=software_versions(),
        processor=_processor(),
        device=_device(),
        system=f"{platform.system()} {platform.release()}",
        threads=torch.get_num_threads(),
        plan_given=plan_given,
        splits_given=source.splits is not None,
        precision=precision,
        folds=source.folds,
        ensemble=source.ensemble,
        started_from=started_from,
        encoder_sha256=encoder_sha256,
    )


def differences(begun: Environment, precision: FloatPrecision) -> list[str]:
    """What of a run that goes on is otherwise than where it was begun, so that the result may be another.

    Args:
        begun: Of the run.
        precision: In which it goes on.
    """
    found = []
    now = software_versions()
    other = [
        f"{name} {begun.software[name]} → {now[name]}"
        for name in now
        if begun.software.get(name) not in (None, now[name])
    ]
    if other:
        found.append(
            f"The run was begun with other software ({', '.join(other)}): its result may be another."
        )
    if (processor := _processor()) != begun.processor:
        found.append(
            f"The run was begun on another processor ({begun.processor} → {processor}): its result may be "
            "another."
        )
    if begun.device not in (None, device := _device()):
        found.append(
            f"The run was begun on another device ({begun.device} → {device}): its result will be another."
        )
    if precision != begun.precision:
        found.append(
            f"The run was begun in {begun.precision} and goes on in {precision}, as this machine does: its "
            "result will be another."
        )
    return found


def _processor() -> str:
    return f"{platform.machine()}, {os.cpu_count()} of them"


def _device() -> str:
    import torch  # noqa: PLC0415  heavy

    return torch.cuda.get_device_name() if computing_device() == "cuda" else "cpu"


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
    return _read(folder, folder / NAME, Environment)


def write_source(folder: Path, source: Source) -> None:
    """Write `private/source.json`, whole or not at all.

    Raises:
        OutputError: The place cannot be written.
    """
    stored = StoredSource(
        data=str(source.data.absolute()),
        test=str(source.test.absolute()) if source.test is not None else None,
        group_regex=source.group_regex,
        maximum_megapixels=source.reading.maximum_megapixels,
        fourth_axis=source.reading.fourth_axis,
        resample_masks=source.reading.resample_masks,
        salt=source.pseudonyms.salt.hex(),
        anonymous=source.pseudonyms.all_names,
        tolerance_mm=source.tolerance_mm,
        start_from=str(source.start_from.absolute()) if source.start_from is not None else None,
    )
    write_text(private_folder(folder) / SOURCE_NAME, stored.model_dump_json(indent=2) + "\n")


def read_source(folder: Path, environment: Environment) -> Source:
    """Read a run's `private/source.json`.

    Raises:
        UsageError: It is missing.
        DataError: It is damaged.
    """
    return _read(folder, folder / PRIVATE / SOURCE_NAME, StoredSource).source(environment)


_Content = TypeVar("_Content", bound=BaseModel)


def _read(folder: Path, path: Path, kind: type[_Content]) -> _Content:
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"{folder} is no run that can go on: {path.relative_to(folder)} cannot be read "
            f"({error.strerror or error}). Give the folder that delineate train wrote."
        ) from error
    except (ValidationError, ValueError) as error:
        raise DataError(f"{path} is damaged. Train anew in another folder.") from error
