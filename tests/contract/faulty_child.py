"""A child process of a probe whose engine ends it, hangs, or computes something else."""

from __future__ import annotations

import os
import signal
import sys
import time

import numpy as np

from delineate.inference.engines import probe_child
from delineate.inference.engines.sessions import Numbers

FAULT = "DELINEATE_TEST_FAULT"


class Faulty:
    """A session with the fault that the environment names."""

    def run(self, images: Numbers, found: Numbers) -> None:
        """Compute, somehow."""
        fault = os.environ[FAULT]
        if fault.startswith("SIG"):
            os.kill(os.getpid(), signal.Signals[fault])
        elif fault == "hang":
            time.sleep(600)
        elif fault == "code":
            sys.exit(3)
        elif fault == "raise":
            raise RuntimeError("no such instruction")
        found[:] = np.nan if fault == "nan" else 0.5


def main() -> None:
    """As the true one, with the faulty session."""
    probe_child.__dict__["open_session"] = lambda *_, **__: Faulty()
    probe_child.main()
