"""The segments of a DICOM segmentation as one mask each, for segments that overlap."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from delineate.dataset.naming import safe_name
from delineate.files import as_path, new_folder
from delineate.formats import USUAL, Reading
from delineate.formats.dicom_seg import read_segments
from delineate.formats.dicom_series import opened
from delineate.formats.nifti_writing import write_mask
from delineate.image import LabelSet, Mask
from delineate.jobs.reporter import Reporter


@dataclass(frozen=True)
class SegmentFile:
    """One segment that was written.

    Attributes:
        number: In the segmentation.
        name: What the segmentation calls it.
        voxels: That belong to it.
        path: Its mask.
    """

    number: int
    name: str
    voxels: int
    path: Path


def write_segments(
    segmentation: str | Path,
    out: str | Path,
    *,
    reading: Reading | None = None,
    reporter: Reporter | None = None,
) -> tuple[SegmentFile, ...]:
    """Write every segment of a DICOM segmentation as a NIfTI mask of its own, 0 and 1, on its own grid.

    Args:
        segmentation: The file.
        out: A new folder: `NUMBER_NAME.nii.gz` for each segment.
        reading: How large it may be; None for the usual.
        reporter: Told how it goes.

    Returns:
        What was written, in the order of the numbers.

    Raises:
        ImageError: The file is no DICOM segmentation, or cannot be read.
        OutputError: The folder holds something or cannot be written.
    """
    reporter = reporter or Reporter()
    segments = opened(as_path(segmentation), reading or USUAL, read_segments)
    folder = new_folder(as_path(out), "the segments")
    written = []
    for done, segment in enumerate(segments, start=1):
        values = segment.voxels().astype(np.uint8)
        path = folder / f"{safe_name(f'{segment.number}_{segment.name}')}.nii.gz"
        write_mask(path, Mask(values, LabelSet.of(segment.name or "segment"), segment.geometry))
        written.append(SegmentFile(segment.number, segment.name, int(np.count_nonzero(values)), path))
        reporter.stage("writing segments", done, len(segments))
    return tuple(written)
