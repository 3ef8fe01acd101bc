"""Which DICOM files belong together, and folders that hold one series.

A series here is what shares a SeriesInstanceUID, but for two things: localizers (ImageType LOCALIZER) that
lie in the series of the slices they plan are a series of their own, and so is every file of several frames,
for it is a volume by itself. What else a series mixes is refused when it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from delineate.errors import ImageError
from delineate.formats.dicom_file import (
    number,
    open_file,
    refuse_without_image,
    text,
)
from delineate.formats.dicom_head import DIRECTORY_NAME, SUFFIXES, is_unnamed_dicom
from delineate.formats.dicom_planes import PLACE_TAGS, Plane, place_of
from delineate.formats.dicom_series import opened, read_series, read_series_mask, series_header
from delineate.formats.dicom_stack import along_normal, is_stack
from delineate.formats.dicom_subject import SUBJECT_TAGS, identifying_of, subject_of
from delineate.formats.stored import USUAL, Header, NoImageError, Reading, Source, StoredMask
from delineate.image import Image

SHORTEST_BYTES = 132  # of a DICOM file: its preamble and "DICM"
_TAGS = (
    *PLACE_TAGS,
    *SUBJECT_TAGS,
    "SOPClassUID",
    "ImageType",
    "Modality",
    "InstanceNumber",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "FrameTime",
    "FrameTimeVector",
    "CineRate",
)
_LISTED = 3
_PLACE_DIGITS = 2  # of millimetres: slices as near as that lie at one place


@dataclass(frozen=True)
class Series:
    """DICOM files that belong together.

    Attributes:
        files: In order along the normal of the slices where all say where they lie, else by InstanceNumber.
        frames: How many there are in all files together.
        is_volume: Whether slices of one direction lie at two places or more, or the one file has several
            frames that are no film.
        modality: "CT", "MR", "SEG", …; None where the files do not say.
        subject: As of an `Image`.
    """

    files: tuple[Path, ...]
    frames: int
    is_volume: bool
    modality: str | None
    subject: str | None = field(repr=False)

    @property
    def name(self) -> str:
        """What can be said of it without saying whose it is: "120 slices, CT"."""
        what = "slice" if self.frames == 1 else "slices"
        return ", ".join(filter(None, (f"{self.frames} {what}", self.modality)))


@dataclass(frozen=True)
class Member:
    """What the header of one DICOM file says of the series it belongs to.

    Attributes:
        path: The file.
        series: Equal for files that belong together.
        frames: How many it has.
        film: Whether they are moments, not slices.
        plane: Where the frame of a single one lies.
        number: InstanceNumber; 0 where the file does not say.
        modality: As of a `Series`.
        subject: As of a `Series`.
    """

    path: Path
    series: tuple[str, ...]
    frames: int
    film: bool
    plane: Plane
    number: float
    modality: str | None
    subject: str | None = field(repr=False)


def find_series(paths: Sequence[Path]) -> tuple[tuple[Series, ...], tuple[ImageError, ...]]:
    """Tell which DICOM files belong together, by their headers alone.

    Args:
        paths: The files, in any order.

    Returns:
        The series, in the order of their first paths; and apart from them why which files belong to none.
    """
    members, refused = read_members(paths)
    return grouped(members), refused


def read_members(paths: Iterable[Path]) -> tuple[tuple[Member, ...], tuple[ImageError, ...]]:
    """Read what DICOM files say of the series they belong to; and apart from that why which files do not."""
    members, refused = [], []
    for path in paths:
        try:
            members.append(opened(path, USUAL, _member))
        except ImageError as error:
            refused.append(error)
    return tuple(members), tuple(refused)


def grouped(members: Iterable[Member]) -> tuple[Series, ...]:
    """The series that files form among themselves, in the order of their first files."""
    by_series: dict[tuple[str, ...], list[Member]] = {}
    for member in members:
        by_series.setdefault(member.series, []).append(member)
    return tuple(map(_series, by_series.values()))


def spread(members: Iterable[Member]) -> tuple[tuple[Path, ...], ...]:
    """The files of each series whose slices lie in several folders, of which one at least is a volume.

    Folders go on from one another where their slices are parallel and of one size, and lie at other places.
    Stacks at the same places, such as echoes, are rightly in folders of their own.
    """
    by_series: dict[tuple[str, ...], dict[Path, list[Member]]] = {}
    for member in members:
        series = (*member.series, member.subject or "")  # anonymised data may have one number for all series
        by_series.setdefault(series, {}).setdefault(member.path.parent, []).append(member)
    found = []
    for folders in by_series.values():
        parts = {
            folder
            for folder, inside in folders.items()
            for other in folders
            if other != folder and _go_on(inside, folders[other])
        }
        if parts:
            found.append(tuple(sorted(member.path for folder in parts for member in folders[folder])))
    return tuple(found)


def _go_on(some: Sequence[Member], others: Sequence[Member]) -> bool:
    """Whether slices of two folders are parts of one volume."""
    planes = [member.plane for member in (*some, *others)]
    if not any(is_stack([member.plane for member in each]) for each in (some, others)):
        return False
    if len({plane.size for plane in planes}) > 1 or not is_stack(planes):
        return False
    heights = along_normal(planes)
    if heights is None:
        return False
    first, second = (
        {round(height, _PLACE_DIGITS) for height in each}
        for each in (heights[: len(some)], heights[len(some) :])
    )
    return 2 * len(first & second) < min(len(first), len(second))


def read_folder(folder: Path, reading: Reading = USUAL) -> Image:
    """Read the one series that a folder holds.

    Raises:
        ImageError: It holds none or several, or one that is no regular volume.
    """
    return read_series(only_series(folder).files, reading)


def read_folder_mask(folder: Path, reading: Reading = USUAL) -> StoredMask:
    """Likewise as a mask.

    Raises:
        ImageError: It holds none or several, or one that is no regular volume.
    """
    return read_series_mask(only_series(folder, segmentations=True).files, reading)


def folder_header(folder: Path, reading: Reading = USUAL) -> Header:
    """What `read_folder` would give, without decoding the pixels.

    Raises:
        ImageError: It holds none or several, or one that is no regular volume.
    """
    return series_header(only_series(folder).files, reading)


def only_series(folder: Path, *, segmentations: bool = False) -> Series:
    """The one series whose files lie in a folder, not in folders below it; hidden ones are passed over.

    Objects that hold no image (reports, structure sets) are passed over, and segmentations unless asked for.

    Raises:
        ImageError: There is none, there are several, or a file cannot be read.
    """
    try:
        listed = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise ImageError(
            folder, f"it is a folder that cannot be listed: {error.strerror or error}"
        ) from error
    files = [path for path in listed if _may_be_dicom(path)]
    series, errors = find_series(files)
    refused = [error for error in errors if not isinstance(error, NoImageError)] + cut_short(files)
    if refused:
        reasons = "; ".join(f"{error.path.name} ({error.reason})" for error in refused[:_LISTED])
        more = f"; and {len(refused) - _LISTED} more" if len(refused) > _LISTED else ""
        number_of_files = len({*files, *(error.path for error in refused)})
        raise ImageError(
            folder, f"{len(refused)} of its {number_of_files} DICOM files cannot be read: {reasons}{more}"
        )
    images = [each for each in series if segmentations or each.modality != "SEG"]
    if not images:
        raise ImageError(folder, "it is a folder")
    if len(images) > 1:
        choice = "; ".join(
            f"series {index} of {len(images)}, {each.name}, with {each.files[0].name}"
            for index, each in enumerate(images, start=1)
        )
        raise ImageError(folder, f"it holds several DICOM series, give each a folder of its own: {choice}")
    return images[0]


def cut_short(files: Iterable[Path]) -> list[ImageError]:
    """Of the files beside DICOM files without a suffix those that may be what is left of one.

    They have no suffix either, and are too short to tell by their first bytes what they are.

    Args:
        files: DICOM files of one folder.
    """
    alike = set(filter(_is_unnamed, files))
    if not alike:
        return []
    beside = next(iter(alike)).parent.iterdir()
    found = [
        path
        for path in beside
        if path not in alike
        and not path.name.startswith(".")
        and _is_unnamed(path)
        and path.is_file()
        and path.stat().st_size < SHORTEST_BYTES
    ]
    return [ImageError(path, "the file is empty or cut short") for path in sorted(found)]


def _is_unnamed(path: Path) -> bool:
    """Whether a file has no suffix, or a number for one, as names that are UIDs do."""
    return not path.suffix or path.suffix[1:].isdigit()


def identifying_words(path: Path) -> frozenset[str]:
    """What the header of a DICOM file says of its subject, as of an `Image`; nothing where it is none."""
    if not _may_be_dicom(path):
        return frozenset()
    try:
        return opened(path, USUAL, lambda source: identifying_of(open_file(source).header))
    except ImageError:
        return frozenset()


def _may_be_dicom(path: Path) -> bool:
    if path.name.lower() == DIRECTORY_NAME or not path.is_file():
        return False
    return path.suffix.lower() in SUFFIXES or is_unnamed_dicom(path)


def _member(source: Source) -> Member:
    file = open_file(source, _TAGS)
    refuse_without_image(file)
    header = file.header
    frames = int(number(header, "NumberOfFrames") or 1)
    series = text(header, "SeriesInstanceUID")
    apart = "LOCALIZER" if "LOCALIZER" in text(header, "ImageType").upper().split("\\") else ""
    key = (series, apart) if series and frames == 1 else (str(source.path),)
    return Member(
        source.path,
        key,
        frames,
        any(word in header for word in ("FrameTime", "FrameTimeVector", "CineRate")),
        place_of(header),
        number(header, "InstanceNumber") or 0,
        text(header, "Modality") or None,
        subject_of(header),
    )


def _series(members: Sequence[Member]) -> Series:
    heights = along_normal([member.plane for member in members]) or [0.0] * len(members)
    order = sorted(
        range(len(members)), key=lambda at: (heights[at], members[at].number, members[at].path.name)
    )
    first = members[0]
    several = len(members) == 1 and first.frames > 1 and not first.film
    return Series(
        tuple(members[at].path for at in order),
        sum(member.frames for member in members),
        several or is_stack([member.plane for member in members]),
        first.modality,
        first.subject,
    )
