"""Cases as each side takes them, written from the same arrays, and its masks read back."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import torch
from benchmarks.held_out import Divided
from PIL import Image as Picture

from delineate.image import IGNORED, Image, Mask, as_colour
from delineate.inference.preprocess import resize, resize_mask

SCRIPT_SIDE = 128
Labelled = npt.NDArray[np.uint8]


def write_tables(folder: Path, divided: Divided) -> tuple[Path, Path]:
    """Write what is learned from and what is held out as `delineate train` reads them.

    Returns:
        Two CSV tables, of the set's own files.
    """
    files = {case.name: case for case in divided.report.cases}
    paths = []
    for part, names in (("train", divided.train), ("held_out", divided.held_out)):
        paths.append(folder / f"{part}.csv")
        with paths[-1].open("w", encoding="utf-8", newline="") as out:
            table = csv.writer(out)
            table.writerow(("image", "mask"))
            for name in names:
                (image,), mask = files[name].image, files[name].mask
                table.writerow((image.absolute(), mask.absolute() if mask else ""))
    return paths[0], paths[1]


def write_for_keras(path: Path, divided: Divided) -> None:
    """Write an `.npz` as `keras_budget` reads it: grey, 128 × 128, as the script has it; volumes as slices.

    Images are made smaller with averaging, and masks take the label that covers most of a pixel: better than
    the script does it, so that it loses nothing by that.
    """
    images, masks = zip(*_small(divided.cases(divided.train), divided), strict=True)
    held_out, _ = zip(*_small(divided.cases(divided.held_out), divided), strict=True)
    np.savez(
        path,
        images=np.stack(images),
        masks=np.stack(masks),
        held_out=np.stack(held_out),
        labels=np.array(len(divided.labels)),
    )


def _small(cases: Iterable[tuple[Image, Mask]], divided: Divided) -> Iterator[tuple[Labelled, Labelled]]:
    size = (SCRIPT_SIDE, SCRIPT_SIDE)
    for image, mask in cases:
        pixels = as_colour(image, "grey").units()[0]
        if image.in_own_units:  # to a picture's range, as is done to make pictures of them
            pixels = (pixels - pixels.min()) / max(float(np.ptp(pixels)), 1e-9)
        for plane, labels in zip(_planes(pixels), _planes(_settled(mask)), strict=True):
            grey = resize(torch.from_numpy(plane[None]), size)[0]
            small = resize_mask(torch.from_numpy(labels), size, len(divided.labels))
            yield (grey * 255).round().clamp(0, 255).to(torch.uint8).numpy(), small.numpy()


def read_from_keras(path: Path, sizes: Sequence[tuple[int, ...]]) -> Iterator[Labelled]:
    """The script's probabilities as masks on the images' own grids.

    Args:
        path: An `.npz` with `probabilities` `(planes, K, 128, 128)`.
        sizes: `(H, W)` or `(D, H, W)`, one an image.
    """
    with np.load(path, allow_pickle=False) as stored:
        planes = iter(stored["probabilities"])
    for size in sizes:
        count = size[0] if len(size) == 3 else 1
        masks = np.stack([_decided(next(planes), size[-2:]) for _ in range(count)])
        yield masks if len(size) == 3 else masks[0]


def _decided(probabilities: npt.NDArray[np.float32], size: tuple[int, ...]) -> Labelled:
    found = resize(torch.from_numpy(probabilities), size)
    chosen = found[0] > 0.5 if found.shape[0] == 1 else found.argmax(0)
    values: Labelled = chosen.to(torch.uint8).numpy()
    return values


def write_for_monai(folder: Path, divided: Divided) -> None:
    """Write `train/*.npz`, image and mask, and `held_out/*.npz`, image, as `monai_budget` reads them."""
    for part, names in (("train", divided.train), ("held_out", divided.held_out)):
        (folder / part).mkdir(parents=True)
        for number, (image, mask) in enumerate(divided.cases(names)):
            pixels = as_colour(image, divided.report.colour).pixels
            path = folder / part / f"{number:04}.npz"
            if part == "train":
                np.savez(path, image=pixels, mask=_settled(mask))
            else:
                np.savez(path, image=pixels)
    facts = {"labels": len(divided.labels), "axes": divided.report.axes, "sided": divided.sided}
    (folder / "task.json").write_text(json.dumps(facts), encoding="utf-8")


def read_from_monai(folder: Path, count: int) -> Iterator[Labelled]:
    """Its masks."""
    for number in range(count):
        yield np.load(folder / f"{number:04}.npy", allow_pickle=False)


def write_for_nnunet(folder: Path, divided: Divided) -> None:
    """Write nnU-Net's raw data set: PNG of pictures and slices, NIfTI of volumes."""
    ending = ending_for(divided)
    for part, names in (("Tr", divided.train), ("Ts", divided.held_out)):
        for kind in ("images", "labels"):
            (folder / f"{kind}{part}").mkdir(parents=True)
        for number, (image, mask) in enumerate(divided.cases(names)):
            pixels = as_colour(image, divided.report.colour).pixels
            spacing = image.geometry.spacing_mm
            _write_image(folder / f"images{part}", f"case_{number:04}", pixels, spacing)
            if part == "Tr":
                _write_map(folder / "labelsTr" / f"case_{number:04}{ending}", _settled(mask), spacing)
    channels = ("R", "G", "B") if divided.report.channels == 3 else ("grey",)
    facts = {
        "channel_names": {str(at): name for at, name in enumerate(channels)},
        "labels": {"background": 0} | {f"label_{label.value}": label.value for label in divided.labels},
        "numTraining": len(divided.train),
        "file_ending": ending,
    }
    (folder / "dataset.json").write_text(json.dumps(facts), encoding="utf-8")


