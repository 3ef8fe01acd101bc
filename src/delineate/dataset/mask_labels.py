"""Bringing a set's labels to those of a model: by their names, never by guess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from delineate.dataset.mask_encoding import MaskEncoding, ValueRow
from delineate.image import BACKGROUND, LabelSet


def fitted(encoding: MaskEncoding, expected: LabelSet) -> MaskEncoding | None:
    """The encoding with a model's labels.

    Args:
        encoding: Of a set.
        expected: The labels of the model.

    Returns:
        With the labels `expected`, in its order, where the set's are some or all of them by name. As it is
        where there are as many of other names, to be taken in their order. None where neither can be.
    """
    names = encoding.labels.names
    if set(names) <= set(expected.names):
        return _renumbered(encoding, expected)
    elsewhere = any(
        name in expected.names and expected.names[at : at + 1] != (name,) for at, name in enumerate(names)
    )
    return None if len(names) != len(expected) or elsewhere else encoding


def _renumbered(encoding: MaskEncoding, expected: LabelSet) -> MaskEncoding:
    number = [BACKGROUND, *(expected.names.index(name) + 1 for name in encoding.labels.names)]
    ranges = tuple((first, last, number[label]) for first, last, label in encoding.ranges)
    return replace(encoding, labels=expected, ranges=ranges)


def not_fitting(encoding: MaskEncoding, expected: LabelSet) -> str:
    """Why a set's labels cannot be brought to a model's, as a sentence."""
    has, wants = encoding.labels.names, expected.names
    return (
        f"The masks have the label{'s' * (len(has) > 1)} {', '.join(has)}, but the model's are "
        f"{', '.join(wants)}. Name all of the model's labels in this order, each with its value; a value "
        "that no mask holds is no fault."
    )


def option_naming(expected: LabelSet) -> str:
    """An example of --labels with all of a model's labels."""
    return ",".join(f"{label.value}={label.name}" for label in expected)


def counted_rows(
    encoding: MaskEncoding, pixels: Sequence[np.ndarray[tuple[int, ...], np.dtype[np.int64]]]
) -> tuple[ValueRow, ...]:
    """The table of a set that was read by another set's encoding: a row for the background and each label.

    Args:
        encoding: The other set's.
        pixels: For each mask how many pixels have each of the values 0…n, at least n + 1 of them.
    """
    counts = np.array([mask[: len(encoding.labels) + 1] for mask in pixels], dtype=np.int64)
    counts = counts.reshape(-1, len(encoding.labels) + 1)
    rows = []
    for value, name in enumerate([None, *encoding.labels.names]):
        stored = ", ".join(row.value for row in encoding.rows if row.label == name) or "–"
        share = float(counts[:, value].sum() / max(1, counts.sum()))
        rows.append(ValueRow(stored, name, share, int((counts[:, value] > 0).sum())))
    return tuple(rows)
