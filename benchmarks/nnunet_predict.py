"""Masks by nnU-Net v2's predictor, of the classic net. Runs under its interpreter.

    PYTHON -m benchmarks.nnunet_predict IMAGES OUT SIDE

Answers each line with a line of JSON: the seconds from the PNGs in IMAGES to the masks in OUT/masks. The
model folder is written here, with random weights: `PlainConvUNet` of 32-64-128-256-512 features, two
convolutions a level with bias and without normalisation, windows of SIDE². Nothing is mirrored; one process
reads and one writes.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[2]) if len(sys.argv) > 2 else Path()
# its modules look at these while they are imported
os.environ |= {f"nnUNet_{kind}": str(FOLDER / kind) for kind in ("raw", "preprocessed", "results")}

import torch  # noqa: E402
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor  # noqa: E402
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer  # noqa: E402
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager  # noqa: E402

WIDTHS = (32, 64, 128, 256, 512)
EMPTY = (20.0, -20.0)  # the last layer's biases: the masks are empty, as in the other sides
DATASET = {
    "channel_names": {"0": "grey"},
    "labels": {"background": 0, "lesion": 1},
    "numTraining": 1,
    "file_ending": ".png",
}
NETWORK = {
    "n_stages": len(WIDTHS),
    "features_per_stage": list(WIDTHS),
    "conv_op": "torch.nn.modules.conv.Conv2d",
    "kernel_sizes": [[3, 3]] * len(WIDTHS),
    "strides": [[1, 1], *[[2, 2]] * (len(WIDTHS) - 1)],
    "n_conv_per_stage": [2] * len(WIDTHS),
    "n_conv_per_stage_decoder": [2] * (len(WIDTHS) - 1),
    "conv_bias": True,
    "norm_op": None,
    "norm_op_kwargs": {},
    "dropout_op": None,
    "dropout_op_kwargs": None,
    "nonlin": "torch.nn.LeakyReLU",
    "nonlin_kwargs": {"inplace": True},
}


def plans(side: int) -> dict[str, Any]:
    """A plans file of one configuration, as its planner writes them."""
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "nnUNetPlans_2d",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [side, side],
        "median_image_size_in_voxels": [float(side), float(side)],
        "spacing": [1.0, 1.0],
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg_kwargs": resampling | {"is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": resampling | {"order": 1},
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": NETWORK,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": True,
    }
    return {
        "dataset_name": "Dataset001_peer",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [999.0, 1.0, 1.0],
        "original_median_shape_after_transp": [1, side, side],
        "image_reader_writer": "NaturalImage2DIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"2d": configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": {}},
    }


def write_model(folder: Path, side: int) -> None:
    """A model folder, as its trainer leaves one."""
    (folder / "fold_all").mkdir(parents=True)
    content = plans(side)
    (folder / "plans.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "dataset.json").write_text(json.dumps(DATASET), encoding="utf-8")
    manager = PlansManager(content)
    torch.manual_seed(0)
    network = nnUNetTrainer.build_network_architecture(
        manager, manager.get_configuration("2d"), 1, 2, enable_deep_supervision=False
    )
    with torch.no_grad():
        network.decoder.seg_layers[-1].bias.copy_(torch.tensor(EMPTY))
    checkpoint = {
        "network_weights": network.state_dict(),
        "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": "2d"},
        "inference_allowed_mirroring_axes": (0, 1),
    }
    torch.save(checkpoint, folder / "fold_all" / "checkpoint_final.pth")


def main() -> None:
    """Answer until the input ends."""
    images, side = Path(sys.argv[1]), int(sys.argv[3])
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "0")) or torch.get_num_threads())
    out = FOLDER / "masks"
    with contextlib.redirect_stdout(sys.stderr):  # it tells of each case
        write_model(FOLDER / "model", side)
        predictor = nnUNetPredictor(use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False)
        predictor.initialize_from_trained_model_folder(str(FOLDER / "model"), ("all",))
    for _ in sys.stdin:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        start = time.perf_counter()
        with contextlib.redirect_stdout(sys.stderr):
            predictor.predict_from_files(
                str(images), str(out), num_processes_preprocessing=1, num_processes_segmentation_export=1
            )
        answer = {
            "seconds": time.perf_counter() - start,
            "masks": len(list(out.glob("*.png"))),
            "parameters": sum(each.numel() for each in predictor.network.parameters()),
            "versions": {"nnunetv2": importlib.metadata.version("nnunetv2"), "torch": torch.__version__},
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
