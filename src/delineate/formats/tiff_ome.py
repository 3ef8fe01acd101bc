"""What the OME-XML of a TIFF says: which page is which plane, and how far pixels lie apart.

Source: Open Microscopy Environment, OME-TIFF specification and OME data model 2016-06.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from delineate.errors import ImageError
from delineate.formats.lengths import in_mm
from delineate.formats.stored import Source

if TYPE_CHECKING:
    Numbers = npt.NDArray[np.int64]

_DEFAULT_UNIT = "µm"
_REVERSED_AXES = 3  # of "XYZCT", all but the first two
_BESIDE_A_SLIDE = re.compile(r"(label|macro|overview|thumbnail)( image)?", re.IGNORECASE)


def pixels_of(xml: str, source: Source) -> ElementTree.Element:
    """The `Pixels` element of the one image that the XML describes.

    Args:
        xml: The description of the first page.
        source: The file.

    Raises:
        ImageError: It is no XML, describes several images, or lies in another file.
    """
    root = _root(xml, source)
    return _pixels_of(list(_children(root, "Image")), root, source)


def beside_a_slide(name: str) -> bool:
    """Whether an image is called what a scanner makes beside the slide."""
    return _BESIDE_A_SLIDE.fullmatch(name.strip()) is not None


def name_of_slide(xml: str, samples: int, pages: int, source: Source) -> str | None:
    """The name of the one image that is no label, macro, overview or thumbnail; None where it has none.

    Args:
        xml: The description of the first page.
        samples: Per pixel of a page.
        pages: Number of pages in the file, smaller copies of others not counted.
        source: The file.

    Raises:
        ImageError: As of `pixels_of`, or the file has not the pages of that image.
    """
    root = _root(xml, source)
    images = list(_children(root, "Image"))
    slides = [each for each in images if not beside_a_slide(each.get("Name", ""))]
    pixels = _pixels_of(slides or images, root, source)
    axes, shape = _shape(pixels, samples, source)
    beside = len(slides or images) < len(images)
    if math.prod(shape) > pages or (math.prod(shape) < pages and not beside):
        raise _other_pages(axes, shape, samples, pages, source)
    return next(each.get("Name") or None for each in slides or images if pixels in each)


def planes(pixels: ElementTree.Element, samples: int, pages: int, source: Source) -> tuple[str, Numbers]:
    """Which page each plane is.

    Args:
        pixels: As `pixels_of` gives it.
        samples: Per pixel of a page, which OME counts as channels.
        pages: Number of pages in the file.
        source: The file.

    Returns:
        The axes, such as "TZC", and an array with these axes of page numbers.

    Raises:
        ImageError: The description contradicts itself or the file.
    """
    axes, shape = _shape(pixels, samples, source)
    count = math.prod(shape)
    if count != pages:
        raise _other_pages(axes, shape, samples, pages, source)
    numbers = np.full(count, -1, dtype=np.int64)
    blocks = list(_children(pixels, "TiffData")) or [ElementTree.Element("TiffData")]
    for block in blocks:
        first = _whole(block, "IFD", 0, source)
        each = _whole(block, "PlaneCount", 1 if "IFD" in block.attrib else pages, source) or pages
        at = tuple(_whole(block, f"First{axis}", 0, source) for axis in axes)
        if any(index >= size for index, size in zip(at, shape, strict=True)):
            raise source.refuse(
                "the file is damaged: its OME description names planes that are none of its own"
            )
        begin = int(np.ravel_multi_index(at, shape))
        if first + each > pages or begin + each > count:
            raise source.refuse("the file is damaged: its OME description names pages that it has not")
        numbers[begin : begin + each] = np.arange(first, first + each)
    if sorted(numbers.tolist()) != list(range(count)):
        raise source.refuse("the file is damaged: its OME description does not name every page once")
    return axes, numbers.reshape(shape)


def spacing_mm(pixels: ElementTree.Element, axes: str) -> tuple[float | None, ...]:
    """Distance of pixels along each of `axes`, in millimetres; None where it is not said."""
    return tuple(
        in_mm(pixels.get(f"PhysicalSize{axis}", ""), pixels.get(f"PhysicalSize{axis}Unit", _DEFAULT_UNIT))
        for axis in axes
    )


def _root(xml: str, source: Source) -> ElementTree.Element:
    if "<!DOCTYPE" in xml or "<!ENTITY" in xml:
        raise source.refuse("its OME description defines entities, which are not read")
    try:
        # S314: entities, with which XML is turned into a bomb, were refused above
        return ElementTree.fromstring(xml)  # noqa: S314
    except ElementTree.ParseError as error:
        raise source.refuse(f"the file is damaged: its OME description cannot be read ({error})") from error


def _pixels_of(
    images: list[ElementTree.Element], root: ElementTree.Element, source: Source
) -> ElementTree.Element:
    """Those of the only one of some images."""
    pixels = [each for image in images for each in _children(image, "Pixels")]
    if not pixels:
        raise source.refuse("its OME description is kept in another file. Save it with the description")
    if len(pixels) > 1:
        raise source.refuse(f"it holds {len(pixels)} pictures (OME images). Save each as a file of its own")
    _refuse_other_files(root, pixels[0], source)
    return pixels[0]


def _shape(pixels: ElementTree.Element, samples: int, source: Source) -> tuple[str, tuple[int, ...]]:
    """The axes, such as "TZC", and the planes along each: 0 channels where the samples do not fit."""
    order = pixels.get("DimensionOrder", "XYCZT")
    axes = order[:1:-1]
    if len(axes) != _REVERSED_AXES or set(axes) != set("TZC"):
        raise source.refuse(f"the file is damaged: its OME dimension order is {order[:20]!r}")
    sizes = {axis: _whole(pixels, f"Size{axis}", 1, source) for axis in axes}
    if samples > 1:
        sizes["C"] = sizes["C"] // samples if sizes["C"] % samples == 0 else 0
    return axes, tuple(sizes[axis] for axis in axes)


def _other_pages(axes: str, shape: tuple[int, ...], samples: int, pages: int, source: Source) -> ImageError:
    said = ", ".join(f"{n} {name}" for n, name in zip(shape, _names(axes), strict=True))
    return source.refuse(
        f"its OME description tells of {said}, but it has {pages} pages of {samples} channels"
    )


def _refuse_other_files(root: ElementTree.Element, pixels: ElementTree.Element, source: Source) -> None:
    named = [each for block in _children(pixels, "TiffData") for each in _children(block, "UUID")]
    own = root.get("UUID")
    if len({each.text for each in named}) > 1 or (own and any(each.text != own for each in named)):
        raise source.refuse("its pages lie in several files (OME). Save them as one")


def _children(element: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    """Its children of a name, in whatever version's name space."""
    return (child for child in element if child.tag.rpartition("}")[2] == name)


def _whole(element: ElementTree.Element, name: str, default: int, source: Source) -> int:
    """A number from 0 to that of the most pages and some."""
    text = element.get(name)
    if text is None:
        return default
    if not (text.strip().isascii() and text.strip().isdigit() and len(text) < 10):
        raise source.refuse(f"the file is damaged: its OME description says {name}={text[:20]!r}")
    return int(text)


def _names(axes: str) -> list[str]:
    return [{"T": "times", "Z": "slices", "C": "channels"}[axis] for axis in axes]