def read_from_nnunet(folder: Path, divided: Divided) -> Iterator[Labelled]:
    """Its masks."""
    ending = ending_for(divided)
    for number in range(len(divided.held_out)):
        path = folder / f"case_{number:04}{ending}"
        values = np.asarray(nibabel.load(path).dataobj).T if ending == ".nii.gz" else Picture.open(path)
        yield np.asarray(values).astype(np.uint8)


def ending_for(divided: Divided) -> str:
    """Of the files that nnU-Net is given."""
    return ".nii.gz" if divided.report.axes == 3 else ".png"


def _write_image(
    folder: Path, name: str, pixels: npt.NDArray[np.generic], spacing_mm: tuple[float, ...] | None
) -> None:
    """One case; of pictures in colour one file, of all else one file a channel."""
    if pixels.ndim == 3 and pixels.shape[0] == 3 and pixels.dtype == np.uint8:
        Picture.fromarray(np.ascontiguousarray(np.moveaxis(pixels, 0, -1))).save(folder / f"{name}_0000.png")
        return
    for number, channel in enumerate(pixels):
        ending = ".nii.gz" if channel.ndim == 3 else ".png"
        _write_map(folder / f"{name}_{number:04}{ending}", channel, spacing_mm)


def _write_map(path: Path, values: npt.NDArray[np.generic], spacing_mm: tuple[float, ...] | None) -> None:
    if values.ndim == 3:
        affine = np.diag([*(spacing_mm or (1.0, 1.0, 1.0))[::-1], 1.0])
        nibabel.save(nibabel.Nifti1Image(values.T, affine), path)
        return
    if values.dtype != np.uint8:
        stored = values.astype(np.uint16)
        if not (stored == values).all():
            raise SystemExit(f"The slice {path.stem} has values that a PNG cannot hold.")
        values = stored
    Picture.fromarray(np.ascontiguousarray(values)).save(path)


def _planes(values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return values if values.ndim == 3 else values[None]


def _settled(mask: Mask) -> Labelled:
    """The mask with what is not to be counted as background, as the sides know no other way alike."""
    values: Labelled = np.where(mask.values == IGNORED, np.uint8(0), mask.values)
    return values
