"""MONAI as its tutorials have it, for a time. Runs under the MONAI interpreter.

    PYTHON -m benchmarks.monai_budget IN OUT SECONDS[,SECONDS…] SEED

Its learning rate does not depend on the length of the training, so that a long one passes through what the
shorter ones reach: of several times, in ascending order, each has its masks.

Of pictures as in `2d_segmentation/torch/unet_training_dict.py`: intensities scaled to [0, 1] an image,
`RandCropByPosNegLabel` (as many about foreground as not), quarter turns, `UNet(16…256, num_res_units=2)`,
Adam 1e-3, `sliding_window_inference`. Its crops of 96² are made for generated images of 128²: here they are
256², or the padded whole where images are smaller; its two images of four crops a step are eight images of
one, which shows the net more; flips are added, but where labels tell left from right.

Of volumes as in `3d_segmentation/spleen_segmentation_3d.ipynb`: the same net in 3D with batch normalization,
two volumes of four crops a step, with Adam at 1e-3, which ten minutes need more than its 1e-4. Its 96³ are
what fits here: half of the largest volume's sides, at least 32. Its window of CT's units makes no sense for
MR: intensities are normalized a volume, as in `brats_segmentation_3d.ipynb`, whose flips are taken too.

Of both: DiceCE, a channel for the background, fp32, everything in memory, no worker process.

IN holds `train/*.npz` with `image` `(C, …)` and `mask`, `held_out/*.npz` with `image`, and `task.json`. OUT
receives a folder a time, named by its seconds, of `*.npy` uint8. The last line of output is a list of records
of the training, one a time.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import monai
import numpy as np
import torch
from monai.data import CacheDataset, DataLoader
from monai.inferers import sliding_window_inference
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from monai.transforms import (
    Compose,
    EnsureTyped,
    NormalizeIntensityd,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandRotate90d,
    ScaleIntensityd,
    SpatialPadd,
)
from monai.utils import set_determinism

BOTH = ["image", "mask"]
CHANNELS, STRIDES = (16, 32, 64, 128, 256), (2, 2, 2, 2)
LARGEST_CROP, SMALLEST_CROP, MULTIPLE = 256, 32, 16
BATCH = 8
RATE = 1e-3


def main() -> None:
    """Train until each time is over, then predict."""
    given, out, times, seed = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    task = json.loads((given / "task.json").read_text(encoding="utf-8"))
    outputs, axes = task["labels"] + 1, task["axes"]
    set_determinism(seed)
    start = time.monotonic()
    cases = [_case(path) for path in sorted((given / "train").glob("*.npz"))]
    crop = _crop([case["image"].shape[1:] for case in cases], axes)
    images = 2 if axes == 3 else min(BATCH, len(cases))
    moves = _moves(crop, BATCH // images, axes, flips=not task["sided"])
    data = CacheDataset(cases, moves, progress=False)
    batches = _endless(DataLoader(data, batch_size=images, shuffle=True, drop_last=True))
    net = UNet(
        axes, cases[0]["image"].shape[0], outputs, CHANNELS, STRIDES, num_res_units=2,
        norm="BATCH" if axes == 3 else "INSTANCE",
    )  # fmt: skip
    loss_of = DiceCELoss(to_onehot_y=True, softmax=True)
    optimizer = torch.optim.Adam(net.parameters(), RATE)
    prepared = time.monotonic() - start
    losses: list[float] = []
    records, trained = [], 0.0
    for name in times.split(","):
        begun, start = trained, time.monotonic()
        while trained < float(name):
            batch = next(batches)
            optimizer.zero_grad()
            loss = loss_of(net(batch["image"]), batch["mask"])
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
            trained = begun + time.monotonic() - start
        start = time.monotonic()
        _predict(net, given, out / name, crop, axes)
        record = {
            "steps": len(losses),
            "train_seconds": round(trained, 2),
            "preprocessing_seconds": round(prepared, 2),
            "prediction_seconds": round(time.monotonic() - start, 2),
            "loss": float(np.mean(losses[-20:])),
            "size": list(crop),
            "batch_size": BATCH // images * images,
            "parameters": sum(parameter.numel() for parameter in net.parameters()),
            "versions": {"monai": monai.__version__, "torch": torch.__version__},
        }
        records.append(record)
    print(json.dumps(records))


def _case(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as stored:
        case = {"image": stored["image"].astype("float32")}
        if "mask" in stored:
            case["mask"] = stored["mask"][None].astype("float32")
    return case


def _crop(sizes: Sequence[tuple[int, ...]], axes: int) -> tuple[int, ...]:
    """What the net sees of an image: a multiple of its stride along each side."""
    largest = [max(size[axis] for size in sizes) for axis in range(axes)]
    if axes == 2:
        return (min(LARGEST_CROP, _up(max(largest))),) * 2
    return tuple(max(SMALLEST_CROP, _up(side // 2)) for side in largest)


def _up(side: int) -> int:
    return -(-side // MULTIPLE) * MULTIPLE


def _scaled(axes: int) -> Any:
    """Its intensities."""
    if axes == 2:
        return ScaleIntensityd(["image"])
    return NormalizeIntensityd(["image"], nonzero=True, channel_wise=True)


def _moves(crop: tuple[int, ...], crops: int, axes: int, *, flips: bool) -> Any:
    """What is done once and kept, then what is drawn anew for each step."""
    drawn: list[Any] = [RandFlipd(BOTH, prob=0.5, spatial_axis=axis) for axis in range(axes) if flips]
    if axes == 2:
        drawn.append(RandRotate90d(BOTH, prob=0.5, spatial_axes=(0, 1)))
    cut = RandCropByPosNegLabeld(
        BOTH, label_key="mask", spatial_size=crop, pos=1, neg=1, num_samples=crops, image_key="image"
    )
    return Compose([_scaled(axes), SpatialPadd(BOTH, crop), cut, *drawn, EnsureTyped(BOTH, track_meta=False)])


def _endless(loader: Any) -> Iterator[Any]:
    while True:
        yield from loader


def _predict(net: Any, given: Path, out: Path, crop: tuple[int, ...], axes: int) -> None:
    net.eval()
    scaled = _scaled(axes)
    out.mkdir(parents=True)
    with torch.no_grad():
        for path in sorted((given / "held_out").glob("*.npz")):
            image = torch.as_tensor(scaled(_case(path))["image"])[None]
            logits = sliding_window_inference(image, crop, 4, net, overlap=0.25, mode="gaussian")
            np.save(out / f"{path.stem}.npy", logits.argmax(1)[0].numpy().astype("uint8"))
    net.train()


if __name__ == "__main__":
    main()
