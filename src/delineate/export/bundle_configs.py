"""What a MONAI bundle says: how images are read, predicted and written, and what the net takes and gives."""

from __future__ import annotations

import re
from importlib.metadata import version

from delineate.model_file import ModelCard
from delineate.plan import Plan

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None
SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
)
MONAI_VERSION = "1.6.1"  # that bundles were tried with
PICTURES, VOLUMES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"), (".nii.gz", ".nii", ".mha", ".nrrd")
_TAKEN = "@output_dir + ' exists already: give another --output_dir'"
_TWICE = "'two images have the same name, and so would their masks'"


def inference_config(plan: Plan) -> dict[str, Json]:
    """The bundle's `configs/inference.json`.

    Args:
        plan: Of the model.

    Returns:
        What `monai.bundle run` runs: each image of `dataset_dir` to a mask in `output_dir`.
    """
    volumes = plan.data.axes == 3
    suffixes = VOLUMES if volumes else PICTURES
    return {
        "imports": ["$import glob", "$import os", "$import torch", "$from PIL import ImageOps"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": "$torch.jit.load(@bundle_root + '/models/model.ts', map_location=@device)",
        "network": "$@network_def.eval()",
        "datalist": f"$[path for path in sorted(glob.glob(glob.escape(@dataset_dir) + '/*')) "
        f"if path.lower().endswith({suffixes!r})]",
        "names": "$[os.path.basename(path).lower().removesuffix('.gz').rsplit('.', 1)[0] "
        "for path in @datalist]",
        "preprocessing": {"_target_": "Compose", "transforms": _reading(plan)},
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': path} for path in @datalist]",
            "transform": "@preprocessing",
        },
        "dataloader": {
            "_target_": "DataLoader",
            "dataset": "@dataset",
            "batch_size": 1,
            "shuffle": False,
            "num_workers": 0,
        },
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {"_target_": "Compose", "transforms": _writing(plan)},
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "prepare_batch": {
                "_target_": "PrepareBatchExtraInput",
                "extra_keys": {"spacing_mm": "spacing_mm"} if volumes else {},
            },
        },
        "initialize": [
            _raised("FileNotFoundError", "'no images in ' + @dataset_dir", "not @datalist"),
            _raised("FileExistsError", _TAKEN, "os.path.exists(@output_dir)"),
            _raised("FileExistsError", _TWICE, "len(set(@names)) < len(@names)"),
        ],
        "run": ["$@evaluator.run()"],
    }


def _raised(kind: str, message: str, condition: str) -> str:
    """An expression that stops the run; expressions know no `raise`."""
    return f"$(_ for _ in ()).throw({kind}({message})) if {condition} else None"


def _reading(plan: Plan) -> list[Json]:
    """From a file to what the net takes."""
    if plan.data.axes == 3:
        steps: list[Json] = [
            {"_target_": "LoadImaged", "keys": "image"},
            {"_target_": "EnsureChannelFirstd", "keys": "image"},
        ]
        if plan.preprocessing.orientation is not None:
            ends: list[Json] = [["L", "R"], ["P", "A"], ["I", "S"]]
            turned: dict[str, Json] = {"axcodes": plan.preprocessing.orientation, "labels": ends}
            steps.append({"_target_": "Orientationd", "keys": "image", **turned})
        spacing = "$lambda case: {**case, 'spacing_mm': case['image'].pixdim}"
        return [*steps, {"_target_": "Lambda", "func": spacing}]
    wanted = "RGB" if plan.data.colour == "rgb" else "L"
    kept = ("L", "RGB", "I;16", "I;16B", "F") if wanted == "RGB" else ("L", "I;16", "I;16B", "F")
    upright = "ImageOps.exif_transpose(picture)"
    converter = f"$lambda picture: {upright} if picture.mode in {kept!r} else {upright}.convert({wanted!r})"
    shares = "{torch.uint8: 255.0, torch.int32: 65535.0}"
    return [
        {
            "_target_": "LoadImaged",
            "keys": "image",
            "reader": {"_target_": "PILReader", "converter": converter},
            "dtype": None,
        },
        {"_target_": "EnsureChannelFirstd", "keys": "image"},
        {
            "_target_": "Lambdad",
            "keys": "image",
            "func": f"$lambda image: image.float() / {shares}.get(image.dtype, 1.0)",
            "track_meta": False,
        },
    ]


