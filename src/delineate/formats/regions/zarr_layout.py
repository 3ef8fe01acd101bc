"""What the metadata of a Zarr folder say (versions 2 and 3, OME-Zarr), read without trust before any chunk.

Source: Zarr specifications, version 2 and 3; OME-NGFF specification 0.4 and 0.5.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from delineate.formats.lengths import in_mm
from delineate.formats.stored import MAXIMUM_CHANNELS, Source

_METADATA = ("zarr.json", ".zarray", ".zgroup")
_LARGEST_BYTES = 16 << 20
_TYPES = {
    **{name: name for name in ("bool", "uint8", "uint16", "uint32", "int8", "int16", "int32")},
    **{name: name for name in ("float16", "float32", "float64")},
    **{
        "b1": "bool",
        "u1": "uint8",
        "u2": "uint16",
        "u4": "uint32",
        "i1": "int8",
        "i2": "int16",
        "i4": "int32",
    },
    **{"f2": "float16", "f4": "float32", "f8": "float64"},
}
# of version 2, and of version 3; none of them runs what stands in a file, as pickle does
_CODECS = frozenset(
    {"blosc", "gzip", "zlib", "zstd", "lz4", "lzma", "bz2", "shuffle", "delta", "crc32", "adler32"}
    | {"bytes", "crc32c", "transpose", "sharding_indexed"}
)
_MOST_FEW = 4  # last axis of an array of which nothing is said, that is taken for channels


@dataclass(frozen=True)
class ArrayFacts:
    """An array of a Zarr folder.

    Attributes:
        path: Its folder.
        shape: Of all axes.
        dtype: NumPy's name.
        names: Of its axes, where it says them.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: str
    names: tuple[str, ...] | None


