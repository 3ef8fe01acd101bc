"""Delineate: from a folder of images and hand-drawn masks to a segmentation model one can trust and use.

```python
import delineate

run = delineate.train("data", budget="10m")  # images/ and masks/ → runs/data
model = delineate.load(run.folder)
mask = model.predict("new.png")  # (H, W) uint8 on the image's own grid
```
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from delineate.dataset.check import check
    from delineate.dataset.check_report import CheckReport
    from delineate.errors import DelineateError
    from delineate.inference.loading import load_any as load
    from delineate.inference.model import Model
    from delineate.inference.segmenter import Segmenter
    from delineate.jobs.demonstration import demonstrate
    from delineate.jobs.export import export as export_model
    from delineate.jobs.export_int8 import export_int8
    from delineate.jobs.import_keras import KerasWishes, import_keras
    from delineate.jobs.job import Run
    from delineate.jobs.prediction import Prediction, predict
    from delineate.jobs.reporter import Reporter
    from delineate.jobs.scoring import Evaluation, evaluate
    from delineate.jobs.training import resume, train
    from delineate.plan import Plan, read_plan

__version__ = "0.1.0"

_HOME = {
    "CheckReport": "delineate.dataset.check_report",
    "DelineateError": "delineate.errors",
    "Evaluation": "delineate.jobs.scoring",
    "KerasWishes": "delineate.jobs.import_keras",
    "Model": "delineate.inference.model",
    "Plan": "delineate.plan",
    "Prediction": "delineate.jobs.prediction",
    "Reporter": "delineate.jobs.reporter",
    "Run": "delineate.jobs.job",
    "Segmenter": "delineate.inference.segmenter",
    "check": "delineate.dataset.check",
    "demonstrate": "delineate.jobs.demonstration",
    "evaluate": "delineate.jobs.scoring",
    "export_int8": "delineate.jobs.export_int8",
    "export_model": "delineate.jobs.export:export",
    "load": "delineate.inference.loading:load_any",
    "import_keras": "delineate.jobs.import_keras",
    "predict": "delineate.jobs.prediction",
    "read_plan": "delineate.plan",
    "resume": "delineate.jobs.training",
    "train": "delineate.jobs.training",
}

__all__ = [
    "CheckReport",
    "DelineateError",
    "Evaluation",
    "KerasWishes",
    "Model",
    "Plan",
    "Prediction",
    "Reporter",
    "Run",
    "Segmenter",
    "__version__",
    "check",
    "demonstrate",
    "evaluate",
    "export_int8",
    "export_model",
    "import_keras",
    "load",
    "predict",
    "read_plan",
    "resume",
    "train",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: `import delineate` itself stays quick."""
    if name not in _HOME:
        raise AttributeError(f"module 'delineate' has no attribute {name!r}")
    module, _, attribute = _HOME[name].partition(":")
    value: object = getattr(importlib.import_module(module), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
