"""The files of one prediction: a mask of the image's own kind on its own grid, and what is wanted beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from delineate import formats
from delineate.errors import DataError, ImageError
from delineate.files import removed_on_error, write_with
from delineate.formats import nifti_writing as nifti
from delineate.image import Image, Mask
from delineate.inference.found import Found
from delineate.jobs.software import software_versions

MaskFormat = Literal["auto", "nifti", "png"]
OVERLAY_PX = 2000
OVERLAYS, PROBABILITIES = "overlays", "probabilities"
NO_SEGMENTATION = "written as NIfTI, for a DICOM segmentation of it cannot be made"


@dataclass(frozen=True)
class Wanted:
    """What is written beside the masks, and how masks are.

    Attributes:
        overlay: Whether the outlines are drawn over each image.
        probabilities: Whether each label's probability is written.
        mask_format: "auto" is the image's own kind: PNG for pictures, NIfTI for NIfTI, a DICOM segmentation
            for DICOM, ….
        weights_sha256: Of the model, for formats that name it.
    """

    overlay: bool = False
    probabilities: bool = False
    mask_format: MaskFormat = "auto"
    weights_sha256: str = ""


@dataclass
class Results:
    """The files of one image, written one after another.

    Attributes:
        name: Of the files, without suffix.
        folder: Where the mask goes; `overlays/` and `probabilities/` below it are there if wanted.
        image: The image.
        sources: Its files, or the folder of its series.
        made: The files written so far.
        notes: What is to be said of them.
    """

    name: str
    folder: Path
    image: Image
    sources: Sequence[Path]
    made: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def write(self, found: Found, wanted: Wanted) -> Path:
        """Write all that is wanted; where anything stops it, nothing of it stays behind.

        Returns:
            The mask's file.

        Raises:
            DataError: A mask of this image cannot be written as wanted.
            OutputError: The folder cannot be written.
        """
        with removed_on_error(self.made):  # the manifest will not name them
            mask = self._mask(found.mask, wanted)
            if wanted.overlay:
                overlay = draw(self.image, found.mask)
                self._file(OVERLAYS, ".png", lambda path: write_with(path, lambda to: to.write(overlay)))
            if wanted.probabilities and found.probabilities is not None:
                self._probabilities(found.probabilities)
        return mask

    @property
    def _volume(self) -> bool:
        return len(self.image.size) == 3

    @property
    def _files(self) -> list[Path]:
        """The image's files; of a folder those of the series in it."""
        files = []
        for source in self.sources:
            if source.is_dir():
                found, _ = formats.find_series(sorted(path for path in source.iterdir() if path.is_file()))
                files += [path for series in found for path in series.files]
            else:
                files.append(source)
        return files

    def _file(self, below: str, suffix: str, action: Callable[[Path], object]) -> Path:
        path = self.folder / below / f"{self.name}{suffix}"
        self.made.append(path)
        action(path)
        return path

    def _mask(self, mask: Mask, wanted: Wanted) -> Path:
        if wanted.mask_format == "png" and self._volume:
            raise DataError("it is a volume, and PNG holds one picture: omit --format, or give nifti")
        if wanted.mask_format == "nifti":
            return self._file("", ".nii.gz", lambda path: nifti.write_mask(path, mask))
        if wanted.mask_format == "auto":
            files = self._files
            family = formats.family_of(files[0])
            if "DICOM" in family.formats:
                return self._segmentation(mask, files, wanted)
            writer = family.write_mask
            if writer is not None and (self._volume or not family.pictures_as_png):
                return self._file("", family.mask_suffix(files[0].name), lambda path: writer(path, mask))
        return self._file("", ".png", lambda path: formats.write_mask(path, mask))

    def _segmentation(self, mask: Mask, files: list[Path], wanted: Wanted) -> Path:
        """A DICOM segmentation, or where its files do not say enough for one, NIfTI."""
        from delineate.formats.dicom_seg_writing import Algorithm, write_segmentation  # noqa: PLC0415  heavy

        algorithm = Algorithm("Delineate", software_versions().get("delineate", "0"), wanted.weights_sha256)
        try:
            return self._file("", ".dcm", lambda path: write_segmentation(path, mask, files, algorithm))
        except DataError as error:
            reason = error.reason if isinstance(error, ImageError) else "its files cannot be read"
            self.notes.append(f"{NO_SEGMENTATION}: {reason}")  # of which no folder is named
            self.made.clear()
            return self._file("", ".nii.gz", lambda path: nifti.write_mask(path, mask))

    def _probabilities(self, probabilities: npt.NDArray[np.floating]) -> None:
        family = formats.family_of(self._files[0])
        own = family.write_probabilities
        if not self._volume and (own is None or family.pictures_as_png):
            self._file(PROBABILITIES, ".tif", lambda path: formats.write_probabilities(path, probabilities))
            return
        suffix = ".nii.gz" if own is None else family.mask_suffix(self._files[0].name)
        writer, geometry = own or nifti.write_probabilities, self.image.geometry
        self._file(PROBABILITIES, suffix, lambda path: writer(path, probabilities, geometry))


def draw(image: Image, mask: Mask) -> bytes:
    """The outlines over the image, as PNG."""
    from delineate.evaluation.overlays import draw_overlay, encode_png  # noqa: PLC0415  imports scikit-image

    return encode_png(draw_overlay(image, None, mask, longest_px=OVERLAY_PX))
