"""The real sets, the part of each that is held out, and their cases."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from delineate.dataset.cases import load_case
from delineate.dataset.check import check
from delineate.dataset.check_report import CheckReport
from delineate.image import Image, LabelSet, Mask


@dataclass(frozen=True)
class Member:
    """A case of a set.

    Attributes:
        position: In natural order, from 0.
        name: Unique in its set.
        group: What must not be split, such as the patient.
    """

    position: int
    name: str
    group: str

    @property
    def number(self) -> int:
        """The first number in its name."""
        found = re.search(r"\d+", self.name)
        if found is None:
            raise SystemExit(f"The case {self.name} was expected to have a number in its name.")
        return int(found[0])


Chosen = Callable[[Member], bool]


@dataclass(frozen=True)
class RealSet:
    """A real data set with the part that is held out.

    Attributes:
        how: Which part, in words.
        held_out: Tells it.
        labels: What the mask values mean, as `--labels` takes it; None where that is plain.
        aside: Tells the cases that belong to neither part.
        sided: Whether labels tell left from right, so that nobody would mirror these images.
    """

    how: str
    held_out: Chosen
    labels: str | None = None
    aside: Chosen = lambda _: False
    sided: bool = False


SETS = {
    "drive": RealSet("stems 36 to 40", lambda case: case.number >= 36),
    "kvasir": RealSet("the names val_", lambda case: case.name.startswith("val_")),
    "jsrt": RealSet("every fifth", lambda case: case.position % 5 == 4, sided=True),
    "wbc": RealSet("number mod 5 = 0", lambda case: case.number % 5 == 0),
    "dsb2018": RealSet("position mod 5 = 4", lambda case: case.position % 5 == 4),
    "isbi2012_em": RealSet(
        "the last five slices; the one before them is in neither part",
        lambda case: case.position >= 19,
        "0=membrane",
        lambda case: case.position == 18,
    ),
    "sunnybrook": RealSet("patient 2 of 3", lambda case: case.group == "patient 2", "255=blood pool"),
    "hippocampus": RealSet("the last 12", lambda case: case.position >= 48, "1=anterior,2=posterior"),
}


@dataclass(frozen=True)
class Divided:
    """A checked data set, divided.

    Attributes:
        report: Of the check.
        option: What the mask values mean, where it was said.
        train: Names of the cases to learn from.
        held_out: Names of the cases to be scored.
        left_out: In neither: set aside, or the same as or nearly the same as held-out ones.
        sided: Whether labels tell left from right.
    """

    report: CheckReport
    option: str | None
    train: tuple[str, ...]
    held_out: tuple[str, ...]
    left_out: tuple[str, ...]
    sided: bool

    @property
    def labels(self) -> LabelSet:
        """Of the masks."""
        if self.report.encoding is None:
            raise SystemExit("The masks' values are not understood; see delineate check.")
        return self.report.encoding.labels

    def cases(self, names: Sequence[str]) -> Iterator[tuple[Image, Mask]]:
        """The named cases, one in memory at a time."""
        files = {case.name: case for case in self.report.cases}
        for name in names:
            case = load_case(files[name], self.report.encoding)
            if case.mask is None:
                raise SystemExit(f"{name} has no mask.")
            yield case.image, case.mask


def divide(data: Path, real: RealSet) -> Divided:
    """Check a set and divide it; what is too like a held-out case takes no part.

    Raises:
        SystemExit: The check finds errors, or a part is empty.
    """
    report = check(data, labels=real.labels)
    if not report.ok:
        raise SystemExit(f"{data} does not pass: delineate check {data}")
    groups = report.case_groups()
    members = [Member(at, case.name, groups[case.name]) for at, case in enumerate(report.cases)]
    held_out = [case for case in members if real.held_out(case)]
    taken = {case.group for case in held_out}
    train = [case.name for case in members if case.group not in taken and not real.aside(case)]
    names = [case.name for case in held_out]
    if not train or not names:
        raise SystemExit(f"{data} has no case to learn from or none to hold out ({real.how}).")
    others = (case.name for case in members)
    left_out = tuple(name for name in others if name not in {*train, *names})
    return Divided(report, real.labels, tuple(train), tuple(names), left_out, real.sided)
