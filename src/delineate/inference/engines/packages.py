"""The packages of the other engines, which are extras; kept from reporting home."""

from __future__ import annotations

import importlib
import os
import sys
from importlib.util import find_spec
from types import ModuleType

from delineate.errors import UsageError
from delineate.extras import installing

_EXTRA = {"onnx": "onnx", "onnxruntime": "onnx", "openvino": "openvino"}
NEEDED = {"torch": (), "onnxruntime": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino")}
TELEMETRY = "openvino_telemetry"
ONNX_RUNTIME_OFF = "ORT_DISABLE_TELEMETRY"


def optional_package(name: str, why: str) -> ModuleType:
    """Import a package of an extra.

    OpenVINO's wheel brings `openvino_telemetry`, which tells its makers of every import. Here it is as if it
    were not installed, and OpenVINO does without. ONNX Runtime would write an identifier of the machine and
    events into the user's cache when it is imported; a variable that it reads then keeps it from both.

    Args:
        name: "onnx", "onnxruntime" or "openvino".
        why: What needs it, to begin a sentence: "--engine openvino".

    Raises:
        UsageError: It is not installed, or cannot be loaded; with the command that installs it.
    """
    refuse_telemetry()
    try:
        package = importlib.import_module(name)
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == name
        fault = "is not installed" if missing else f"cannot be loaded ({error})"
        raise UsageError(_how_to_install(why, name, fault)) from error
    return package


def lacking(engine: str) -> str | None:
    """The first package that an engine needs and that is not installed; none of them is imported."""
    return next((name for name in NEEDED[engine] if find_spec(name) is None), None)


def refuse_lacking(engine: str) -> None:
    """Refuse an engine whose packages are not all installed.

    Raises:
        UsageError: With the command that installs them.
    """
    if (name := lacking(engine)) is not None:
        extra = _EXTRA[engine]
        raise UsageError(_how_to_install(f"--engine {engine}", name, "is not installed", extra))


def refuse_telemetry() -> None:
    """Let no package that is imported from now on find `openvino_telemetry`, or ONNX Runtime keep events."""
    os.environ[ONNX_RUNTIME_OFF] = "1"
    if TELEMETRY not in sys.modules:
        sys.modules[TELEMETRY] = None  # type: ignore[assignment]  # so the import system marks what is not there


def _how_to_install(why: str, name: str, fault: str, extra: str | None = None) -> str:
    return (
        f"{why} needs the package {name}, which {fault}. Install it with: {installing(extra or _EXTRA[name])}"
    )
