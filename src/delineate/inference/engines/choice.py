"""Which engine computes a model: the fastest that was measured here and agrees with torch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import torch

from delineate.choices import FloatPrecision
from delineate.errors import UsageError
from delineate.inference.engines.engine import Engine, EngineName
from delineate.inference.engines.making import Net, make_engine, settled_precision
from delineate.inference.engines.packages import lacking
from delineate.inference.engines.pytorch import TorchEngine
from delineate.inference.engines.remembered import Entry, Trial, processor, recall, remember
from delineate.inference.engines.trials import Candidate, candidates, probing_batch, try_out
from delineate.inference.engines.wish import PrecisionChoice

WORTH_S = 20.0  # of work ahead, from which on measuring may pay
LIMITS_S = (3.0, 12.0)  # for each engine that is measured
PART_OF_WORK = 1 / 8
ASKED_LIMIT_S = 120.0  # for the first inference of an engine that was asked for by its name
WORTH_LEAVING = 1.1  # times as fast as torch


@dataclass(frozen=True)
class Chosen:
    """An engine, and how it came to be chosen.

    Attributes:
        engine: Ready to compute.
        times_torch: How much faster it is than torch, if that was measured.
        passed_over: What is to be said of engines that were tried just now and failed.
    """

    engine: Engine
    times_torch: float | None = None
    passed_over: tuple[str, ...] = ()


def asked_for(net: Net, name: EngineName, precision: PrecisionChoice) -> Engine:
    """The engine that a user names; another than torch computes once in a child process first.

    Raises:
        UsageError: It has no such precision, its package is not installed, it crashes, or it computes
            something else than torch.
    """
    engine = make_engine(net, name, precision)
    if name == "torch":
        return engine
    wanted = Candidate(name, settled_precision(net, name, precision))
    entry = recall(_about(net))
    trial = entry.trials.get(str(wanted))
    if trial is None or trial.fault is not None:  # which may be mended
        trial = try_out(net, [wanted], limit_s=ASKED_LIMIT_S)[str(wanted)]
        checked = trial.model_copy(update={"seconds": None})  # no other was measured at the same time
        remember(Entry(about=entry.about, trials=entry.trials | {str(wanted): checked}))
    if trial.fault is not None:
        raise UsageError(
            f"--engine {name} cannot be used in {wanted.precision} for this model on this machine: it "
            f"{trial.fault}. Give --engine torch, or auto."
        )
    return engine


def choose(net: Net, precision: PrecisionChoice, *, windows: int | None = None) -> Chosen:
    """The engine that is fastest for a net on this machine.

    What was measured once is remembered. Else, where the work ahead would take torch long enough, the engines
    are measured now; where not, torch computes.

    Args:
        net: What it computes.
        precision: The only one it may have; "auto" for fp32 and that of the training.
        windows: Images or windows that are to be computed, mirrored ones included; None for many.

    Raises:
        UsageError: No engine has such a precision.
    """
    usual = make_engine(net, "torch", precision)
    if usual.device.type != "cpu":
        return Chosen(usual)
    precisions: set[FloatPrecision] = {settled_precision(net, "torch", precision)}
    if precision == "auto":
        precisions.add("fp32")
    wanted = [each for each in candidates(tuple(precisions)) if lacking(each.name) is None]
    if all(each.name == "torch" for each in wanted):
        return Chosen(usual)
    entry = recall(_about(net))
    passed_over: tuple[str, ...] = ()
    unmeasured = [each for each in wanted if _unmeasured(entry, each)]
    late = [each for each in wanted if _had_s(entry, each)]
    if unmeasured or late:
        limit_s = _limit_s(net, windows)
        if limit_s is None and unmeasured:
            return Chosen(usual)
        again = [each for each in late if limit_s and limit_s >= 2 * _had_s(entry, each)]
        if limit_s is not None and (unmeasured or again):
            # all at one time, as this machine may have been busier at another
            tried = [each for each in wanted if each in again or not _failed(entry, each)]
            entry = _tried(net, entry, tried, limit_s)
            faults = ((each, entry.trials[str(each)].fault) for each in tried)
            passed_over = tuple(f"{each.name} in {each.precision} {fault}" for each, fault in faults if fault)
    return _best(net, usual, {each: entry.trials[str(each)] for each in wanted}, passed_over)


def _best(net: Net, usual: Engine, trials: dict[Candidate, Trial], passed_over: tuple[str, ...]) -> Chosen:
    """The fastest; torch as usual unless another one is faster by some way."""
    seconds = {each: trial.seconds for each, trial in trials.items() if trial.seconds is not None}
    own = seconds.get(Candidate("torch", "bf16" if usual.precision == "bf16" else "fp32"))
    others = {each: taken for each, taken in seconds.items() if each.name != "torch"}
    if own is None or not others:
        return Chosen(usual, passed_over=passed_over)
    best = min(others, key=lambda each: others[each])
    times = own / others[best]
    if times < WORTH_LEAVING:
        return Chosen(usual, passed_over=passed_over)
    return Chosen(make_engine(net, best.name, best.precision), times, passed_over)


def _tried(net: Net, entry: Entry, wanted: list[Candidate], limit_s: float) -> Entry:
    """The entry with further trials, remembered."""
    entry = Entry(about=entry.about, trials=entry.trials | try_out(net, wanted, limit_s=limit_s))
    remember(entry)
    return entry


def _unmeasured(entry: Entry, each: Candidate) -> bool:
    trial = entry.trials.get(str(each))
    return trial is None or (trial.seconds is None and trial.fault is None)


def _failed(entry: Entry, each: Candidate) -> bool:
    trial = entry.trials.get(str(each))
    return trial is not None and trial.fault is not None


def _had_s(entry: Entry, each: Candidate) -> float:
    """The time after which it was given up; 0 if it was not."""
    trial = entry.trials.get(str(each))
    return (trial.late_s or 0.0) if trial is not None else 0.0


def _limit_s(net: Net, windows: int | None) -> float | None:
    """Seconds that an engine may take to be measured; None where the work is not worth it."""
    least, most = LIMITS_S
    if windows is None:
        return most
    batch = probing_batch(net)
    if windows < 4 * len(batch):  # then even one look at the speed would be a good part of the work
        return None
    engine = TorchEngine(net.network, bf16=net.usual_precision() == "bf16")
    start = time.perf_counter()
    with torch.inference_mode():
        engine(batch)
    work_s = (time.perf_counter() - start) * windows / len(batch)
    return min(max(work_s * PART_OF_WORK, least), most) if work_s >= WORTH_S else None


def _about(net: Net) -> dict[str, str]:
    """Of what a measurement holds."""
    packages = ("delineate", "torch", "onnx", "onnxruntime", "openvino")
    return {
        "weights_sha256": net.weights_sha256,
        "window": " × ".join(map(str, net.plan.window)),
        "processor": processor(),
        "threads": str(torch.get_num_threads()),
        "versions": ", ".join(f"{package} {_version(package)}" for package in packages),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "–"
