"""The masks of a set under check: what their values mean, and which labels each case has."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from delineate.dataset import set_findings
from delineate.dataset.case_files import CaseFiles, Discovery, Problem
from delineate.dataset.check_report import without_root
from delineate.dataset.description import FILE_NAME
from delineate.dataset.inspection import Inspected, in_threads
from delineate.dataset.mask_labels import counted_rows, fitted, not_fitting
from delineate.dataset.mask_shelf import MaskShelf
from delineate.dataset.masks import MaskEncoding, understand
from delineate.dataset.segments import renumbered, segments_of
from delineate.dataset.structure_names import alike
from delineate.errors import ImageError, MaskError
from delineate.formats import StoredMask
from delineate.geometry import USUAL_ORIENTATION, Geometry
from delineate.image import BACKGROUND, IGNORED, LabelSet, turn_of

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class MaskWishes:
    """How the user and the caller want masks to be understood.

    Attributes:
        labels: What the values mean, where that is decided by hand; it overrules all else.
        expected: The labels of a model to be scored.
        encoding: That of the training data.
    """

    labels: str | None = None
    expected: LabelSet | None = None
    encoding: MaskEncoding | None = None

    @property
    def only_scored(self) -> bool:
        """Whether nothing is learnt from these masks."""
        return self.expected is not None or self.encoding is not None


@dataclass(frozen=True)
class MaskFindings:
    """What was found in the masks.

    Attributes:
        encoding: What the values mean; None where that cannot be told.
        labels_by_case: For each case whose mask could be read the names of the labels in it.
        digests: Of its labels, pixel by pixel.
        problems: What is to be said.
    """

    encoding: MaskEncoding | None = None
    labels_by_case: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def check_masks(
    inspected: Sequence[Inspected],
    cases: Sequence[CaseFiles],
    discovery: Discovery,
    wishes: MaskWishes,
    *,
    shelf: MaskShelf,
    tell: Tell,
) -> MaskFindings:
    """Find out what the masks of a set hold.

    Args:
        inspected: All cases.
        cases: The usable ones among them.
        discovery: Where they come from.
        wishes: How they are to be understood.
        shelf: Reads masks.
        tell: Told how far it is.
    """
    masks = [
        item.case.mask for item in inspected if item.mask_size is not None and item.case.mask is not None
    ]
    if not masks:
        return MaskFindings()
    if wishes.labels is None and (ignored := _ignored(discovery.label_names)) is not None:
        return MaskFindings(problems=(ignored,))
    if any(case.structures for case in cases):
        wishes = _without_numbers(wishes)
        discovery = replace(discovery, label_names=_spelled(discovery.label_names, wishes.expected))
    try:
        if wishes.encoding is not None and wishes.labels is None:
            encoding = _of_training(wishes.encoding, wishes.expected)
        else:
            encoding = _of_set(inspected, masks, discovery, wishes, shelf=shelf, tell=tell)
    except (MaskError, ImageError) as error:
        message = without_root(str(error), discovery.root)
        return MaskFindings(problems=(Problem("error", "mask-values", message),))
    places = {item.case.mask: item.image.geometry for item in inspected if item.image is not None}
    found = _decoded(cases, encoding, wishes, discovery, places=places, shelf=shelf, tell=tell)
    notes = tuple(
        Problem("note", "mask-encoding", f"Masks: {without_root(note, discovery.root).rstrip('.')}.")
        for note in encoding.notes
    )
    warnings = tuple(
        Problem("warning", "mask-doubt", f"Masks: {without_root(warning, discovery.root)}.")
        for warning in encoding.warnings
    )
    return replace(found, problems=(*warnings, *notes, *found.problems))


def _without_numbers(wishes: MaskWishes) -> MaskWishes:
    """The wishes without the training data's numbers, which joined masks, numbered by name, do not have."""
    if wishes.encoding is None:
        return wishes
    return replace(wishes, encoding=None, expected=wishes.expected or wishes.encoding.labels)


def _spelled(names: Mapping[int, str] | None, expected: LabelSet | None) -> Mapping[int, str] | None:
    """Names of structures as a model has them, where they differ in case and separators alone."""
    if names is None or expected is None:
        return names
    theirs = {alike(name): name for name in expected.names}
    return {
        value: name if name in expected.names else theirs.get(alike(name), name)
        for value, name in names.items()
    }


