"""The other side of `probe`: computes a net by another engine, in a process whose end harms nobody.

It imports no torch. What is asked comes as JSON on the standard input; what was found goes to files.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path

import numpy as np

from delineate.errors import DelineateError
from delineate.inference.engines.sessions import Numbers, Session, open_session

AT_LEAST_RUNS = 2


def main() -> None:
    """Try each precision in turn; a file for each that came to its end."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # noqa: PLC0415  not on Windows

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no file behind
    asked = json.load(sys.stdin)
    folder = Path(asked["folder"])
    graph, images = (folder / "graph.onnx").read_bytes(), np.load(folder / "images.npy")
    for precision in asked["precisions"]:
        found = np.full(asked["shape"], np.nan, np.float32)
        try:
            session = open_session(
                asked["engine"], graph, images.shape[1:], precision=precision, threads=asked["threads"]
            )
            session.run(images, found)
            seconds = best_seconds(session, images, np.empty_like(found), asked["measure_s"])
        except (DelineateError, RuntimeError, MemoryError) as error:
            _write(folder, precision, {"fault": " ".join(str(error).split())[:300]})
            continue
        np.save(folder / f"{precision}.npy", found)
        _write(folder, precision, {"seconds": seconds})


def best_seconds(session: Session, images: Numbers, found: Numbers, measure_s: float) -> float:
    """The shortest time of several runs: others on the machine make a run longer, never shorter."""
    taken: list[float] = []
    while len(taken) < AT_LEAST_RUNS or sum(taken) < measure_s:
        start = time.perf_counter()
        session.run(images, found)
        taken.append(time.perf_counter() - start)
    return min(taken)


def _write(folder: Path, precision: str, outcome: dict[str, object]) -> None:
    beside = folder / f"{precision}.part"
    beside.write_text(json.dumps(outcome), encoding="utf-8")
    beside.replace(folder / f"{precision}.json")
