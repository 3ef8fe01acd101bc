"""Masks written as DICOM segmentations of the image files that they are of."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import uuid
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import highdicom
import numpy as np
import numpy.typing as npt
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.color import CIELabColor
from highdicom.content import (
    AlgorithmIdentificationSequence,
    PixelMeasuresSequence,
    PlaneOrientationSequence,
    PlanePositionSequence,
)
from highdicom.enum import CoordinateSystemNames
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.valuerep import DA, TM, format_number_as_ds

from delineate.errors import ImageError
from delineate.files import write_with
from delineate.formats.dicom_file import items, number, text
from delineate.formats.dicom_seg import plain
from delineate.formats.dicom_seg_codes import PRIVATE_SCHEME, terms_of
from delineate.formats.dicom_seg_sources import Frames, in_frame_order, read_frames
from delineate.formats.quiet import without_warnings
from delineate.formats.writable import check_labels
from delineate.image import Label, LabelSet, Mask

# What it logs may hold a patient's name: it must not reach the terminal.
logging.getLogger("highdicom").addHandler(logging.NullHandler())
logging.getLogger("highdicom").propagate = False

RESEARCH = "RESEARCH USE ONLY: automatic segmentation, not reviewed"
MAKER = "Delineate"
UTF_8 = "ISO_IR 192"
UNKNOWN_DATE, UNKNOWN_TIME = "19000101", "000000"
_NAMESPACE = uuid.UUID("6f0d1c52-30d8-5a3e-9f0b-3d6b1e1c7a54")  # of the UIDs made here
_FROM_SOURCE = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex",
    "AccessionNumber", "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
_MOMENTS = tuple((f"{each}Date", f"{each}Time") for each in ("Content", "Acquisition", "Series", "Study"))
# Okabe and Ito, 2008: told apart also with the common colour deficiencies
_COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0),
            (204, 121, 167), (153, 153, 153))  # fmt: skip


@dataclass(frozen=True)
class Algorithm:
    """What made a mask.

    Attributes:
        name: Of the model.
        version: Of the model.
        digest: SHA-256 of the model file, hexadecimal.
    """

    name: str
    version: str
    digest: str


def write_segmentation(path: Path, mask: Mask, sources: Sequence[Path], algorithm: Algorithm) -> None:
    """Write a mask as a DICOM segmentation, whole or not at all.

    The file carries the patient and the study of its images, as DICOM demands: it is as confidential as they
    are. It has a segment for each label, empty ones among them, and frames only where a segment is not empty;
    a mask without any labelled voxel has one empty frame a segment.

    The same mask of the same images by the same model makes the same file: its UIDs are drawn from the
    content (UUID-derived, below 2.25), and the date and time of its content are the images' own, since one
    UID must not stand for two contents. Where the images have no valid date it is 1900-01-01.

    Args:
        path: Where to; its suffix should be ".dcm".
        mask: `(D, H, W)` with its place, or of one frame `(H, W)`.
        sources: The image's files: one multi-frame, or single frames in any order.
        algorithm: What made the mask.

    Raises:
        ValueError: The mask holds values that are no labels.
        DataError: Image files cannot be read, the mask does not lie on their grid, or no segmentation can be
            of such files.
        OutputError: The place cannot be written.
    """
    check_labels(mask)
    frames = read_frames(sources)
    values = in_frame_order(mask, frames, sources)
    content = io.BytesIO()
    try:
        with without_warnings():
            segmentation = _segmentation(frames, values, mask.labels, algorithm)
            segmentation.save_as(content, enforce_file_format=True)
    except Exception as error:  # what a library makes of foreign headers; its text may hold their values
        raise ImageError(
            sources[0], f"no DICOM segmentation can be made of such an image ({type(error).__name__})"
        ) from None
    write_with(path, lambda stream: stream.write(content.getbuffer()))


def _segmentation(
    frames: Frames, values: npt.NDArray[np.uint8], labels: LabelSet, algorithm: Algorithm
) -> Segmentation:
    first = frames.headers[0]
    images = [_completed(header, frames) for header in frames.headers]
    series = _uid(
        "series", text(first, "SeriesInstanceUID"), algorithm.name, algorithm.version, algorithm.digest
    )
    instance = _uid("instance", series, _digest(frames, values, labels))
    date, time = _moment(first)
    positions = None
    if not values.any():  # of nothing one plane is enough
        values, positions = values[:1], _first_position(frames)
    segmentation = Segmentation(
        source_images=images,
        pixel_array=values,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(label, algorithm) for label in labels],
        series_instance_uid=series,
        series_number=1000 + int(hashlib.sha256(series.encode()).hexdigest()[:8], 16) % 9000,
        sop_instance_uid=instance,
        instance_number=max(1, int(number(first, "InstanceNumber") or 1)) if len(images) == 1 else 1,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=version("delineate"),
        device_serial_number="0",
        content_label="SEGMENTATION",
        content_description=RESEARCH,
        plane_positions=positions,
        content_date=date,
        content_time=time,
        series_description=RESEARCH,
        specific_character_set=UTF_8,
        coding_schemes=[
            CodingSchemeIdentificationItem(
                PRIVATE_SCHEME, name="Labels without a standard term", responsible_organization=MAKER
            )
        ],
    )
    _settle(segmentation, first, _uid("dimensions", instance))
    return segmentation


def _settle(segmentation: Dataset, source: Dataset, dimensions: str) -> None:
    """Take out what differs from run to run, and put patient and study back as the image says them."""
    for word in ("InstanceCreationDate", "InstanceCreationTime"):
        del segmentation[word]
    segmentation.ContentCreatorName = ""  # nobody: a program
    for item in items(segmentation, "ContributingEquipmentSequence"):
        if "ContributionDateTime" in item:
            del item.ContributionDateTime
    for word in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in items(segmentation, word):
            item.DimensionOrganizationUID = dimensions
    for word in _FROM_SOURCE:
        if word in source:
            segmentation[word] = source[word]


def _description(label: Label, algorithm: Algorithm) -> SegmentDescription:
    name = _written(label.name)
    terms = terms_of(name)
    kind = CodedConcept.from_code(terms.type)
    if terms.side is not None:
        kind.SegmentedPropertyTypeModifierCodeSequence = [CodedConcept.from_code(terms.side)]
    description = SegmentDescription(
        segment_number=label.value,
        segment_label=name,
        segmented_property_category=terms.category,
        segmented_property_type=kind,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=_written(algorithm.name),
            family=codes.DCM.ArtificialIntelligence,
            version=_written(algorithm.version),
            source=MAKER,
            parameters={"sha256": _written(algorithm.digest)},
        ),
        display_color=CIELabColor.from_rgb(*_COLOURS[(label.value - 1) % len(_COLOURS)]),
    )
    description.SegmentDescription = RESEARCH
    return description


def _completed(header: Dataset, frames: Frames) -> Dataset:
    """An image's header with what highdicom demands and such files may lack or hold in another place."""
    image = deepcopy(header)
    for word in _FROM_SOURCE:
        if word not in image or not _valid(image, word):
            setattr(image, word, "")
    if frames.measures is None or frames.stack is None or frames.stack.geometry.spacing_mm is None:
        return image
    spacing = frames.stack.geometry.spacing_mm[0]
    measures = PixelMeasuresSequence(
        pixel_spacing=frames.measures.pixel_spacing_mm,
        slice_thickness=frames.measures.thickness_mm or spacing,
        spacing_between_slices=spacing,
    )
    if "ImagePositionPatient" in image:
        image.ImageOrientationPatient = [format_number_as_ds(each) for each in frames.measures.orientation]
        for word in ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"):
            image[word] = measures[0][word]
    else:
        shared = items(image, "SharedFunctionalGroupsSequence")
        groups = shared[0] if shared else Dataset()
        groups.PixelMeasuresSequence = measures
        groups.PlaneOrientationSequence = PlaneOrientationSequence(
            CoordinateSystemNames.PATIENT, frames.measures.orientation
        )
        image.SharedFunctionalGroupsSequence = [groups]
    return image


