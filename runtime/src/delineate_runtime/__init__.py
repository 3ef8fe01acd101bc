"""Masks from a model that Delineate exported to ONNX, without PyTorch.

```python
from delineate_runtime import load

mask = load("lesion.onnx").predict("new.png")  # (H, W) uint8: 0 background, 1…n the labels
```
"""

from delineate_runtime.errors import ImageError, ModelError, OutputError, RuntimeFailure, UsageError
from delineate_runtime.model import Model, load
from delineate_runtime.writing import write_mask

__version__ = "0.1.0"

__all__ = [
    "ImageError",
    "Model",
    "ModelError",
    "OutputError",
    "RuntimeFailure",
    "UsageError",
    "__version__",
    "load",
    "write_mask",
]
