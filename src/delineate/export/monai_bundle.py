"""A model as a MONAI bundle: a folder that `python -m monai.bundle run` runs without Delineate."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch

from delineate.errors import UsageError
from delineate.export.bundle_configs import Json, inference_config, metadata
from delineate.export.scripted_model import scripted_model
from delineate.files import new_folder, write_text, write_with
from delineate.inference.model import Model
from delineate.model_file import MODEL_NAME, save_model
from delineate.plan import Plan
