"""The model of a job, computed by the engine that is asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from delineate import formats
from delineate.dataset.inputs import GivenImage
from delineate.errors import UsageError
from delineate.formats import Reading
from delineate.inference.engines.choice import choose
from delineate.inference.engines.wish import EngineChoice, PrecisionChoice, checked_choice
from delineate.inference.found import FAILURES
from delineate.inference.model import Model, load
from delineate.inference.work import windows_in
from delineate.jobs.parts import Part
from delineate.jobs.reporter import Reporter

LOOKED_AT = 3  # images, for the work ahead


@dataclass(frozen=True)
class Wish:
    """What a user wants to compute a job's model.

    Attributes:
        engine: Its name; None for that of a loaded model.
        precision: Likewise; None is "auto" for a model file.
    """

    engine: EngineChoice | None = None
    precision: PrecisionChoice | None = None

    @classmethod
    def of(
        cls,
        model: Model | str | Path,
        engine: EngineChoice | None,
        precision: PrecisionChoice | None,
        *,
        usual: EngineChoice,
    ) -> Wish:
        """What is given, or for a model file the job's usual engine."""
        return cls(engine or (None if isinstance(model, Model) else usual), precision)

    def model(self, given: Model | str | Path) -> Model:
        """A loaded model; where the engine is to be chosen, `settle` does that when the work is known.

        Raises:
            UsageError: A loaded model is to get another engine, or there is no such engine here.
            ModelFileError: The model cannot be used.
        """
        if isinstance(given, Model):
            if self.engine or self.precision:
                raise UsageError(
                    "This model is loaded already. Give its engine and precision to delineate.load."
                )
            return given
        name, precision = checked_choice(self.engine or "auto", self.precision or "auto")
        return load(given, engine="torch" if name == "auto" else name, precision=precision)

    def settle(self, model: Model, windows: int, reporter: Reporter) -> None:
        """Choose the engine for the work ahead, if that is wished, and say which computes.

        Args:
            model: Gets the engine.
            windows: That are to be computed.
            reporter: Told the engine, and which were tried just now and failed.
        """
        if self.engine is None:
            return
        times = None
        if self.engine == "auto":
            chosen = choose(model.net, self.precision or "auto", windows=windows)
            model.engine, times = chosen.engine, chosen.times_torch
            for each in chosen.passed_over:
                reporter.warn(f"The engine {each}. It is passed over.")
        faster = "" if times is None else f", {times:.1f} × as fast here as torch"
        reporter.say(f"Computed by {model.engine.name} in {model.engine.precision}{faster}.")


def windows_of_images(model: Model, images: Sequence[GivenImage], reading: Reading) -> int:
    """About how many windows there are to compute for images, of some of which the headers are read."""
    step = max(1, len(images) // LOOKED_AT)
    counts = []
    for given in images[::step][:LOOKED_AT]:
        with contextlib.suppress(*FAILURES, OSError):  # reading it will say why
            size = formats.header(given.files[0], reading).size
            counts.append(windows_in(model.plan, (len(given.files), *size) if given.stack else size))
    return round(fmean(counts) * len(images)) if counts else 0


def windows_of_part(model: Model, part: Part) -> int:
    """Likewise for the cases of a data set."""
    sizes = part.report.sizes
    return len(part) * windows_in(model.plan, sizes.median) if sizes is not None else 0