def _writing(plan: Plan) -> list[Json]:
    """From probabilities to a file."""
    one_label, volumes = len(plan.data.labels) == 1, plan.data.axes == 3
    decided: dict[str, Json] = {"threshold": plan.threshold} if one_label else {"argmax": True}
    return [
        {"_target_": "AsDiscreted", "keys": "pred", **decided},
        {
            "_target_": "Invertd",
            "keys": "pred",
            "transform": "@preprocessing",
            "orig_keys": "image",
            "nearest_interp": True,
            "to_tensor": True,
        },
        {
            "_target_": "SaveImaged",
            "keys": "pred",
            "output_dir": "@output_dir",
            "output_postfix": "",
            "output_ext": ".nii.gz" if volumes else ".png",
            "output_dtype": "$torch.uint8",
            "scale": 255 if one_label and not volumes else None,
            "separate_folder": False,
            "resample": False,
        },
    ]


def metadata(card: ModelCard, agreement: str) -> dict[str, Json]:
    """The bundle's `configs/metadata.json`.

    Args:
        card: Of the model.
        agreement: A sentence: how near its answers are to ours.
    """
    data = card.plan.data
    names = tuple(map(_inert, data.labels))
    labels = ", ".join(names)
    axes: list[Json] = ["*"] * data.axes
    several = len(data.labels) > 1
    outputs = (("background",) if several else ()) + names
    inputs = ("red", "green", "blue") if data.colour == "rgb" else ("image",) * data.channels
    shape: dict[str, Json] = {"type": "image", "spatial_shape": axes, "dtype": "float32"}
    kind, reader = ("volume", "nibabel") if data.axes == 3 else ("picture", "pillow")
    image: dict[str, Json] = {
        "format": "magnitude",
        "modality": "n/a",
        "num_channels": data.channels,
        "is_patch_data": False,
    }
    pred: dict[str, Json] = {
        "format": "labels" if several else "classes",
        "modality": "n/a",
        "num_channels": len(outputs),
        "is_patch_data": False,
    }
    return {
        "schema": SCHEMA,
        "version": "1.0.0",
        "changelog": {"1.0.0": f"exported from the model with weights_sha256 {card.weights_sha256}"},
        "monai_version": MONAI_VERSION,
        "pytorch_version": version("torch").split("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {
            "fire": "0.7.1",
            "pytorch-ignite": "0.5.5",
            reader: version(reader),
        },
        "name": f"Segmentation of {labels}",
        "task": f"Segments {labels} in a {kind}",
        "description": "A U-Net trained with Delineate. The network takes an image of any size and gives the "
        "probability of each label at each of its pixels: resizing, normalization and windows are within. "
        + agreement,
        "authors": "not stated",
        "copyright": "not stated",
        "data_type": reader,
        "image_classes": "pixels as shares of their range, 0 to 1"
        if data.pixels == "integer"
        else "pixels in the units of the training images",
        "pred_classes": "; ".join(f"channel {at} is {name}" for at, name in enumerate(outputs)),
        "eval_metrics": _scores(card),
        "intended_use": "Research. Not a medical device: every mask is to be looked at by someone who knows.",
        "network_data_format": {
            "inputs": {
                "image": shape
                | image
                | {
                    "value_range": [0, 1] if data.pixels == "integer" else [],
                    "channel_def": {str(at): name for at, name in enumerate(inputs)},
                }
            },
            "outputs": {
                "pred": shape
                | pred
                | {"value_range": [0, 1], "channel_def": {str(at): name for at, name in enumerate(outputs)}}
            },
        },
    }


def _inert(name: str) -> str:
    """A name without the signs by which MONAI knows expressions, macros and references."""
    return re.sub("[$%@#]", "_", name)


def _scores(card: ModelCard) -> dict[str, Json]:
    if card.scores is None or card.scores.dice is None:
        return {}
    return {"mean_dice": round(card.scores.dice.mean, 4)}
