"""What an exported file says of itself: its labels, and the images it takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

from delineate_runtime.errors import ModelError, UsageError

NEWEST = 1  # version of the exported format that is read
Colour = Literal["grey", "rgb", "channels"]
Pixels = Literal["uint8", "uint16", "float32"]
Layout = Literal["last", "first"]
Word = TypeVar("Word")


@dataclass(frozen=True)
class Description:
    """What is known of a model.

    Attributes:
        labels: Names in the order of their values 1, 2, ….
        colour: How an image's channels are read.
        channels: Channels of its images.
        shares: Whether integer pixels stand for shares of their range, and floats for shares too.
        takes_integers: Whether it can be given integer pixels at all.
        pixels: The type that the graph takes.
        layout: Whether the graph's axis of channels comes last or first.
    """

    labels: tuple[str, ...]
    colour: Colour
    channels: int
    shares: bool
    takes_integers: bool
    pixels: Pixels
    layout: Layout


def described(name: str, metadata: Mapping[str, str]) -> Description:
    """The description in an exported file's metadata.

    Args:
        name: Of the file, for messages.
        metadata: Of the file.

    Raises:
        ModelError: It is no file that Delineate exported, or by a newer version.
        UsageError: It is a model of volumes.
    """
    if "delineate" not in metadata:
        raise ModelError(
            f"{name} is an ONNX file, but none that Delineate exported. Make one with: "
            "delineate export MODEL --to onnx --out FILE.onnx"
        )
    version = metadata.get("delineate_format", "")
    if version.isdecimal() and int(version[:9]) > NEWEST:
        raise ModelError(f"{name} was exported by a newer Delineate. Install a newer delineate-runtime.")
    try:
        plan = json.loads(metadata["delineate"])["plan"]
        data, preprocessing = plan["data"], plan["preprocessing"]
        axes, labels = data.get("axes", 2), tuple(str(label) for label in data["labels"])
        described = Description(
            labels,
            _one_of(get_args(Colour), data["colour"]),
            int(data["channels"]),
            shares=data.get("pixels", "integer") == "integer",
            takes_integers=data.get("pixels", "integer") == "integer" or _like_shares(preprocessing),
            pixels=_one_of(get_args(Pixels), metadata["pixels"]),
            layout=_one_of(get_args(Layout), metadata["channels"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{name} does not say what images it takes. Export it anew.") from error
    if axes != 2:
        raise UsageError(f"{name} segments volumes, which only Delineate itself does.")
    return described


def _like_shares(preprocessing: Mapping[str, object]) -> bool:
    """Whether the float images of the training may have lain between 0 and 1, as shares do."""
    if preprocessing.get("normalization", "dataset") != "dataset":
        return True
    means, deviations = preprocessing.get("mean", ()), preprocessing.get("standard_deviation", ())
    if not isinstance(means, list) or not isinstance(deviations, list):
        return False
    return all(0 <= mean <= 1 for mean in means) and all(each <= 0.5 for each in deviations)


def _one_of(known: tuple[Word, ...], value: object) -> Word:
    """The word that `value` is.

    Raises:
        ValueError: It is none of them.
    """
    return known[known.index(value)]
