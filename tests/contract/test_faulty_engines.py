"""An engine whose process is killed, hangs or computes something else harms nobody, and it is said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_engines import made

from delineate.errors import UsageError
from delineate.inference.engines import choice, probe, remembered
from delineate.inference.engines.choice import asked_for, choose
from delineate.inference.engines.engine import EngineName

FAULTS = {
    "SIGFPE": r"crashed in its first inference \(SIGFPE\)",
    "SIGSEGV": r"crashed in its first inference \(SIGSEGV\)",
    "SIGILL": r"crashed in its first inference \(SIGILL\)",
    "code": "ended its first inference with the code 0x3",
    "raise": "failed: no such instruction",
    "nan": "gives probabilities that are not numbers",
    "other": "gives other probabilities than torch, by up to 0.",
}
pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(probe, "CHILD", "faulty_child")
    monkeypatch.setattr("delineate.inference.engines.trials.MEASURE_S", 0.0)
    return tmp_path / "delineate" / remembered.NAME


@pytest.mark.parametrize("fault", FAULTS)
def test_asked_for_by_name_it_is_an_error_that_says_so(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELINEATE_TEST_FAULT", fault)
    told = f"--engine openvino cannot be used in fp32 for this model on this machine: it {FAULTS[fault]}"
    with pytest.raises(UsageError, match=told):
        asked_for(made("patches").net, "openvino", "fp32")


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_one_that_hangs_is_ended(engine: EngineName, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELINEATE_TEST_FAULT", "hang")
    monkeypatch.setattr(choice, "ASKED_LIMIT_S", 1.0)
    with pytest.raises(
        UsageError, match=f"--engine {engine} .* it did not finish .* in 1 s. Give --engine t"
    ):
        asked_for(made("patches").net, engine, "fp32")


@pytest.mark.parametrize("fault", ["SIGFPE", "nan"])
def test_auto_passes_it_over_and_says_so_once(
    fault: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELINEATE_TEST_FAULT", fault)
    net = made("patches").net
    chosen = choose(net, "fp32")
    assert (chosen.engine.name, chosen.engine.precision) == ("torch", "fp32")
    both = " ".join(chosen.passed_over)
    assert "onnxruntime in fp32" in both
    assert "openvino in fp32" in both
    assert ("SIGFPE" if fault == "SIGFPE" else "not numbers") in both
    assert cache.is_file()
    monkeypatch.setattr(choice, "try_out", None)  # nothing is tried again
    again = choose(net, "fp32")
    assert (again.engine.name, again.passed_over) == ("torch", ())


def test_once_mended_it_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELINEATE_TEST_FAULT", "SIGFPE")
    net = made("patches").net
    with pytest.raises(UsageError, match="SIGFPE"):
        asked_for(net, "onnxruntime", "fp32")
    monkeypatch.setattr(probe, "CHILD", "delineate.inference.engines.probe_child")
    assert asked_for(net, "onnxruntime", "fp32").name == "onnxruntime"
    monkeypatch.setattr(choice, "try_out", None)
    assert asked_for(net, "onnxruntime", "fp32").name == "onnxruntime"


def test_openvino_is_loaded_without_what_reports_home(tmp_path: Path) -> None:
    code = """
import sys
reached = []
sys.addaudithook(lambda name, _: reached.append(name) if name.startswith(("socket.", "urllib.")) else None)
from delineate.inference.engines.packages import optional_package
optional_package("openvino", "a test")
import openvino.tools.ovc
kind = type(openvino.tools.ovc.telemetry)
assert kind.__module__ == "openvino.tools.ovc.telemetry_stub", kind
assert not [name for name in sys.modules if name.startswith("openvino_telemetry.")]
assert not reached, reached
"""
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment.pop("CI", None)  # where it would be silent of its own accord
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert list(tmp_path.iterdir()) == []


def test_onnx_runtimes_events_are_off(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime  # noqa: PLC0415  heavy

    from delineate.inference.engines.packages import optional_package  # noqa: PLC0415  after it

    switched: list[bool] = []
    monkeypatch.setattr(onnxruntime, "disable_telemetry_events", lambda: switched.append(True))
    optional_package("onnxruntime", "a test")
    assert switched == [True]