@dataclass(frozen=True)
class Layout:
    """A picture of a Zarr folder.

    Attributes:
        levels: Its resolutions, the finest first.
        axes: Of them all: "y" and "x" once each, "c" at most once, any others of length 1.
        spacing_mm: Distance of rows and of columns, where it is said.
        notes: What is to be said of it.
    """

    levels: tuple[ArrayFacts, ...]
    axes: str
    spacing_mm: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr array or group."""
    try:
        return path.is_dir() and any((path / name).is_file() for name in _METADATA)
    except OSError:
        return False


def layout(source: Source) -> Layout:
    """The one picture of a Zarr folder.

    Raises:
        ImageError: It holds none or several, or one of a kind that is not read.
    """
    folder = source.path
    notes: tuple[str, ...] = ()
    kind, attributes = _node(folder, source)
    if kind == "group" and "bioformats2raw.layout" in attributes:
        if (folder / "1").is_dir():
            notes = ("of its pictures the first was taken",)
        folder = folder / "0"
        kind, attributes = _node(folder, source)
    if kind == "array":
        facts = _array(folder, source)
        return _checked(Layout((facts,), _axes_of(facts, source), None, notes), source)
    return _checked(_multiscale(folder, attributes, notes, source), source)


def _multiscale(
    folder: Path, attributes: Mapping[str, object], notes: tuple[str, ...], source: Source
) -> Layout:
    """The levels of OME-Zarr."""
    ome = attributes.get("ome")
    told = ome.get("multiscales") if isinstance(ome, dict) else attributes.get("multiscales")
    if not isinstance(told, list) or not told or not isinstance(told[0], dict):
        raise source.refuse("it is a Zarr group without a picture (OME multiscales). Give the array in it")
    if len(told) > 1:
        raise source.refuse(
            f"it holds {len(told)} pictures (OME multiscales). Save each as a Zarr of its own"
        )
    datasets = told[0].get("datasets")
    if not isinstance(datasets, list) or not all(isinstance(each, dict) for each in datasets) or not datasets:
        raise source.refuse("the file is damaged: its OME description names no arrays")
    levels = tuple(_array(_below(folder, each.get("path"), source), source) for each in datasets)
    axes, units = _ome_axes(told[0].get("axes"), len(levels[0].shape), source)
    scale = _scale(told[0], datasets[0], len(axes))
    spacing = [in_mm(scale[axes.index(axis)], units[axes.index(axis)]) if scale else None for axis in "yx"]
    known = (spacing[0], spacing[1]) if spacing[0] is not None and spacing[1] is not None else None
    return Layout(levels, axes, known, notes)


def _ome_axes(told: object, count: int, source: Source) -> tuple[str, list[str]]:
    """Names of one letter, and units."""
    if told is None:
        return "tczyx"[-count:], [""] * count
    axes = (
        [each if isinstance(each, dict) else {"name": each} for each in told]
        if isinstance(told, list)
        else []
    )
    names = [str(each.get("name", ""))[:20].lower() for each in axes]
    if len(names) != count or any(len(name) != 1 for name in names):
        raise source.refuse(f"the meaning of its axes ({', '.join(names)}) is not clear")
    return "".join(names), [str(each.get("unit", "")) for each in axes]


def _scale(multiscale: Mapping[str, object], dataset: Mapping[str, object], count: int) -> list[float] | None:
    """Distance of pixels along each axis, of the finest level."""
    total = [1.0] * count
    found = False
    for told in (dataset.get("coordinateTransformations"), multiscale.get("coordinateTransformations")):
        for each in told if isinstance(told, list) else []:
            scale = each.get("scale") if isinstance(each, dict) else None
            if (
                isinstance(scale, list)
                and len(scale) == count
                and all(isinstance(n, int | float) for n in scale)
            ):
                total = [own * float(factor) for own, factor in zip(total, scale, strict=True)]
                found = True
    return total if found else None


def _axes_of(facts: ArrayFacts, source: Source) -> str:
    """Axes of an array by itself: as it names them, else rows, columns and perhaps a few channels."""
    if facts.names is not None:
        known = {
            "height": "y",
            "width": "x",
            "channel": "c",
            "channels": "c",
            "band": "c",
            "rows": "y",
            "cols": "x",
        }
        return "".join(known.get(name, name[:1] or "?") for name in facts.names)
    if len(facts.shape) == 2:
        return "yx"
    if len(facts.shape) == 3 and facts.shape[2] <= _MOST_FEW:
        return "yxc"
    if len(facts.shape) == 3 and facts.shape[0] <= _MOST_FEW:
        return "cyx"
    shape = "×".join(map(str, facts.shape))
    raise source.refuse(
        f"it does not say what its axes ({shape}) are. Name them (dimension_names, or OME-Zarr)"
    )


def _checked(found: Layout, source: Source) -> Layout:
    """Refuse what is no picture."""
    axes, first = found.axes, found.levels[0]
    if sorted(axes) != sorted(set(axes)) or not {"y", "x"} <= set(axes):
        raise source.refuse(f"the meaning of its axes ({', '.join(axes)}) is not clear")
    for level in found.levels:
        if len(level.shape) != len(axes) or level.dtype != first.dtype:
            raise source.refuse("the file is damaged: its resolutions are not alike")
        for axis, size in zip(axes, level.shape, strict=True):
            if axis not in "yxc" and size != 1:
                raise source.refuse(
                    f"it has {size} positions along its axis {axis!r}, and only single pictures are read "
                    "piece by piece. Save each as a Zarr of its own"
                )
            if axis == "c" and size > MAXIMUM_CHANNELS:
                raise source.refuse(f"it has {size} channels; at most {MAXIMUM_CHANNELS} are read")
    return found


def _node(folder: Path, source: Source) -> tuple[str, Mapping[str, object]]:
    """Whether it is an "array" or a "group", and the attributes."""
    if (folder / "zarr.json").is_file():
        content = _json(folder / "zarr.json", source)
        attributes = content.get("attributes")
        kind = "array" if content.get("node_type") == "array" else "group"
    else:
        attributes = _json(folder / ".zattrs", source) if (folder / ".zattrs").is_file() else {}
        kind = "array" if (folder / ".zarray").is_file() else "group"
    return kind, attributes if isinstance(attributes, dict) else {}


def _array(folder: Path, source: Source) -> ArrayFacts:
    """What an array's metadata say; refused where decoding it might run something or is not known."""
    third = (folder / "zarr.json").is_file()
    content = _json(folder / ("zarr.json" if third else ".zarray"), source)
    shape = content.get("shape")
    told = content.get("data_type" if third else "dtype")
    dtype = _TYPES.get(str(told).lstrip("<>|=")) if isinstance(told, str) else None
    if dtype is None:
        raise source.refuse(f"its kind of pixels ({str(told)[:40]}) is not read. Save it as 8-bit or 16-bit")
    if not isinstance(shape, list) or not all(isinstance(size, int) and 0 < size < 1 << 40 for size in shape):
        raise source.refuse("the file is damaged: its shape cannot be read")
    names = content.get("dimension_names")
    if not third and (folder / ".zattrs").is_file():
        names = _json(folder / ".zattrs", source).get("_ARRAY_DIMENSIONS")
    for codec in _codecs(content):
        if codec.removeprefix("numcodecs.") not in _CODECS:
            raise source.refuse(
                f"its compression ({codec[:40]}) is not read. Save it with another: zstd, blosc"
            )
    known = [str(name).lower() for name in names] if isinstance(names, list) else []
    return ArrayFacts(folder, tuple(shape), dtype, tuple(known) if len(known) == len(shape) else None)


def _codecs(content: Mapping[str, object]) -> list[str]:
    """The names of all that chunks go through, those within shards too."""
    told: list[object] = [content.get("compressor")]
    for key in ("filters", "codecs", "index_codecs"):
        several = content.get(key)
        told += several if isinstance(several, list) else []
    found = []
    for each in told:
        if isinstance(each, dict):
            found.append(str(each.get("id", each.get("name", "?"))))
            inner = each.get("configuration")
            found += _codecs(inner) if isinstance(inner, dict) else []
        elif each is not None:
            found.append(str(each))
    return found


def _below(folder: Path, told: object, source: Source) -> Path:
    """A folder within another, by a path that a file says."""
    parts: Sequence[str] = PurePosixPath(told).parts if isinstance(told, str) and told else ("..",)
    if ".." in parts or PurePosixPath(*parts).is_absolute() or "\\" in str(told):
        raise source.refuse("the file is damaged: its OME description names a folder that is not in it")
    return folder.joinpath(*parts)


def _json(path: Path, source: Source) -> Mapping[str, object]:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise source.refuse(f"the file is damaged: its {path.name} is larger than any")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise source.refuse(f"the file is damaged: its {path.name} cannot be read") from error
    if not isinstance(content, dict):
        raise source.refuse(f"the file is damaged: its {path.name} cannot be read")
    return content
