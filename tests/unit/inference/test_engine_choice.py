"""Which engine is chosen, from what was measured; when there is measuring at all; what is remembered."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_engines import made

from delineate.errors import DelineateWarning, UsageError
from delineate.inference.engines import choice, remembered
from delineate.inference.engines.choice import asked_for, choose
from delineate.inference.engines.making import Net, settled_precision
from delineate.inference.engines.remembered import Trial, cache_folder
from delineate.inference.engines.trials import Candidate, candidates, probing_batch
from delineate.inference.engines.wish import checked_choice
from delineate.inference.model import Model

Given = dict[str, Trial]


class Tries:
    """Stands for measuring: gives trials, and counts."""

    def __init__(self, seconds: dict[str, float | str]) -> None:
        self.seconds = seconds
        self.calls: list[tuple[tuple[str, ...], float]] = []

    def __call__(self, net: Net, wanted: Sequence[Candidate], *, limit_s: float) -> Given:
        self.calls.append((tuple(map(str, wanted)), limit_s))
        return {str(each): self.trial(str(each), limit_s) for each in wanted}

    def trial(self, name: str, limit_s: float) -> Trial:
        found = self.seconds.get(name, 1.0)
        if isinstance(found, float):
            return Trial(seconds=found)
        return Trial(fault=found, late_s=limit_s if found == "late" else None)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "delineate" / remembered.NAME


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Tries]:
    def give(**seconds: float | str) -> Tries:
        tries = Tries({name.replace("_", " "): each for name, each in seconds.items()})
        monkeypatch.setattr(choice, "try_out", tries)
        return tries

    return give


def net(trained_in: str = "fp32") -> Net:
    return replace(made("patches").net, trained_in=trained_in)  # type: ignore[arg-type]  # one of its literals


@pytest.fixture
def fast_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delineate.inference.engines.making.has_fast_bf16", lambda _: True)


def test_the_fastest_is_taken_and_said_by_how_much(measuring: Callable[..., Tries]) -> None:
    measuring(torch_fp32=1.0, onnxruntime_fp32=0.8, openvino_fp32=0.5)
    chosen = choose(net(), "auto")
    assert (chosen.engine.name, chosen.engine.precision, chosen.times_torch) == ("openvino", "fp32", 2.0)


def test_torch_is_left_for_something_much_faster_alone(measuring: Callable[..., Tries]) -> None:
    measuring(torch_fp32=1.0, onnxruntime_fp32=0.95, openvino_fp32=1.3)
    chosen = choose(net(), "auto")
    assert (chosen.engine.name, chosen.times_torch) == ("torch", None)


@pytest.mark.usefixtures("fast_bf16")
def test_a_model_trained_in_bf16_may_be_computed_in_it(measuring: Callable[..., Tries]) -> None:
    tries = measuring(torch_bf16=0.6, openvino_bf16=0.3, openvino_fp32=0.5)
    chosen = choose(net("bf16"), "auto")
    assert (chosen.engine.name, chosen.engine.precision, chosen.times_torch) == ("openvino", "bf16", 2.0)
    expected = ("torch fp32", "torch bf16", "onnxruntime fp32", "openvino fp32", "openvino bf16")
    assert tries.calls == [(expected, choice.LIMITS_S[1])]


@pytest.mark.usefixtures("fast_bf16")
def test_one_trained_in_fp32_is_not_unless_it_is_asked_for(measuring: Callable[..., Tries]) -> None:
    tries = measuring(openvino_bf16=0.1, openvino_fp32=0.5)
    assert choose(net(), "auto").engine.precision == "fp32"
    assert choose(net(), "bf16").engine.precision == "bf16"
    assert [names for names, _ in tries.calls] == [
        ("torch fp32", "onnxruntime fp32", "openvino fp32"),
        ("torch bf16", "openvino bf16"),
    ]


def test_what_was_measured_is_remembered(measuring: Callable[..., Tries], cache: Path) -> None:
    tries = measuring(openvino_fp32=0.5)
    for windows in (None, 3, 10**9):
        assert choose(net(), "auto", windows=windows).engine.name == "openvino"
    assert len(tries.calls) == 1
    written = json.loads(cache.read_text())
    (entry,) = written["entries"].values()
    assert entry["trials"]["openvino fp32"] == {"seconds": 0.5}
    assert set(entry["about"]) == {"weights_sha256", "window", "processor", "threads", "versions"}


def test_other_weights_threads_or_versions_are_measured_anew(
    measuring: Callable[..., Tries], monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = measuring()
    choose(net(), "auto")
    choose(replace(net(), weights_sha256="1" * 64), "auto")
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    choose(net(), "auto")
    torch.set_num_threads(before)
    monkeypatch.setattr(choice, "version", lambda package: "99")
    choose(net(), "auto")
    assert len(tries.calls) == 4


def test_little_work_is_not_worth_measuring(
    measuring: Callable[..., Tries], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = measuring(openvino_fp32=0.5)
    for windows in (0, 2, 15, 1000):
        assert choose(net(), "auto", windows=windows).engine.name == "torch"
    assert tries.calls == []
    assert not cache.exists()
    monkeypatch.setattr(choice, "WORTH_S", 0.0)
    assert choose(net(), "auto", windows=1000).engine.name == "openvino"
    assert tries.calls[0][1] == choice.LIMITS_S[0]


def test_an_engine_that_failed_is_passed_over_and_told_once(measuring: Callable[..., Tries]) -> None:
    tries = measuring(openvino_fp32="crashed", onnxruntime_fp32=0.5)
    first, second = choose(net(), "auto"), choose(net(), "auto")
    assert first.passed_over == ("openvino in fp32 crashed",)
    assert second.passed_over == ()
    assert first.engine.name == second.engine.name == "onnxruntime"
    assert len(tries.calls) == 1


def test_one_whose_time_was_up_is_tried_again_with_twice_the_time(
    measuring: Callable[..., Tries], monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = measuring(openvino_fp32="late", onnxruntime_fp32=0.5)
    monkeypatch.setattr(choice, "WORTH_S", 0.0)
    choose(net(), "auto", windows=1000)
    choose(net(), "auto", windows=1000)
    assert len(tries.calls) == 1
    tries.seconds["openvino fp32"] = 0.2
    assert choose(net(), "auto").engine.name == "openvino"
    assert [limit_s for _, limit_s in tries.calls] == list(choice.LIMITS_S)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 2}', '{"format": 1, "entries": {"a": 1}}'])
def test_a_broken_cache_is_passed_by_and_written_anew(
    content: str, measuring: Callable[..., Tries], cache: Path
) -> None:
    tries = measuring(openvino_fp32=0.5)
    cache.parent.mkdir()
    cache.write_text(content)
    assert choose(net(), "auto").engine.name == choose(net(), "auto").engine.name == "openvino"
    assert len(tries.calls) == 1
    assert len(json.loads(cache.read_text())["entries"]) == 1


def test_a_cache_that_cannot_be_written_is_done_without(
    measuring: Callable[..., Tries], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = measuring(openvino_fp32=0.5)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert choose(net(), "auto").engine.name == choose(net(), "auto").engine.name == "openvino"
    assert len(tries.calls) == 2


def test_the_cache_is_bounded(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MOST_ENTRIES", 6)
    number = remembered.MOST_ENTRIES + 5
    for at in range(number):
        remembered.remember(remembered.Entry(about={"at": str(at)}, trials={"x": Trial(seconds=1)}))
    entries = json.loads(cache.read_text())["entries"].values()
    assert [entry["about"]["at"] for entry in entries] == [str(at) for at in range(5, number)]
    assert not stat.S_IMODE(cache.stat().st_mode) & 0o111
    assert [each.name for each in cache.parent.iterdir()] == [remembered.NAME]


def test_where_caches_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert cache_folder() == tmp_path / ".cache" / "delineate"
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder() == tmp_path / "Library" / "Caches" / "delineate"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_folder() == tmp_path / "local" / "delineate"


def test_one_asked_for_is_checked_once_but_counts_not_as_measured(measuring: Callable[..., Tries]) -> None:
    tries = measuring(openvino_fp32=0.5)
    for _ in range(2):
        assert asked_for(net(), "openvino", "auto").name == "openvino"
    assert tries.calls == [(("openvino fp32",), choice.ASKED_LIMIT_S)]
    assert choose(net(), "auto").times_torch == 2.0
    assert len(tries.calls) == 2


def test_torch_asked_for_is_not_tried(measuring: Callable[..., Tries]) -> None:
    tries = measuring()
    assert asked_for(net(), "torch", "auto").name == "torch"
    assert tries.calls == []


def test_without_other_packages_there_is_nothing_to_measure(
    measuring: Callable[..., Tries], monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = measuring()
    monkeypatch.setattr("delineate.inference.engines.packages.find_spec", lambda _: None)
    assert choose(net(), "auto").engine.name == "torch"
    assert tries.calls == []


def test_a_loaded_model_warns_of_what_is_passed_over(measuring: Callable[..., Tries]) -> None:
    measuring(openvino_fp32="crashed in its first inference (SIGFPE)")
    given = made("patches")
    weights = {name: each.clone() for name, each in given.network.state_dict().items()}
    with pytest.warns(DelineateWarning, match=r"The engine openvino in fp32 crashed .*\. It is skipped"):
        assert Model(given.card, weights, engine="auto").engine.name == "torch"


def test_int8_is_refused_by_auto_too() -> None:
    with pytest.raises(UsageError, match="delineate export MODEL --to openvino --precision int8"):
        choose(net(), "int8")


@pytest.mark.parametrize(("engine", "precision"), [("tensorrt", "auto"), ("auto", "fp16")])
def test_a_name_that_is_none(engine: str, precision: str) -> None:
    with pytest.raises(
        UsageError, match=r"There is no (engine 'tensorrt'|precision 'fp16'): give one of auto"
    ):
        checked_choice(engine, precision)


def test_candidates_and_what_they_compute() -> None:
    assert [str(each) for each in candidates(["bf16"])] == ["torch bf16", "openvino bf16"]
    batch = probing_batch(net())
    assert batch.shape == (4, 1, 16, 16)
    assert torch.equal(batch, probing_batch(net()))
    assert batch.std().item() == pytest.approx(1)
    assert probing_batch(made("volumes").net).shape == (2, 1, 8, 16, 16)
    assert probing_batch(made("whole, one label").net).shape == (1, 1, 16, 16)


def test_the_processors_engines_do_not_compute_in_what_the_gpu_is_fast_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("delineate.inference.engines.making.has_fast_bf16", lambda device: device != "cpu")
    trained = net("bf16")
    assert settled_precision(trained, "torch", "auto") == "fp32"
    monkeypatch.setattr(trained.network, "parameters", lambda: iter([torch.empty(0, device="meta")]))
    assert settled_precision(trained, "torch", "auto") == "bf16"
    assert settled_precision(trained, "openvino", "auto") == "fp32"
    assert settled_precision(trained, "onnxruntime", "auto") == "fp32"