def _ignored(names: Mapping[int, str] | None) -> Problem | None:
    """An error where nnU-Net's label "ignore" is named, whose pixels it neither learns from nor scores."""
    values = [value for value, name in (names or {}).items() if name.casefold() == "ignore"]
    if not values or names is None:
        return None
    others = ",".join(f"{value}={name}" for value, name in names.items() if value not in values)
    message = (
        f'The value {values[0]} is named "ignore", which nnU-Net leaves out of training and scores; '
        f'here every pixel counts. Say what the pixels are: --labels "{others}" makes them background.'
    )
    return Problem("error", "ignore-label", message)


def _of_set(
    inspected: Sequence[Inspected],
    masks: Sequence[Path],
    discovery: Discovery,
    wishes: MaskWishes,
    *,
    shelf: MaskShelf,
    tell: Tell,
) -> MaskEncoding:
    """What the masks mean by what the user, the data set and the files themselves say of their values.

    Raises:
        MaskError: That cannot be told.
        ImageError: A mask cannot be read.
    """
    segments = segments_of(
        {item.case.mask: item.mask_names for item in inspected if item.case.mask and item.mask_labelled}
    )
    if segments.numbering and discovery.label_names:
        raise MaskError(
            f"{FILE_NAME} names the values of the masks, but the files number their segments differently: "
            f"{segments.clash}. Take it out of the data to have the segments told apart by their own names, "
            "or export them with one numbering."
        )

    if segments.several_names and not (wishes.labels or discovery.label_names):
        raise MaskError(segments.several_names)

    def read(path: Path) -> StoredMask:
        stored = shelf.read(path)
        return renumbered(stored, segments.numbering, path) if segments.numbering else stored

    encoding = understand(
        masks,
        labels=wishes.labels,
        names=discovery.label_names or segments.names,
        expected=wishes.expected,
        read=read,
        progress=lambda done, total: tell("understanding mask values", done, total),
    )
    decided = not segments.numbering and (wishes.labels is not None or discovery.label_names)
    notes = encoding.notes if decided else (*segments.notes, *encoding.notes)
    return replace(encoding, notes=notes, segments=segments.numbering)


def _of_training(encoding: MaskEncoding, expected: LabelSet | None) -> MaskEncoding:
    """The training data's encoding without what was said of their masks."""
    found = encoding if expected is None else fitted(encoding, expected)
    if found is None and expected is not None:
        raise MaskError(not_fitting(encoding, expected))
    return replace(found or encoding, notes=(), warnings=())


def _decoded(
    cases: Sequence[CaseFiles],
    encoding: MaskEncoding,
    wishes: MaskWishes,
    discovery: Discovery,
    *,
    places: Mapping[Path | None, Geometry],
    shelf: MaskShelf,
    tell: Tell,
) -> MaskFindings:
    """What each case's mask holds by the encoding; one without a place is where its image is."""

    def look(case: CaseFiles) -> tuple[npt.NDArray[np.int64], str] | Problem:
        assert case.mask is not None  # noqa: S101  usable cases have one
        try:
            stored = shelf.read(case.mask)
            values = encoding.decode(stored, case.mask)
        except (MaskError, ImageError) as error:
            message = without_root(str(error), discovery.root)
            return Problem("error", "mask-values", message, (case.mask,))
        pixels = np.bincount(values.ravel(), minlength=IGNORED + 1).astype(np.int64, copy=False)
        place = stored.geometry if stored.geometry.directions is not None else places[case.mask]
        turn = turn_of(place, values.ndim, USUAL_ORIENTATION)
        turned = turn.apply(values) if turn is not None else values  # as digests of images are
        return pixels, hashlib.blake2b(turned.tobytes(), digest_size=16).hexdigest()

    pixels: dict[str, npt.NDArray[np.int64]] = {}
    digests: dict[str, str] = {}
    problems: list[Problem] = []
    results = in_threads(look, cases, lambda done, total: tell("looking at masks", done, total))
    for case, result in zip(cases, results, strict=True):
        if isinstance(result, Problem):
            problems.append(result)
        else:
            pixels[case.name], digests[case.name] = result
    names = encoding.labels.names
    labels_by_case = {
        name: tuple(names[v - 1] for v in np.flatnonzero(counts) if v not in (BACKGROUND, IGNORED))
        for name, counts in pixels.items()
    }
    problems += set_findings.label_problems(labels_by_case, names, only_scored=wishes.only_scored)
    if wishes.encoding is not None and wishes.labels is None:
        encoding = replace(encoding, rows=counted_rows(encoding, list(pixels.values())))
    return MaskFindings(encoding, labels_by_case, digests, tuple(problems))
