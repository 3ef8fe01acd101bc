"""The real sets' own held-out parts, and their cases as either side takes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from delineate.dataset.cases import load_case
from delineate.dataset.check import CheckReport, check
from delineate.dataset.splits_file import Splits, write_splits
from delineate.image import IGNORED, Image, LabelSet, Mask, as_colour
from delineate.inference.preprocess import resize, resize_mask

SCRIPT_SIDE = 128
HeldOut = Callable[[int, str], bool]


@dataclass(frozen=True)
class RealSet:
    """A real data set with the part that is held out.

    Attributes:
        how: Which part, in words.
        held_out: Tells it, from a case's position in natural order and its name.
        dice_at_least: The figure to reach on it.
    """

    how: str
    held_out: HeldOut
    dice_at_least: float


SETS = {
    "drive": RealSet("stems 36 to 40", lambda _, name: _number(name) >= 36, 0.79),
    "jsrt": RealSet("every fifth", lambda position, _: position % 5 == 4, 0.93),
    "wbc": RealSet("number mod 5 = 0", lambda _, name: _number(name) % 5 == 0, 0.93),
    "dsb2018": RealSet("position mod 5 = 4", lambda position, _: position % 5 == 4, 0.88),
    "kvasir": RealSet("the names val_", lambda _, name: name.startswith("val_"), 0.65),
}


@dataclass(frozen=True)
class Divided:
    """A checked data set, divided.

    Attributes:
        report: Of the check.
        splits: Training, and the held-out part as "validation": it is looked at, and chooses nothing.
        left_out: Cases in neither, as they are the same as or nearly the same as held-out ones.
    """

    report: CheckReport
    splits: Splits
    left_out: tuple[str, ...]

    @property
    def labels(self) -> LabelSet:
        """Of the masks."""
        if self.report.encoding is None:
            raise SystemExit("The masks' values are not understood; see delineate check.")
        return self.report.encoding.labels

    def cases(self, names: Sequence[str]) -> Iterator[tuple[str, Image, Mask]]:
        """The named cases, one in memory at a time."""
        files = {case.name: case for case in self.report.cases}
        for name in names:
            case = load_case(files[name], self.report.encoding)
            if case.mask is None:
                raise SystemExit(f"{name} has no mask.")
            yield name, case.image, case.mask


def divide(data: Path, real: RealSet) -> Divided:
    """Check a set and divide it; what is too like a held-out case takes no part.

    Raises:
        SystemExit: The check finds errors.
    """
    report = check(data)
    if not report.ok:
        raise SystemExit(f"{data} does not pass: delineate check {data}")
    groups = report.case_groups()
    names = [case.name for case in report.cases]
    held_out = tuple(name for position, name in enumerate(names) if real.held_out(position, name))
    taken = {groups[name] for name in held_out}
    others = [name for name in names if name not in set(held_out)]
    train = tuple(name for name in others if groups[name] not in taken)
    kept = {name: groups[name] for name in (*train, *held_out)}
    splits = Splits(train, held_out, (), 0, f"held out: {real.how}", kept)
    return Divided(report, splits, tuple(name for name in others if groups[name] in taken))


def write_for_delineate(path: Path, divided: Divided) -> None:
    """Write the division as `--splits` reads it."""
    write_splits(path, divided.splits)


def write_for_keras(path: Path, divided: Divided) -> None:
    """Write an `.npz` as `keras_budget` reads it: grey, 128 × 128, as the script has it.

    Images are made smaller with averaging, and masks take the label that covers most of a pixel: better than
    the script does it, so that it loses nothing by that.
    """
    images, masks = zip(*_small(divided.cases(divided.splits.train), len(divided.labels)), strict=True)
    held_out, _ = zip(*_small(divided.cases(divided.splits.validation), len(divided.labels)), strict=True)
    np.savez(
        path,
        images=np.stack(images),
        masks=np.stack(masks),
        held_out=np.stack(held_out),
        labels=np.array(len(divided.labels)),
    )


def _small(
    cases: Iterable[tuple[str, Image, Mask]], labels: int
) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]:
    size = (SCRIPT_SIDE, SCRIPT_SIDE)
    for _, image, mask in cases:
        grey = resize(torch.from_numpy(as_colour(image, "grey").units()), size)[0]
        values = np.where(mask.values == IGNORED, 0, mask.values)
        small = resize_mask(torch.from_numpy(values), size, labels)
        yield (grey * 255).round().clamp(0, 255).to(torch.uint8).numpy(), small.numpy()


def masks_from(probabilities: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """The script's probabilities as a mask on an image's own grid.

    Args:
        probabilities: `(K, 128, 128)`.
        size: `(H, W)`.

    Returns:
        `(H, W)` uint8.
    """
    found = resize(torch.from_numpy(probabilities), size)
    chosen = found[0] > 0.5 if found.shape[0] == 1 else found.argmax(0)
    values: npt.NDArray[np.uint8] = chosen.to(torch.uint8).numpy()
    return values


def _number(name: str) -> int:
    """The first number in a name."""
    found = re.search(r"\d+", name)
    if found is None:
        raise SystemExit(f"The case {name} was expected to have a number in its name.")
    return int(found[0])