def _first_position(frames: Frames) -> list[PlanePositionSequence] | None:
    if frames.stack is None:
        return None
    return [PlanePositionSequence(CoordinateSystemNames.PATIENT, frames.stack.geometry.origin_mm)]


def _valid(header: Dataset, word: str) -> bool:
    """Whether highdicom takes a value: dates, times and sex are checked by it."""
    value = text(header, word)
    try:
        if word.endswith("Date"):
            DA(value)
        elif word.endswith("Time"):
            TM(value)
    except (ValueError, TypeError):
        return False
    return word != "PatientSex" or value in ("", "M", "F", "O")


def _moment(header: Dataset) -> tuple[str, str]:
    """The date and time of the image, the nearest to its content first."""
    for date_word, time_word in _MOMENTS:
        with contextlib.suppress(ValueError, TypeError):
            date, time = text(header, date_word), text(header, time_word)
            if date and DA(date) is not None:
                return date, time if time and _valid(header, time_word) else UNKNOWN_TIME
    return UNKNOWN_DATE, UNKNOWN_TIME


def _written(name: str) -> str:
    """A name as a DICOM value may hold it: the backslash parts values there."""
    return plain(name.replace("\\", "/")) or "unnamed"


def _digest(frames: Frames, values: npt.NDArray[np.uint8], labels: LabelSet) -> str:
    """Of all that makes the file what it is, but the model."""
    said = [version("delineate"), highdicom.__version__, *labels.names, str(values.shape), str(frames.stack)]
    said += [text(header, "SOPInstanceUID") for header in frames.headers]
    digest = hashlib.sha256("\0".join(said).encode())
    digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _uid(*parts: str) -> str:
    """A UID drawn from what it stands for, by way of a UUID (PS3.5, B.2)."""
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return f"2.25.{uuid.uuid5(_NAMESPACE, digest).int}"
