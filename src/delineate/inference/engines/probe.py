"""The first inference of another engine, in a child process: a crash there is a finding, not the end.

OpenVINO ends with SIGFPE on some Zen 4 hosts, and any engine that uses a processor's newest instructions may
meet one that lacks them. A new interpreter is started, not `multiprocessing`, which would run a user's script
anew.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from delineate.choices import FloatPrecision
from delineate.inference.engines.engine import EngineName
from delineate.inference.engines.sessions import Numbers

CHILD = "delineate.inference.engines.probe_child"
MEASURE_S = 0.5


@dataclass(frozen=True)
class Task:
    """What an engine shall compute.

    Attributes:
        graph: The ONNX model's bytes.
        images: `(N, C, …)`, normalized.
        classes: K of the probabilities.
        threads: To compute with.
    """

    graph: bytes
    images: Numbers
    classes: int
    threads: int


@dataclass(frozen=True)
class Probed:
    """What came of it in one precision.

    Attributes:
        found: The probabilities `(N, K, …)`; None where there are none.
        seconds: The shortest time they took.
        fault: Why there are none, to stand after the engine's name.
        late: Whether it is that the time was up.
    """

    found: Numbers | None = None
    seconds: float | None = None
    fault: str | None = None
    late: bool = False


def probe(
    name: EngineName, precisions: Sequence[FloatPrecision], task: Task, *, limit_s: float
) -> dict[FloatPrecision, Probed]:
    """Let an engine compute, in a process of its own.

    Args:
        name: "onnxruntime" or "openvino".
        precisions: To try, in this order.
        task: What to compute.
        limit_s: After which the process is ended.

    Returns:
        For each precision what came of it.
    """
    with tempfile.TemporaryDirectory(prefix="delineate-") as place:
        folder = Path(place)
        (folder / "graph.onnx").write_bytes(task.graph)
        np.save(folder / "images.npy", task.images)
        asked = {
            "folder": place,
            "engine": name,
            "precisions": list(precisions),
            "threads": task.threads,
            "shape": [len(task.images), task.classes, *task.images.shape[2:]],
            "measure_s": MEASURE_S,
        }
        fault, late = _run(json.dumps(asked), limit_s)
        return {precision: _outcome(folder, precision, fault, late=late) for precision in precisions}


def _run(asked: str, limit_s: float) -> tuple[str, bool]:
    """How the child ended, if not well."""
    code = f"import sys; sys.path[:] = {sys.path!r}; from {CHILD} import main; main()"
    try:
        ended = subprocess.run(  # noqa: S603  our own interpreter and code
            [sys.executable, "-c", code],
            input=asked.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"did not finish its first inference in {limit_s:.0f} s", True
    except OSError as error:
        return f"could not be tried in a process of its own ({error.strerror or error})", False
    return _ending(ended.returncode), False


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended its first inference with the code {code:#x}"  # of Windows these are large
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"the signal {-code}"
    return f"crashed in its first inference ({name})"


def _outcome(folder: Path, precision: FloatPrecision, fault: str, *, late: bool) -> Probed:
    try:
        told = json.loads((folder / f"{precision}.json").read_text(encoding="utf-8"))
        if "fault" in told:
            return Probed(fault=f"failed: {told['fault']}")
        return Probed(np.load(folder / f"{precision}.npy"), float(told["seconds"]))
    except (OSError, ValueError):  # it never came so far
        return Probed(fault=fault, late=late)
