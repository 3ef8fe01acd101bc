"""Masks for many images: each file's fault is its own, and the manifest tells the truth."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from example_model import example
from PIL import Image as Pillow

from delineate import formats
from delineate.augment.settings import AugmentationSettings
from delineate.dataset import cases
from delineate.errors import DataError, OutputError, UsageError
from delineate.evaluation import overlays
from delineate.image import Image, LabelSet, Mask
from delineate.inference.found import Found
from delineate.inference.model import Model
from delineate.jobs import flow, prediction, reading, writing
from delineate.jobs.manifest import Predicted, masks_in, remove_stale, write_manifest
from delineate.jobs.reporter import Reporter

PATIENT = "Meier_Hans_1961"
BYTES = "[enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"
LARGE = "it is too large for this machine's memory"


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(*example())


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three grey pictures in a folder named like a patient."""
    folder = tmp_path / PATIENT
    folder.mkdir()
    for number, name in enumerate("abc"):
        values = np.random.default_rng(number).integers(0, 256, (20, 20 + number), dtype=np.uint8)
        Pillow.fromarray(values).save(folder / f"{name}.png")
    return folder


def manifest(folder: Path) -> dict[str, Any]:
    """What the manifest says; the folder's and the patient's name are nowhere in it."""
    text = (folder / "manifest.json").read_text(encoding="utf-8")
    assert PATIENT not in text
    assert str(folder.parent) not in text
    found: dict[str, Any] = json.loads(text)
    return found


def written(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def expected_files(names: Sequence[str]) -> list[str]:
    one = [[f"{name}.png", f"overlays/{name}.png", f"probabilities/{name}.tif"] for name in names]
    return sorted(["manifest.json", *(path for paths in one for path in paths)])


def failing(real: Callable[..., Any], on: int, error: BaseException) -> Callable[..., Any]:
    """`real`, but with an error at its call of that number."""
    calls = 0

    def call(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == on:
            raise error
        return real(*arguments, **options)

    return call


FAULTS = [
    (DataError("it has 2 channels, but 1 are expected"), "it has 2 channels, but 1 are expected"),
    (MemoryError(), LARGE),
    (RuntimeError(f"{BYTES} to allocate 9e15 bytes"), LARGE),
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), LARGE),
    (RuntimeError("the net\nfails"), "the net fails"),
    (ValueError("an overlay needs a 2D image"), "an overlay needs a 2D image"),
]


@pytest.mark.parametrize("place", ["read", "predicted", "drawn", "mask", "probabilities"])
@pytest.mark.parametrize(("error", "reason"), FAULTS)
def test_a_fault_of_one_file_is_that_files_alone(
    model: Model,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    error: Exception,
    reason: str,
) -> None:
    owner, name = {
        "read": (reading, "load_image"),
        "predicted": (model, "found_in"),
        "drawn": (overlays, "draw_overlay"),
        "mask": (formats, "write_mask"),
        "probabilities": (formats, "write_probabilities"),
    }[place]
    monkeypatch.setattr(owner, name, failing(getattr(owner, name), 2, error))
    out = tmp_path / "out"
    made = prediction.predict(model, images, out, overlay=True, probabilities=True)
    assert [file.status for file in made.files] == ["done", "failed", "done"]
    assert made.messages == (f"{images / 'b.png'}: {reason}",)
    digest = hashlib.sha256((images / "b.png").read_bytes()).hexdigest()
    told = manifest(out)
    assert told["complete"]
    assert told["files"][1] == {
        "input": ["b.png"],
        "sha256": [digest],
        "status": "failed",
        "reason": reason,
        "mask": None,
        "label_values": None,
        "size": None,
        "label_share": None,
        "notes": [],
    }
    assert written(out) == expected_files("ac")


