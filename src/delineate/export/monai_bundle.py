"""A model as a MONAI bundle: a folder that `python -m monai.bundle run` runs without Delineate.

The net in it is TorchScript and holds resizing, normalization, windows and mirroring, so that MONAI's own
transforms have only to read, to turn volumes and to write. Beside it lies the model file itself, by which
Delineate takes the folder for the model.
"""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from delineate.errors import UsageError
from delineate.export.agreement import Agreement, compare, refuse_disagreement
from delineate.export.bundle_configs import PICTURES, VOLUMES, Json, inference_config, metadata
from delineate.export.order import Order
from delineate.export.scripted_model import scripted_model
from delineate.files import made_folder, new_folder, write_text, write_with
from delineate.image import Image, Mask, turn_of
from delineate.inference.fitting import like_shares, prepared, units_of
from delineate.inference.found import Found, label_probabilities
from delineate.inference.model import Model
from delineate.inference.predict import decide
from delineate.model_file import BUNDLED_MODEL, save_model, together
from delineate.plan import Plan


class BundledModel:
    """The net of a bundle, run as MONAI runs it.

    Args:
        plan: Of the model.
        script: The content of its `models/model.ts`.
    """

    def __init__(self, plan: Plan, script: bytes) -> None:
        self.plan = plan
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is what bundles hold
            self.network = torch.jit.load(io.BytesIO(script))  # type: ignore[no-untyped-call]  # torch's

    def found_in(self, image: Image, *, keep_probabilities: bool = False) -> Found:  # noqa: ARG002  the same pass
        """The mask of an image, and the probabilities of its labels.

        Args:
            image: A picture, or a volume for a model of volumes.
            keep_probabilities: Without effect: they are always kept.

        Raises:
            DataError: Its channels or values do not fit the model.
        """
        found = self._all_probabilities(image)
        mask = Mask(decide(torch.from_numpy(found), self.plan), self.plan.data.label_set, image.geometry)
        return Found(mask, label_probabilities(found))

    def _all_probabilities(self, image: Image) -> npt.NDArray[np.float32]:
        turned = prepared(image, self.plan)
        pixels, spacing_mm = units_of(turned, self.plan), turned.geometry.spacing_mm
        backwards = takes_reversed(self.plan)
        steps = None
        if self.plan.data.axes == 3 and spacing_mm is not None:
            steps = torch.tensor([spacing_mm[::-1] if backwards else spacing_mm])
        given = _reversed(pixels) if backwards else pixels
        with torch.inference_mode():
            output = self.network(torch.from_numpy(np.ascontiguousarray(given))[None], steps)[0].numpy()
        found = _reversed(output) if backwards else output
        turn = turn_of(image.geometry, len(image.size), self.plan.preprocessing.orientation)
        if turn is not None:
            found = np.asarray(turn.undo(found), dtype=np.float32)
        return np.ascontiguousarray(found)


def export_bundle(order: Order, place: Path) -> Agreement:
    """Write a model as a MONAI bundle, and compare its net with the model.

    Args:
        order: What is asked for.
        place: A new folder.

    Returns:
        How near the two are.

    Raises:
        UsageError: MONAI could not read the model's images as Delineate does.
        ExportError: They do not agree.
        DataError: An image does not fit the model.
    """
    script = bundle_script(order.model)
    found = compare(order.model, BundledModel(order.model.plan, script), order.images)
    agreement = refuse_disagreement(found, "The bundle's net")
    count = f"{agreement.images} image{'s' * (agreement.images != 1)}"
    sentence = f"Compared with the model on {count}: {agreement.in_words()}."
    write_bundle(place, order.model, script, sentence)
    return agreement


def takes_reversed(plan: Plan) -> bool:
    """Whether the axes of the images that MONAI reads reach the net in the reverse order of ours."""
    return plan.data.axes == 2 or plan.preprocessing.orientation is None


