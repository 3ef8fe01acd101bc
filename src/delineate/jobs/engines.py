"""The model of a job, computed by the engine that is asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from delineate import formats
from delineate.dataset.inputs import GivenImage
from delineate.errors import UsageError
from delineate.files import as_path
from delineate.formats import Reading
from delineate.formats.regions import can_be_read, open_regions
from delineate.inference.engines.wish import EngineChoice, PrecisionChoice, checked_choice
from delineate.inference.found import FAILURES
from delineate.inference.loading import load_any
from delineate.jobs.reporter import Reporter
from delineate.plan import Plan

if TYPE_CHECKING:
    from delineate.inference.engines.making import Net
    from delineate.inference.loading import AnyModel
    from delineate.jobs.parts import Part

LOOKED_AT = 3  # images, for the work ahead


@dataclass(frozen=True)
class Wish:
    """What a user wants to compute a job's model.

    Attributes:
        engine: Its name; None for that of a loaded model, of a model file torch, of an exported one its own.
        precision: Likewise; None is "auto" for a model file.
    """

    engine: EngineChoice | None = None
    precision: PrecisionChoice | None = None

    def model(self, given: AnyModel | str | Path) -> AnyModel:
        """A loaded model; where the engine is to be chosen, that is done later, when the work is known.

        Raises:
            UsageError: A loaded model is to get another engine, or there is no such engine here.
            ModelFileError: The model cannot be used.
        """
        if not isinstance(given, str | Path):
            if self.precision or self.engine not in (None, "auto"):
                raise UsageError(
                    "This model is loaded already. Give its engine and precision to delineate.load."
                )
            return given
        as_path(given)
        checked_choice(self.engine or "auto", self.precision or "auto")
        return load_any(
            given, engine=None if self.engine == "auto" else self.engine, precision=self.precision
        )

    def settle_for_images(
        self, model: AnyModel, images: Sequence[GivenImage], reading: Reading, reporter: Reporter
    ) -> None:
        """Choose the engine for images, if that is wished, and say which computes.

        Args:
            model: Gets the engine.
            images: That are to be predicted.
            reading: How they are read.
            reporter: Told the engine, and which were tried just now and failed.
        """
        self._settle(model, lambda: windows_of_images(model.plan, images, reading), reporter)

    def settle_for_part(self, model: AnyModel, part: Part, reporter: Reporter) -> None:
        """Likewise for the cases of a data set."""
        self._settle(model, lambda: windows_of_part(model.plan, part), reporter)

    def _settle(self, model: AnyModel, windows: Callable[[], int], reporter: Reporter) -> None:
        if self.engine is None:
            return
        times = None
        net: Net | None = getattr(model, "net", None)  # an exported file has none to choose an engine for
        if self.engine == "auto" and net is not None:
            from delineate.inference.engines.choice import choose  # noqa: PLC0415  imports torch

            chosen = choose(net, self.precision or "auto", windows=windows())
            model.engine, times = chosen.engine, chosen.times_torch
            for each in chosen.passed_over:
                reporter.warn(f"The engine {each}. It is skipped.")
        faster = "" if times is None else f", {times:.1f} × as fast here as torch"
        reporter.say(f"Computed by {model.engine.name} in {model.engine.precision}{faster}.")


def usual_wish(
    given: AnyModel | str | Path, engine: EngineChoice | None, precision: PrecisionChoice | None
) -> Wish:
    """What is given; else for a file "auto", for a loaded model its own engine."""
    return Wish(engine or ("auto" if isinstance(given, str | Path) else None), precision)


def windows_of_images(plan: Plan, images: Sequence[GivenImage], reading: Reading) -> int:
    """About how many windows there are to compute for images, of some of which the headers are read."""
    from delineate.inference.work import windows_in  # noqa: PLC0415  imports torch

    step = max(1, len(images) // LOOKED_AT)
    counts = []
    for given in images[::step][:LOOKED_AT]:
        size = _size_of(given, reading)
        if size is not None:
            counts.append(windows_in(plan, size))
    return round(fmean(counts) * len(images)) if counts else 0


def windows_of_part(plan: Plan, part: Part) -> int:
    """Likewise for the cases of a data set."""
    from delineate.inference.work import windows_in  # noqa: PLC0415  imports torch

    sizes = part.report.sizes
    return len(part) * windows_in(plan, sizes.median) if sizes is not None else 0


def _size_of(given: GivenImage, reading: Reading) -> tuple[int, ...] | None:
    """`(H, W)` or `(D, H, W)` as headers say it; None where they do not, which reading will tell of."""
    path = given.files[0]
    with contextlib.suppress(*FAILURES, OSError):
        size = formats.header(path, reading).size
        return (len(given.files), *size) if given.stack else size
    with contextlib.suppress(*FAILURES, OSError):
        if can_be_read(path):
            with open_regions(path, reading) as regions:
                return regions.size
    return None
