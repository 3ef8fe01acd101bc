"""NIfTI-1, written from pixels and geometry alone: nothing of an image's header, and no date.

For a NIfTI image the numbers of its own qform and sform are written, so that each program, whichever of the
two it takes, has image and mask on one grid.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from delineate.files import write_with
from delineate.formats.stored import Probabilities
from delineate.formats.writable import (
    MASK_LEVEL,
    PROBABILITY_LEVEL,
    check_mask,
    check_probabilities,
    gzipped,
    little,
)
from delineate.geometry import Geometry
from delineate.image import Mask

_MOST_PIXELS_AN_AXIS = 32767
_SCANNER = 1  # the code of the coordinates of the scanner that made the image
_UNITS = {1e3: "meter", 1.0: "mm", 1e-3: "micron"}  # those that NIfTI has, as nibabel calls them
_SHEAR = 1e-5  # cosine between two axes, as single precision leaves it of a right angle


def mask_suffix(name: str) -> str:
    """Of masks for the image `name`: packed unless that is plain."""
    return ".nii" if name.lower().endswith(".nii") else ".nii.gz"


def write_mask(path: Path, mask: Mask) -> None:
    """Write a mask as uint8, whole or not at all.

    Args:
        path: Where to; packed by gzip where its name ends in ".gz".
        mask: `(D, H, W)` or `(H, W)`, its values being labels. Without geometry its spacing is 1 and its
            place in the patient is left open.

    Raises:
        ValueError: Values are no labels, the geometry does not fit, or an axis is too long for NIfTI-1.
        OutputError: The place cannot be written.
    """
    check_mask(mask)
    _write(path, mask.values, mask.values.shape, mask.geometry, MASK_LEVEL)


def write_probabilities(path: Path, probabilities: Probabilities, geometry: Geometry) -> None:
    """Write probabilities as float32, the labels along the fourth axis, whole or not at all.

    Args:
        path: Where to; packed by gzip where its name ends in ".gz".
        probabilities: `(n, D, H, W)` or `(n, H, W)`, 0 to 1, in the order of the labels.
        geometry: The image's.

    Raises:
        ValueError: The shape is another, a value is no probability, or an axis is too long for NIfTI-1.
        OutputError: The place cannot be written.
    """
    check_probabilities(probabilities, geometry)
    values = np.ascontiguousarray(probabilities, dtype=np.float32)
    labels, *size = values.shape
    shape = tuple(size) if labels == 1 else (labels, *[1] * (3 - len(size)), *size)
    _write(path, values, shape, geometry, PROBABILITY_LEVEL)


def _write(
    path: Path, values: npt.NDArray[np.generic], shape: tuple[int, ...], geometry: Geometry, level: int
) -> None:
    """Header and values, the axis of `shape` that runs slowest being the first."""
    if max(shape) > _MOST_PIXELS_AN_AXIS:
        raise ValueError(f"an axis of NIfTI-1 has at most {_MOST_PIXELS_AN_AXIS} pixels: {shape}")
    head = _header(shape, values.dtype, geometry)
    content = little(values)

    def write(stream: IO[bytes]) -> None:
        stream.write(head)
        for part in content.reshape(shape[0], -1):  # slice by slice, for Ctrl-C between them
            stream.write(part.data)

    if path.name.lower().endswith(".gz"):

        def pack(stream: IO[bytes]) -> None:
            with gzipped(stream, level) as packed:
                write(packed)  # type: ignore[arg-type]  # it is a stream of bytes, but not declared as IO

        write_with(path, pack)
    else:
        write_with(path, write)


def _header(shape: tuple[int, ...], dtype: np.dtype[np.generic], geometry: Geometry) -> bytes:
    """The header and the four bytes that say that nothing stands between it and the pixels."""
    import nibabel  # noqa: PLC0415  heavy

    header = nibabel.Nifti1Header(endianness="<")
    header.set_data_dtype(dtype.newbyteorder("<"))
    header.set_data_shape(shape[::-1])
    unit = _UNITS.get(geometry.unit_mm)
    header.set_xyzt_units(unit or "mm")
    header["vox_offset"] = header.single_vox_offset
    header["scl_slope"], header["scl_inter"] = 1, 0
    header["magic"] = header.single_magic
    if geometry.stated is not None and geometry.stated.nifti:
        for name, value in geometry.stated.nifti.items():
            header[name] = value
        return bytes(header.binaryblock) + bytes(4)
    if unit is not None:
        geometry = geometry.in_own_unit()
    if geometry.spacing_mm is not None:
        header["pixdim"][1 : len(geometry.spacing_mm) + 1] = geometry.spacing_mm[::-1]
    if geometry.origin_mm is not None:
        affine = _affine(geometry)
        header.set_sform(affine, _SCANNER)
        axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        if np.abs(axes.T @ axes - np.eye(3)).max() < _SHEAR:
            header.set_qform(affine, _SCANNER)
    return bytes(header.binaryblock) + bytes(4)


def _affine(geometry: Geometry) -> npt.NDArray[np.float64]:
    """`(4, 4)` from `(i, j, k, 1)` to RAS, whatever the number of axes."""
    columns = geometry.affine()[:3]
    origin, steps = columns[:, -1], columns[:, -2::-1]
    if steps.shape[1] == 2:
        across = np.cross(steps[:, 0], steps[:, 1])
        steps = np.column_stack([steps, across / np.linalg.norm(across)])
    affine = np.eye(4)
    affine[:3] = np.column_stack([steps, origin])
    affine[:2] *= -1
    return affine + 0.0