def bundle_script(model: Model) -> bytes:
    """The content of a bundle's `models/model.ts`.

    Args:
        model: Of pictures, grey or in colour, or of volumes.

    Raises:
        UsageError: MONAI could not read its images as Delineate does.
    """
    data = model.plan.data
    if data.axes == 2 and data.colour == "channels":
        raise UsageError(
            "A MONAI bundle reads grey pictures and pictures in colour, but this model takes "
            f"{data.channels} channels. Export it to onnx."
        )
    if data.axes == 2 and data.pixels == "float" and not like_shares(model.plan.preprocessing):
        raise UsageError(
            "A MONAI bundle reads pictures, whose numbers are shares of a range, 0 to 1, but this model "
            "learned from floats in units of their own, with a mean of "
            f"{model.plan.preprocessing.mean[0]:.4g}. Export it to onnx, which takes the numbers as they are."
        )
    if data.axes == 3 and data.pixels == "integer":
        raise UsageError(
            "A MONAI bundle reads volumes whose numbers are what they say, such as NIfTI, but this model was "
            "trained on stacks of pictures. Predict with Delineate, or train on NIfTI."
        )
    return scripted_model(model.network, model.plan, reversed_axes=takes_reversed(model.plan))


def write_bundle(folder: Path, model: Model, script: bytes, agreement: str) -> None:
    """Write a bundle.

    Args:
        folder: New or empty.
        model: That it is of.
        script: From `bundle_script`.
        agreement: A sentence: how near its answers were found to ours.

    Raises:
        OutputError: The folder holds something already, or cannot be written.
    """
    new_folder(folder, "the bundle")
    for name in ("configs", "models", "docs"):
        made_folder(folder / name)
    nets = list(model.network) if isinstance(model.network, torch.nn.ModuleList) else [model.network]
    save_model(folder / BUNDLED_MODEL, model.card, together([net.state_dict() for net in nets]))
    write_with(folder / "models" / "model.ts", lambda stream: stream.write(script))
    write_text(folder / "docs" / "README.md", _readme(model, agreement))
    write_text(folder / "LICENSE", _LICENSE)
    _write_json(folder / "configs" / "inference.json", inference_config(model.plan))
    _write_json(folder / "configs" / "metadata.json", metadata(model.card, agreement))


def _write_json(path: Path, values: dict[str, Json]) -> None:
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def _reversed(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """`(C, …)` with its spatial axes in the reverse order, a view."""
    return pixels.transpose(0, *range(pixels.ndim - 1, 0, -1))


_LICENSE = """\
The terms under which this model may be used are those of whoever trained it; its model file states none.
Add them here before you pass it on.

The text of the configurations and of the program stored in models/model.ts comes from Delineate, which is
licensed under the Apache License, Version 2.0: https://www.apache.org/licenses/LICENSE-2.0
"""


def _readme(model: Model, agreement: str) -> str:
    data = model.plan.data
    volumes = data.axes == 3
    kinds = ", ".join(VOLUMES if volumes else PICTURES)
    needs = "monai fire pytorch-ignite " + ("nibabel" if volumes else "pillow")
    if volumes:
        written = "`NAME.nii.gz`, on the grid of its image: " + _values(data.labels)
    else:
        white = len(data.labels) == 1
        written = "`NAME.png`, of its image's size: " + (
            f"255 is {data.labels[0]}, 0 all else" if white else _values(data.labels)
        )
    return f"""\
# Segmentation of {", ".join(data.labels)}

A U-Net trained with Delineate, as a MONAI bundle. Research only; not a medical device.

## Running it

    pip install {needs}
    python -m monai.bundle run --bundle_root . \\
      --meta_file configs/metadata.json --config_file configs/inference.json \\
      --dataset_dir IMAGES --output_dir MASKS

reads each image of the folder IMAGES ({kinds}; not its subfolders) and writes to the new folder MASKS
{written}.

MONAI runs what a bundle's configuration says: only run bundles of people you trust.

## What is in it

- `models/model.ts`: the net with its resizing, normalization, windows and mirroring, as TorchScript. It
  takes `(N, {data.channels}, …)` and gives probabilities of the same size, so that any size of image fits and
  MONAI's own windows (`SlidingWindowInferer`) are not needed.
- `{BUNDLED_MODEL}`: the model file itself; `delineate predict` and `delineate.load` take this folder for it.
- `configs/metadata.json`: what the net takes and gives, and its score.

## Agreement

{agreement}

Images are read by MONAI's readers, not by Delineate's: pictures of 16 bits a colour are cut to 8 bits, an
alpha channel is dropped unseen, and TIFF is what Pillow makes of it. An image that cannot be read stops the
run.
"""


def _values(labels: tuple[str, ...]) -> str:
    return ", ".join(f"{value} is {name}" for value, name in enumerate(labels, start=1))
