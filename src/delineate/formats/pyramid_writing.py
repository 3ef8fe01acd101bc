"""Large masks and probabilities as tiled TIFF, of masks with reduced pictures behind the full one.

The reduced pictures are pages of their own that are marked as reduced (NewSubfileType 1), which libvips,
ASAP, OpenSlide and with it QuPath, and tifffile take for the levels of a pyramid; of SubIFDs OpenSlide sees
none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile

from delineate.files import write_with
from delineate.formats.tile_spool import TILE_PX, TileSpool
from delineate.formats.writable import MASK_LEVEL

Labels = npt.NDArray[np.uint8]
BIG_TIFF_BYTES = 3_900_000_000  # from here on places do not fit 32 bits
_BYTES_A_TILE = 16  # that the table of tiles takes, at most
_CENTIMETRE, _MM_A_CM = 3, 10.0


def reduced(labels: Labels) -> Labels:
    """A label map of half the size: of four pixels the most frequent label, of equals the greatest.

    Args:
        labels: `(2 h, 2 w)`.

    Returns:
        `(h, w)`.
    """
    four = [labels[row::2, column::2] for row in (0, 1) for column in (0, 1)]
    best = np.zeros(four[0].shape, np.uint16)
    for one in four:
        votes = np.zeros(one.shape, np.uint16)
        for other in four:
            votes += one == other
        np.maximum(best, votes * np.uint16(256) + one, out=best)
    return (best & 255).astype(np.uint8)


@contextlib.contextmanager
def reduced_levels(spool: TileSpool) -> Iterator[list[TileSpool]]:
    """The pictures of half the size, a quarter and so on, until one fits a tile.

    Args:
        spool: A whole label map; theirs lie beside it until the block ends.

    Yields:
        The levels, the finest, `spool` itself, first.

    Raises:
        OutputError: The place cannot be written.
    """
    with contextlib.ExitStack() as stack:
        levels = [spool]
        while max(levels[-1].size) > TILE_PX:
            finer = levels[-1]
            size = ((finer.size[0] + 1) // 2, (finer.size[1] + 1) // 2)
            path = spool.path.with_suffix(f".level{len(levels)}")
            stack.callback(path.unlink, missing_ok=True)
            coarser = stack.enter_context(TileSpool(path, size, spool.dtype, MASK_LEVEL))
            for row in range(coarser.tiles[0]):
                parts = [_half(finer, at) for at in (2 * row, 2 * row + 1) if at < finer.rows]
                coarser.append(np.concatenate(parts)[:, : size[1]])
            levels.append(coarser)
        yield levels


def write_mask_pyramid(
    path: Path, levels: Sequence[TileSpool], spacing_mm: tuple[float, float] | None
) -> None:
    """Write a label map and its reduced levels, whole or not at all.

    Args:
        path: Where to; its suffix should be ".tif".
        levels: As `reduced_levels` gives them.
        spacing_mm: Distance of rows and of columns, if it is known.

    Raises:
        OutputError: The place cannot be written.
    """
    _write(path, levels, spacing_mm, levels=True)


def write_probability_tiles(
    path: Path, labels: Sequence[TileSpool], spacing_mm: tuple[float, float] | None
) -> None:
    """Write probabilities as a tiled float32 TIFF with a page a label, whole or not at all.

    Args:
        path: Where to; its suffix should be ".tif".
        labels: The probabilities of each.
        spacing_mm: Distance of rows and of columns, if it is known.

    Raises:
        OutputError: The place cannot be written.
    """
    _write(path, labels, spacing_mm, levels=False)


def _half(finer: TileSpool, at: int) -> Labels:
    """A row of tiles reduced; the edges of the picture, where its size is odd, are repeated."""
    rows = min(TILE_PX, finer.size[0] - at * TILE_PX)
    labels = finer.row(at)[:rows, : finer.size[1]]
    odd = [(0, side % 2) for side in labels.shape]
    return reduced(np.pad(labels, odd, mode="edge").astype(np.uint8, copy=False))


def _write(
    path: Path, spools: Sequence[TileSpool], spacing_mm: tuple[float, float] | None, *, levels: bool
) -> None:
    tiles = [spool.tiles[0] * spool.tiles[1] for spool in spools]
    size = sum(spool.packed_bytes for spool in spools) + _BYTES_A_TILE * sum(tiles)

    def write(stream: object) -> None:
        with tifffile.TiffWriter(stream, bigtiff=size > BIG_TIFF_BYTES) as writer:
            for at, spool in enumerate(spools):
                resolution = None
                if spacing_mm is not None:
                    coarser = [full / own for full, own in zip(spools[0].size, spool.size, strict=True)]
                    rows, columns = (
                        _MM_A_CM / (spacing * times)
                        for spacing, times in zip(spacing_mm, coarser, strict=True)
                    )
                    resolution = (columns, rows)
                writer.write(
                    spool.packed(),
                    shape=spool.size,
                    dtype=spool.dtype,
                    tile=(TILE_PX, TILE_PX),
                    compression="adobe_deflate",
                    photometric="minisblack",
                    subfiletype=1 if levels and at else 0,
                    resolution=resolution,
                    resolutionunit=_CENTIMETRE if resolution else None,
                    metadata=None,
                    software=False,
                )

    write_with(path, write)
