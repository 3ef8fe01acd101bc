"""DICOM series among the files of a folder: volumes of many files, and their masks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from delineate import formats
from delineate.dataset.case_files import Problem, Split
from delineate.dataset.naming import folded, listed, natural_key, printable
from delineate.dataset.pairing import Places
from delineate.dataset.roles import Place, Role, bare
from delineate.errors import ImageError

Key = tuple[str, ...]


@dataclass(frozen=True)
class StackPair:
    """A volume of several files with its mask.

    Attributes:
        files: Of the image.
        mask: A file, or the folder of a series.
        name: For the case.
        split: Which part its folders say it belongs to; None where they do not say.
    """

    files: tuple[Path, ...]
    mask: Path
    name: str
    split: Split | None = None


@dataclass(frozen=True)
class DicomFiles:
    """The DICOM files of a data set, whose headers are read once.

    Attributes:
        members: Of those that can be read, by path.
        damaged: Why which others cannot, but for those that say that they are no images.
    """

    members: Mapping[Path, formats.Member]
    damaged: tuple[ImageError, ...] = ()

    @classmethod
    def among(cls, paths: Iterable[Path]) -> DicomFiles:
        """Those among the files of a data set."""
        members, refused = formats.read_members(path for path in paths if formats.is_dicom(path))
        damaged = [error for error in refused if not isinstance(error, formats.NoImageError)]
        return cls({member.path: member for member in members}, tuple(damaged))

    def torn(
        self, volumes: Iterable[tuple[Path, ...]], called: Callable[[Path], str] = printable
    ) -> tuple[Problem, ...]:
        """An error a folder whose volumes may lack slices, since files beside theirs cannot be read."""
        by_folder: dict[Path, list[Path]] = defaultdict(list)
        for files in volumes:
            by_folder[files[0].parent] += files
        problems = []
        for folder, members in by_folder.items():
            errors = [error for error in self.damaged if error.path.parent == folder]
            errors += formats.cut_short(members)
            if errors:
                names = listed(f"{error.path.name} ({error.reason})" for error in errors)
                message = (
                    f"{called(folder)} holds a DICOM series and files that cannot be read, which may be "
                    f"slices of it: {names}. Replace them, or take them out."
                )
                paths = tuple(error.path for error in errors)
                problems.append(Problem("error", "torn-series", message, paths))
        return tuple(problems)

    def spread(
        self, volumes: Iterable[tuple[Path, ...]], called: Callable[[Path], str] = printable
    ) -> tuple[Problem, ...]:
        """An error a series of which a volume is only a part, since other slices lie in another folder."""
        files = {path for volume in volumes for path in volume}
        if not files:  # what reads DICOM need not be imported then
            return ()
        problems = []
        for paths in formats.spread(self.members.values()):
            if files.isdisjoint(paths):
                continue
            counts = Counter(path.parent for path in paths)
            names = listed(f"{called(folder)} ({counts[folder]})" for folder in sorted(counts))
            message = (
                f"Parts of one DICOM series lie in several folders: {names}. Put its files into one folder."
            )
            problems.append(Problem("error", "spread-series", message, paths))
        return tuple(problems)

    def segmentations(self) -> frozenset[Path]:
        """Those that are DICOM segmentations by their content, whatever they are called."""
        found = formats.grouped(self.members.values())
        return frozenset(path for series in found if series.modality == "SEG" for path in series.files)

    def volumes(self, paths: Iterable[Path]) -> tuple[tuple[Path, ...], ...]:
        """Those of the given files that form volumes, volume by volume, each of one folder."""
        by_folder: dict[Path, list[formats.Member]] = defaultdict(list)
        for path in paths:
            if path in self.members:
                by_folder[path.parent].append(self.members[path])
        found = (series for members in by_folder.values() for series in formats.grouped(members))
        return tuple(series.files for series in found if series.is_volume and len(series.files) > 1)


def pair_stacks(
    stacks: Sequence[tuple[Path, ...]], images: Places, masks: Places, dicom: DicomFiles
) -> tuple[list[StackPair], frozenset[Path]]:
    """Find the mask of each volume: in a folder, or under a name, that says the same.

    `images/p1/*.dcm` goes with `masks/p1.nii.gz`, `masks/p1/seg.dcm` and the series `masks/p1/*.dcm`;
    `p1/ct/*.dcm` with the one mask that lies in `p1`; a single volume with a single mask.

    Args:
        stacks: The files of each volume.
        images: What the folders of their files say.
        masks: The masks left over, and what their folders say.
        dicom: The DICOM files among all.

    Returns:
        The pairs, and the files of the masks in them.
    """
    of_images = {files: _key(images[files[0]], "", "image") for files in stacks}
    mask_files: dict[Path, tuple[Path, ...]] = {path: (path,) for path in masks}
    for files in dicom.volumes(masks):
        if len([path for path in masks if path.parent == files[0].parent]) == len(files):
            for path in files:
                mask_files.pop(path, None)
            mask_files[files[0].parent] = files
    of_masks = {
        path: _key(masks[files[0]], "" if path.is_dir() else formats.stem_of(path), "mask")
        for path, files in mask_files.items()
    }
    chosen = _matched(of_images, of_masks)
    names = Counter("__".join(of_images[files]) for files in chosen)
    pairs = []
    for files, mask in sorted(chosen.items(), key=lambda pair: natural_key(str(pair[0][0]))):
        folder = files[0].parent.name
        name = "__".join(of_images[files])
        called = name if name and names[name] == 1 else folder
        pairs.append(StackPair(files, mask, called, images[files[0]].split))
    return pairs, frozenset(path for mask in chosen.values() for path in mask_files[mask])


def _key(where: Place, stem: str, role: Role) -> Key:
    """What folders and name say besides image and mask."""
    own = bare(stem, role) if stem else ""
    rest = tuple(folded(part) for part in where.rest)
    return tuple(filter(None, (where.split or "", *rest, own)))


def _matched(
    images: Mapping[tuple[Path, ...], Key], masks: Mapping[Path, Key]
) -> dict[tuple[Path, ...], Path]:
    """Equal keys first, then keys of which one begins with the other, then the only ones."""
    chosen: dict[tuple[Path, ...], Path] = {}
    for fits in (_equal, _begins):
        left_images = {files: key for files, key in images.items() if files not in chosen}
        left_masks = {mask: key for mask, key in masks.items() if mask not in chosen.values()}
        fitting = {
            files: [mask for mask, other in left_masks.items() if fits(key, other)]
            for files, key in left_images.items()
        }
        taken = Counter(mask for found in fitting.values() for mask in found)
        for files, found in fitting.items():
            if len(found) == 1 and taken[found[0]] == 1:
                chosen[files] = found[0]
    if not chosen and len(images) == len(masks) == 1:
        return {next(iter(images)): next(iter(masks))}
    return chosen


def _equal(image: Key, mask: Key) -> bool:
    return image == mask


def _begins(image: Key, mask: Key) -> bool:
    shorter, longer = sorted((image, mask), key=len)
    return bool(shorter) and longer[: len(shorter)] == shorter
