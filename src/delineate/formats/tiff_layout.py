"""Which page of a TIFF is which slice and channel, and how far its pixels lie apart.

| who described the pages | axes | distance of pixels |
|---|---|---|
| OME | Z, C and T as its XML says | PhysicalSizeX, Y and Z |
| ImageJ | Z, C and T as its description says, even behind one page | spacing, unit and resolution |
| tifffile | the shape and the axes as its description says | – |
| nobody | the pages are the slices of a volume | – |

The resolution of a picture that ImageJ did not write is that of a screen or a printer, and is not used.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from delineate.formats import tiff_ome
from delineate.formats.lengths import in_mm
from delineate.formats.tiff_directories import count_pages
from delineate.geometry import NOWHERE, Geometry

if TYPE_CHECKING:
    from delineate.formats.stored import Source
    from delineate.formats.tiff_page import Page

_X_RESOLUTION, _Y_RESOLUTION = 282, 283
_MICROSCOPES = {  # tags of formats that hide stacks in ways of their own
    33628: "MetaMorph (STK)",
    34361: "FluoView",
    34412: "Zeiss LSM",
    43314: "NIH Image",
}
_IMAGEJ_ORDERS = {"czt": "TZC", "ctz": "ZTC", "zct": "TCZ", "ztc": "CTZ", "tcz": "ZCT", "tzc": "CZT"}
_NAMES = {"T": "times", "Z": "slices", "C": "channels"}


@dataclass(frozen=True)
class Layout:
    """The arrangement of pages.

    Attributes:
        places: `(C, D)` numbers of the pages: which one is slice d of channel c.
        volume: Whether there is an axis of slices.
        follow: Whether the pages follow the first in one piece, without directories of their own.
        geometry: Where the pixels lie.
        notes: What is to be said of it.
    """

    places: npt.NDArray[np.int64]
    volume: bool
    follow: bool = False
    geometry: Geometry = NOWHERE
    notes: tuple[str, ...] = ()


def layout(page: Page, source: Source) -> Layout:
    """The arrangement of a file's pages.

    Args:
        page: The first, whose description counts.
        source: The file.

    Raises:
        ImageError: The description contradicts the file, or there is an axis of times or an unknown one.
    """
    pages = count_pages(source)
    for tag, name in _MICROSCOPES.items():
        if tag in page.tags:
            raise source.refuse(f"it is a {name} file, which is not read. Save it as OME-TIFF")
    description = page.description if isinstance(page.description, str) else ""
    follow = False
    spacing: tuple[float | None, ...] = (None, None, None)
    assumed: tuple[str, ...] = ()
    if description.rstrip()[-4:] == "OME>":
        pixels = tiff_ome.pixels_of(description, source)
        axes, numbers = tiff_ome.planes(pixels, page.samplesperpixel, pages, source)
        spacing = tiff_ome.spacing_mm(pixels, "ZYX")
    elif description.startswith("ImageJ="):
        said = _lines(description)
        axes, numbers, follow = _imagej_planes(said, page, pages, source)
        spacing = _imagej_spacing(said, page)
        if "spacing" not in said and spacing[0]:
            assumed = (f"the distance of its slices is not given: 1 {said['unit']}, as ImageJ reads it",)
    elif description.startswith("{") and '"shape"' in description:
        axes, numbers, follow = _shaped_planes(description, page, pages, source)
    else:
        axes, numbers = "Z", np.arange(pages)
    places = _places(axes, numbers, source)
    volume = places.shape[1] > 1
    geometry, notes = _geometry(spacing, volume)
    if volume and geometry is not NOWHERE:
        notes += assumed
    return Layout(places, volume, follow, geometry, notes)


def name_of_slide(page: Page, pages: int, source: Source) -> str | None:
    """Refuse a file whose OME or ImageJ description does not fit its pages.

    Args:
        page: The first, whose description counts.
        pages: How many there are, smaller copies of others not counted.
        source: The file.

    Returns:
        The name of the one OME image that is none beside a slide; None where OME says nothing.

    Raises:
        ImageError: It does not, or tells of several images or files.
    """
    description = page.description if isinstance(page.description, str) else ""
    if description.rstrip()[-4:] == "OME>":
        return tiff_ome.name_of_slide(description, page.samplesperpixel, pages, source)
    if description.startswith("ImageJ="):
        _imagej_planes(_lines(description), page, pages, source)
    return None


def _places(axes: str, numbers: npt.NDArray[np.int64], source: Source) -> npt.NDArray[np.int64]:
    """`(C, D)` page numbers from those along any axes."""
    long = [at for at, size in enumerate(numbers.shape) if size > 1]
    axes, numbers = "".join(axes[at] for at in long), numbers.reshape([numbers.shape[at] for at in long])
    if len(axes) == 1 and axes in "IQ":
        axes = "Z"  # pages of which nothing is said
    strange = sorted(set(axes) - set("TZC"))
    if strange or len(set(axes)) < len(axes):
        shape = "×".join(map(str, numbers.shape))
        raise source.refuse(
            f"the meaning of its pages ({shape}, axes {axes}) is not clear. "
            "Save it with slices and channels named, as ImageJ or OME-TIFF"
        )
    if "T" in axes:
        if source.reading.fourth_axis != "channels" or "C" in axes:
            raise source.refuse(
                f"it is a series of {numbers.shape[axes.index('T')]} points in time. "
                "Save each as a file of its own"
                + ("" if "C" in axes else ", or say that a fourth axis is meant as channels")
            )
        axes = axes.replace("T", "C")
    if "C" not in axes:
        axes, numbers = "C" + axes, numbers[None]
    if "Z" not in axes:
        axes, numbers = axes + "Z", numbers[..., None]
    return numbers.transpose(axes.index("C"), axes.index("Z"))


def _imagej_planes(
    said: dict[str, str], page: Page, pages: int, source: Source
) -> tuple[str, npt.NDArray[np.int64], bool]:
    """Axes and page numbers, and whether the first page stands for all."""
    axes = _IMAGEJ_ORDERS.get(said.get("order", "czt").lower(), "TZC")
    sizes = {
        axis: _whole(said, key, source)
        for axis, key in zip("TZC", ("frames", "slices", "channels"), strict=True)
    }
    if sizes["C"] == page.samplesperpixel:
        sizes["C"] = 1  # Bio-Formats declares samples as channels
    images = _whole(said, "images", source)
    count = math.prod(sizes.values())
    if count == 1 and max(images, pages) > 1:
        count = sizes["Z"] = max(images, pages)
    follow = pages == 1 and count > 1
    if not follow and count != pages:
        said_sizes = ", ".join(f"{sizes[axis]} {_NAMES[axis]}" for axis in axes)
        raise source.refuse(f"its ImageJ description tells of {said_sizes}, but it has {pages} pages")
    _check_follows(follow, count, page, source)
    shape = tuple(sizes[axis] for axis in axes)
    return axes, np.arange(count).reshape(shape), follow


def _shaped_planes(
    description: str, page: Page, pages: int, source: Source
) -> tuple[str, npt.NDArray[np.int64], bool]:
    """Likewise from the JSON of tifffile."""
    try:
        said = json.loads(description)
        shape = tuple(int(size) for size in said["shape"])
        axes = str(said.get("axes") or "Q" * len(shape))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, AttributeError) as error:
        raise source.refuse("the file is damaged: the description of its shape cannot be read") from error
    one = page.imagelength * page.imagewidth * page.samplesperpixel
    count = math.prod(shape) // one if shape and min(shape) > 0 else 0
    follow = pages == 1 and count > 1
    # a page has the two or three last of the axes that are longer than 1
    before, rest = len(shape), one
    while rest > 1 and before and rest % shape[before - 1] == 0:
        before -= 1
        rest //= shape[before]
    if rest != 1 or len(axes) != len(shape) or count != math.prod(shape[:before]):
        raise source.refuse("the file is damaged: the description of its shape is not that of its pages")
    if not follow and count != pages:
        raise source.refuse(
            "it holds several pictures (pages). Save each as a file of its own, "
            "or those of one size as one stack"
        )
    _check_follows(follow, count, page, source)
    return axes[:before], np.arange(count).reshape(shape[:before]), follow


def _check_follows(follow: bool, count: int, page: Page, source: Source) -> None:
    """Refuse a first page that stands for all where the others are not all behind it."""
    if not follow:
        return
    if not page.is_contiguous or page.dtype is None:
        raise source.refuse("the file is damaged: it tells of several pages and has one")
    source.check_size(count, page.imagelength, page.imagewidth)
    one = page.imagelength * page.imagewidth * page.samplesperpixel * page.dtype.itemsize
    if page.dataoffsets[0] + count * one > source.stream.seek(0, 2):
        raise source.refuse("the file is truncated: pages are missing at its end")


def _imagej_spacing(said: dict[str, str], page: Page) -> tuple[float | None, ...]:
    """Distance along Z, Y and X: in its unit, where absent 1 as ImageJ reads it."""
    unit = said.get("unit", "")
    return (
        in_mm(said.get("spacing", "1").lstrip("-"), unit),
        _resolved(page.tags.valueof(_Y_RESOLUTION), unit),
        _resolved(page.tags.valueof(_X_RESOLUTION), unit),
    )


def _resolved(resolution: object, unit: str) -> float | None:
    """The size of a pixel of which there are so many in a unit."""
    if not (isinstance(resolution, tuple) and len(resolution) == 2 and all(resolution)):
        return None
    return in_mm(float(resolution[1]) / float(resolution[0]), unit)


def _geometry(spacing: tuple[float | None, ...], volume: bool) -> tuple[Geometry, tuple[str, ...]]:
    wanted = spacing if volume else spacing[1:]
    known = tuple(each for each in wanted if each is not None)
    if len(known) == len(wanted):
        return Geometry(known), ()
    if known:
        return NOWHERE, ("it does not say the size of its pixels along every axis: distances are in pixels",)
    return NOWHERE, ()


def _lines(description: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in description.splitlines())
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}


def _whole(said: dict[str, str], key: str, source: Source) -> int:
    text = said.get(key, "1")
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text) > 0):
        raise source.refuse(f"the file is damaged: its ImageJ description says {key}={text[:20]!r}")
    return int(text)