@pytest.mark.parametrize("place", ["write_mask", "write_probabilities"])
def test_a_full_disk_stops_all_and_the_manifest_names_what_is_there(
    model: Model, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    error = OutputError("Cannot write: the disk is full.")
    monkeypatch.setattr(formats, place, failing(getattr(formats, place), 2, error))
    with pytest.raises(OutputError, match="the disk is full"):
        prediction.predict(model, images, tmp_path / "out", overlay=True, probabilities=True)
    told = manifest(tmp_path / "out")
    assert not told["complete"]
    assert [file["mask"] for file in told["files"]] == ["a.png"]
    assert written(tmp_path / "out") == expected_files("a")


def test_stopped_between_mask_and_probabilities_the_manifest_is_right(
    model: Model, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = failing(formats.write_probabilities, 3, KeyboardInterrupt())
    monkeypatch.setattr(formats, "write_probabilities", stop)
    with pytest.raises(KeyboardInterrupt):
        prediction.predict(model, images, tmp_path / "out", overlay=True, probabilities=True)
    told = manifest(tmp_path / "out")
    assert not told["complete"]
    assert [file["input"] for file in told["files"]] == [["a.png"], ["b.png"]]
    assert written(tmp_path / "out") == expected_files("ab")


def test_failures_name_the_file_and_the_manifest_no_folder(
    model: Model, images: Path, tmp_path: Path
) -> None:
    (images / "text.png").write_text("no picture", encoding="utf-8")
    Pillow.fromarray(np.full((8, 8), 7.5, np.float32)).save(images / "float.tif")
    empty = tmp_path / f"{PATIENT}_2"
    (empty / f"{PATIENT}_3").mkdir(parents=True)
    inputs = [images, images / "none.png", tmp_path / f"{PATIENT}_4", empty]
    out = tmp_path / "out"
    made = prediction.predict(model, inputs, out, overlay=True)
    said = {Path(message.split(": ")[0]).name: message for message in made.messages[3:]}
    assert set(said) == {"float.tif", "text.png"}
    assert said["float.tif"].startswith(f"{images / 'float.tif'}: it has float pixels from 7.5 to 7.5, but ")
    assert said["text.png"].startswith(f"{images / 'text.png'}: its content is no image that can be read ")
    assert str(images / "none.png") in made.messages[0]
    told = {tuple(file["input"]): file["reason"] for file in manifest(out)["files"][3:] if file["reason"]}
    assert told["float.tif",].startswith("it has float pixels from 7.5 to 7.5, but ")
    assert told["text.png",].startswith("its content is no image that can be read ")
    assert [(file.input, file.reason) for file in made.files[:3]] == [
        (("none.png",), "there is no such file"),
        ((), "there is no such file"),
        ((), "the folder holds no pictures"),
    ]
    assert PATIENT not in " ".join(written(out))
    for path in out.rglob("*.*"):
        assert PATIENT.encode() not in path.read_bytes()


def test_paths_in_a_librarys_words_are_cut_to_names(
    model: Model, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = RuntimeError(f"{images / 'a.png'} lies in {images}/ and is odd")
    monkeypatch.setattr(model, "found_in", failing(model.found_in, 1, error))
    prediction.predict(model, images, tmp_path / "out")
    assert manifest(tmp_path / "out")["files"][0]["reason"] == "a.png lies in and is odd"


def test_colours_that_the_model_does_not_take_are_noted(model: Model, tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (20, 20), dtype=np.uint8)
    colours = np.dstack([grey, grey.T, grey])
    pictures = {"grey": grey, "stored": np.dstack([grey] * 3), "colour": colours}
    for name, values in pictures.items():
        Pillow.fromarray(values).save(tmp_path / f"{name}.png")
    inputs = [tmp_path / f"{name}.png" for name in pictures]
    prediction.predict(model, inputs, tmp_path / "out")
    notes = {file["input"][0]: file["notes"] for file in manifest(tmp_path / "out")["files"]}
    note = "in colour, and turned to grey (its luminance) for a model of grey images"
    assert notes["grey.png"] == []
    assert note not in notes["stored.png"]
    assert notes["colour.png"] == [note]


def test_large_overlays_are_reduced(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "OVERLAY_PX", 250)

    def square(image: Image, **_options: object) -> Found:
        values = np.zeros(image.size, np.uint8)
        values[100:400, 100:400] = 1
        return Found(Mask(values, model.labels), None)

    monkeypatch.setattr(model, "found_in", square)
    Pillow.fromarray(np.zeros((500, 600), np.uint8)).save(tmp_path / "large.png")
    prediction.predict(model, tmp_path / "large.png", tmp_path / "out", overlay=True)
    with Pillow.open(tmp_path / "out" / "overlays" / "large.png") as overlay:
        assert overlay.size == (250, 208)
    with Pillow.open(tmp_path / "out" / "large.png") as mask:
        assert mask.size == (600, 500)
        assert (np.asarray(mask) == 255).sum() == 300 * 300


def test_progress_counts_every_input(model: Model, images: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    class Counting(Reporter):
        def stage(self, name: str, done: int, total: int) -> None:
            told.append((name, done, total))

    (images / "b.png").write_bytes(b"")
    prediction.predict(model, images, tmp_path / "out", reporter=Counting())
    assert told == [("predicting", number, 3) for number in (1, 2, 3)]


WORKERS = [0, 1, 3]


def shown(folder: Path) -> dict[str, Any]:
    """The manifest without the time it took."""
    told = manifest(folder)
    told.pop("seconds")
    return told


def test_masks_and_manifest_are_the_same_whoever_works(
    model: Model, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (images / "b.png").write_bytes(b"")
    Pillow.fromarray(np.zeros((5, 5, 3), np.uint8)).save(images / "d.png")
    real = cases.load_image
    another = threading.Event()

    def late_at_first(files: tuple[Path, ...], *arguments: Any, **options: Any) -> Image:
        if files[0].name == "a.png" and workers > 1:
            another.wait(0.2)  # it is read before the first, if its size was known in time
        image = real(files, *arguments, **options)
        if files[0].name == "c.png":
            another.set()
        return image

    monkeypatch.setattr(reading, "load_image", late_at_first)
    outs = [tmp_path / str(workers) for workers in WORKERS]
    for workers, out in zip(WORKERS, outs, strict=True):
        another.clear()
        made = prediction.predict(model, images, out, overlay=True, probabilities=True, workers=workers)
        assert [file.input for file in made.files] == [("a.png",), ("b.png",), ("c.png",), ("d.png",)]
        assert made.messages == (f"{images / 'b.png'}: the file is empty",)
    assert shown(outs[0]) == shown(outs[1]) == shown(outs[2])
    names = written(outs[0])
    assert names == expected_files("acd")
    for name in set(names) - {"manifest.json"}:
        assert len({(out / name).read_bytes() for out in outs}) == 1


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("place", ["read", "predicted", "mask"])
@pytest.mark.parametrize("error", [KeyError("its own words"), KeyboardInterrupt("its own words")])
def test_an_error_of_a_thread_comes_as_it_is_and_stops_all(
    model: Model,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
    place: str,
    error: BaseException,
) -> None:
    owner, name = {
        "read": (reading, "load_image"),
        "predicted": (model, "found_in"),
        "mask": (formats, "write_mask"),
    }[place]
    monkeypatch.setattr(owner, name, failing(getattr(owner, name), 2, error))
    out = tmp_path / "out"
    with pytest.raises(type(error), match="its own words"):
        prediction.predict(model, images, out, workers=workers)
    told = manifest(out)
    assert not told["complete"]
    assert {file["mask"] for file in told["files"]} == set(written(out)) - {"manifest.json"}
    if place == "mask" and workers < 2:
        assert [file["mask"] for file in told["files"]] == ["a.png"]


def test_stopped_by_the_user_what_is_being_written_is_finished_and_told(
    model: Model, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, begun, stopping = formats.write_mask, threading.Event(), threading.Event()

    def late(*arguments: Any) -> None:
        begun.set()
        assert stopping.wait(60)
        real(*arguments)

    def stopped(image: Image, **_options: object) -> Found:
        assert begun.wait(60)
        stopping.set()
        raise KeyboardInterrupt

    monkeypatch.setattr(formats, "write_mask", late)
    monkeypatch.setattr(model, "found_in", failing_after(model.found_in, 1, stopped))
    with pytest.raises(KeyboardInterrupt):
        prediction.predict(model, images, tmp_path / "out")
    told = manifest(tmp_path / "out")
    assert [file["mask"] for file in told["files"]] == ["a.png"]
    assert not told["complete"]
    assert written(tmp_path / "out") == ["a.png", "manifest.json"]


def failing_after(real: Callable[..., Any], calls: int, other: Callable[..., Any]) -> Callable[..., Any]:
    """`real` for so many calls, then another."""
    done = iter(range(calls))

    def call(*arguments: Any, **options: Any) -> Any:
        return (other if next(done, None) is None else real)(*arguments, **options)

    return call


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize(("most", "held"), [(8_000, 4), (1, 1)])
def test_few_images_are_held_at_once(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, most: int, held: int
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(12):
        Pillow.fromarray(np.full((20, 20), number, np.uint8)).save(folder / f"{number:02}.png")
    images: list[weakref.ref[Image]] = []
    seen: list[int] = []
    real = cases.load_image

    def counted(*arguments: Any, **options: Any) -> Image:
        image = real(*arguments, **options)
        images.append(weakref.ref(image))
        seen.append(sum(each() is not None for each in images))
        return image

    monkeypatch.setattr(reading, "load_image", counted)
    monkeypatch.setattr(flow, "IN_FLIGHT_BYTES", most)  # an image of 20 × 20 takes 5 · 400 bytes
    assert len(prediction.predict(model, folder, tmp_path / "out", workers=workers).done) == 12
    assert len(seen) == 12
    assert max(seen) <= held + 1  # the one before may just be let go of


@pytest.mark.parametrize("workers", [-1, 65, 1.5, True, "2"])
def test_workers_are_a_small_number(model: Model, images: Path, tmp_path: Path, workers: object) -> None:
    with pytest.raises(UsageError, match="--workers"):
        prediction.predict(model, images, tmp_path / "out", workers=workers)  # type: ignore[arg-type]  # is refused


def mirroring(model: Model, *, mirror: bool, flip: bool) -> Model:
    plan = model.plan.model_copy(
        update={
            "prediction": model.plan.prediction.model_copy(update={"mirror": mirror}),
            "augmentation": AugmentationSettings(flip_horizontal=flip, flip_vertical=False),
        }
    )
    card, weights = example()
    return Model(card.model_copy(update={"plan": plan}), weights)


@pytest.mark.parametrize("planned", [True, False])
@pytest.mark.parametrize("asked", [True, False, None])
def test_mirroring_is_as_asked_and_told(
    model: Model, images: Path, tmp_path: Path, planned: bool, asked: bool | None
) -> None:
    made = mirroring(model, mirror=planned, flip=True)
    wanted = planned if asked is None else asked
    prediction.predict(made, images, tmp_path / "out", probabilities=True, tta=asked)
    assert manifest(tmp_path / "out")["mirrored"] == (["width"] if wanted else [])
    expected = mirroring(model, mirror=wanted, flip=True).probabilities(images / "a.png")
    found = formats.read(tmp_path / "out" / "probabilities" / "a.tif").pixels
    assert np.array_equal(found, expected)
    assert made.plan.prediction.mirror is planned  # the model itself stays as it is


def test_mirroring_that_no_training_had_is_said_to_change_nothing(
    model: Model, images: Path, tmp_path: Path
) -> None:
    told: list[str] = []

    class Listening(Reporter):
        def warn(self, text: str) -> None:
            told.append(text)

    made = mirroring(model, mirror=False, flip=False)
    prediction.predict(made, images, tmp_path / "out", tta=True, reporter=Listening())
    assert told == ["The model's training mirrored no image, so --tta changes nothing."]
    assert manifest(tmp_path / "out")["mirrored"] == []


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="needs names of any bytes")
def test_a_name_that_is_no_utf8_is_predicted_and_told(model: Model, images: Path, tmp_path: Path) -> None:
    odd = images / os.fsdecode(b"p\xe9t.png")
    (images / "a.png").rename(odd)
    made = prediction.predict(model, images, tmp_path / "out", anonymous=True)
    assert len(made.done) == 3
    told = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert told["complete"]
    assert (tmp_path / "out" / "private" / "names.csv").is_file()
    plain = prediction.predict(model, images, tmp_path / "plain")
    told = json.loads((tmp_path / "plain" / "manifest.json").read_text(encoding="utf-8"))
    assert [file["input"] for file in told["files"]] == [list(file.input) for file in plain.files]
    assert [odd.name] in [file["input"] for file in told["files"]]  # the escape reads back as the name


def test_what_was_made_of_images_that_have_gone_since_is_removed(tmp_path: Path) -> None:
    for path in (
        "a.png",
        "b.png",
        "b.c.png",
        "mine.txt",
        "overlays/b.png",
        "overlays/b.c.png",
        "overlays/a.png",
    ):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    files = [
        Predicted(("a",), mask="a.png"),
        Predicted(("b",), mask="b.png"),
        Predicted(("c",), mask="b.c.png"),
    ]
    write_manifest(tmp_path, "0", LabelSet.of("lesion"), files, complete=False, seconds=1)
    before = masks_in(tmp_path)
    assert before == ("a.png", "b.png", "b.c.png")
    remove_stale(tmp_path, before, [files[0], Predicted(("b",), status="failed"), files[2]])
    assert written(tmp_path) == [
        "a.png",
        "b.c.png",
        "manifest.json",
        "mine.txt",
        "overlays/a.png",
        "overlays/b.c.png",
    ]
    (tmp_path / "manifest.json").write_text('{"files": [{"mask": "../../etc/passwd"}]}')
    assert masks_in(tmp_path) == ()
