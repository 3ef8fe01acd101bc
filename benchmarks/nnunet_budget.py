"""nnU-Net v2 for a time: its own planner, trainer and predictor. Runs under its interpreter.

    PYTHON -m benchmarks.nnunet_budget FOLDER SECONDS SEED MEMORY_GB

FOLDER/raw holds one data set in nnU-Net's form; FOLDER/found receives the masks of its `imagesTs`. The
configuration is `2d`, of volumes `3d_fullres`, planned for MEMORY_GB of graphics memory (nnU-Net's
`-gpu_memory_target`). All cases are learned from (its fold `all`).

Its length alone is changed: steps are taken until the time is over, and the polynomial learning rate runs
over the time instead of over 1000 epochs. Its looks at validation patches, which choose nothing in the fold
`all`, are left out, so that the whole time goes into learning. Predictions are its default: windows half
overlapping, averaged over mirrored images. The last line of output is a record of the training.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1])
# its modules look at these while they are imported, and its workers import them again
os.environ |= {f"nnUNet_{kind}": str(FOLDER / kind) for kind in ("raw", "preprocessed", "results")}

import numpy as np  # noqa: E402
import torch  # noqa: E402
from nnunetv2.experiment_planning.plan_and_preprocess_api import (  # noqa: E402
    extract_fingerprints,
    plan_experiments,
    preprocess,
)
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor  # noqa: E402
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer  # noqa: E402

NUMBER, POWER = 1, 0.9
CPU = torch.device("cpu")


class ClockTrainer(nnUNetTrainer):  # type: ignore[misc]  # nnU-Net has no types
    """nnU-Net's trainer, ended by the clock."""

    def learn(self, budget_s: float) -> dict[str, Any]:
        """Take steps until the time is over."""
        start = time.monotonic()
        self.on_train_start()
        prepared = time.monotonic() - start
        self.network.train()
        start, losses = time.monotonic(), []
        while (share := (time.monotonic() - start) / budget_s) < 1:
            for group in self.optimizer.param_groups:
                group["lr"] = self.initial_lr * (1 - share) ** POWER
            losses.append(float(self.train_step(next(self.dataloader_train))["loss"]))
        trained = time.monotonic() - start
        self.on_train_end()
        return {
            "steps": len(losses),
            "train_seconds": round(trained, 2),
            "start_seconds": round(prepared, 2),
            "loss": float(np.mean(losses[-20:])),
            "size": [int(side) for side in self.configuration_manager.patch_size],
            "batch_size": int(self.batch_size),
            "parameters": sum(parameter.numel() for parameter in self.network.parameters()),
        }


def main() -> None:
    """Plan, preprocess, train until the time is over, predict."""
    budget_s, seed, memory_gb = float(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    processes = int(os.environ["OMP_NUM_THREADS"])
    for seeded in (random.seed, np.random.seed, torch.manual_seed):
        seeded(seed)
    (data,) = (FOLDER / "raw").iterdir()
    facts = json.loads((data / "dataset.json").read_text(encoding="utf-8"))
    configuration = "3d_fullres" if facts["file_ending"] == ".nii.gz" else "2d"
    start = time.monotonic()
    extract_fingerprints([NUMBER], num_processes=processes, show_progress_bar=False)
    plan_experiments([NUMBER], gpu_memory_target_in_gb=memory_gb)
    preprocess([NUMBER], configurations=(configuration,), num_processes=(processes,), show_progress_bar=False)
    prepared = time.monotonic() - start
    plans = FOLDER / "preprocessed" / data.name / "nnUNetPlans.json"
    planned = json.loads(plans.read_text(encoding="utf-8")) | {"continue_training": False}
    trainer = ClockTrainer(planned, configuration, "all", facts, CPU)
    record = trainer.learn(budget_s)
    start = time.monotonic()
    _predict(trainer, data / "imagesTs", FOLDER / "found")
    record |= {
        "configuration": configuration,
        "planned_for_gb": memory_gb,
        "preprocessing_seconds": round(prepared + record.pop("start_seconds"), 2),
        "prediction_seconds": round(time.monotonic() - start, 2),
        "versions": {"nnunetv2": importlib.metadata.version("nnunetv2"), "torch": torch.__version__},
    }
    print(json.dumps(record), flush=True)


def _predict(trainer: Any, images: Path, out: Path) -> None:
    out.mkdir()
    trainer.set_deep_supervision_enabled(False)
    trainer.network.eval()
    predictor = nnUNetPredictor(device=CPU, allow_tqdm=False)
    predictor.manual_initialization(
        trainer.network, trainer.plans_manager, trainer.configuration_manager,
        [trainer.network.state_dict()], trainer.dataset_json, type(trainer).__name__,
        trainer.inference_allowed_mirroring_axes,
    )  # fmt: skip
    predictor.predict_from_files_sequential(str(images), str(out))


if __name__ == "__main__":
    main()
