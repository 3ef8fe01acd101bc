"""Masks of volumes as files: of the image's own kind, on its grid, or nothing at all."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK
from dicom_making import slices, written
from PIL import Image as Pillow
from volume_cases import PLACED, net, noise, volume, volume_plan

from delineate import formats
from delineate.dataset import cases
from delineate.errors import DataError
from delineate.files import sha256
from delineate.fingerprint import measure
from delineate.formats import Reading, arrays, metaimage, nifti, nrrd, tiff
from delineate.formats.nifti_writing import write_probabilities
from delineate.geometry import same_grid
from delineate.image import Image, Mask, oriented
from delineate.inference.found import Found
from delineate.inference.model import Model
from delineate.inference.volumes import needed_bytes
from delineate.jobs import prediction, writing
from delineate.jobs import reading as job_reading
from delineate.jobs.reading import reading_for
from delineate.jobs.reporter import Reporter
from delineate.jobs.writing import NO_SEGMENTATION
from delineate.model_file import ModelCard, TrainingFacts, weights_sha256
from delineate.plan import Plan

SIZE = (5, 12, 9)


def model_of(labels: int = 2, **sections: Any) -> Model:
    sections["preprocessing"] = {"orientation": "SPL"} | sections.get("preprocessing", {})
    return trained(volume_plan("volumes", labels, 1, **sections), volume(noise(*SIZE), PLACED))


def trained(plan: Plan, image: Image) -> Model:
    """A model of a plan, as if it had learned from one image without labels."""
    weights = net(plan).state_dict()
    mask = Mask(np.zeros(SIZE, np.uint8), plan.data.label_set, PLACED)
    card = ModelCard(
        weights_sha256=weights_sha256(weights),
        plan=plan,
        fingerprint=measure([(image, mask)], mask.labels, "channels"),
        training=TrainingFacts(cases=1, steps=1, seconds=1, precision="fp32", seed=0),
        software={},
    )
    return Model(card, weights)


@pytest.fixture(scope="module")
def model() -> Model:
    return model_of()


STORED = oriented(volume(noise(*SIZE), PLACED), "LAI")
"""A volume whose axes run other ways than the net's."""
FAMILIES = {
    ".nii.gz": nifti.FAMILY,
    ".nii": nifti.FAMILY,
    ".nrrd": nrrd.FAMILY,
    ".mha": metaimage.FAMILY,
    ".tif": tiff.FAMILY,
    ".npy": arrays.FAMILY,
}


def store(path: Path) -> Path:
    """The volume as a file of the kind its name says."""
    if path.suffix == ".npy":
        np.save(path, STORED.pixels[0])
        return path
    suffix = next(suffix for suffix in FAMILIES if path.name.endswith(suffix))
    writer = FAMILIES[suffix].write_probabilities
    assert writer is not None
    writer(path, shares(STORED), STORED.geometry)
    return path


def shares(image: Image) -> npt.NDArray[np.float32]:
    """An image's pixels, which are from 0 to 1 as probabilities are."""
    return image.pixels.astype(np.float32)


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return found


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("suffix", FAMILIES)
@pytest.mark.parametrize("labels", [1, 2])
def test_a_mask_is_of_its_images_kind_and_on_its_grid(tmp_path: Path, suffix: str, labels: int) -> None:
    model, source = model_of(labels), store(tmp_path / f"a{suffix}")
    prediction.predict(model, source, tmp_path / "out")
    image = formats.read(source)
    found = model.found_in(image).mask
    (told,) = manifest(tmp_path / "out")["files"]
    assert told["mask"] == f"a{suffix}"
    assert files(tmp_path / "out") == sorted([f"a{suffix}", "manifest.json"])
    assert told["size"] == list(image.size) == list(STORED.size)
    stored = formats.read_mask(tmp_path / "out" / told["mask"])
    assert same_grid(stored.geometry, image.geometry, image.size)
    values = told["label_values"]
    assert list(values) == list(model.labels.names)
    expected = np.zeros(image.size, np.uint8)
    for label in model.labels:
        expected[found.values == label.value] = values[label.name]
    assert np.array_equal(stored.values, expected)
    assert len(np.unique(expected)) > 1
    share = {label.name: round(float((found.values == label.value).mean()), 6) for label in model.labels}
    assert told["label_share"] == share


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".tif", ".npy"])
def test_nifti_for_all(tmp_path: Path, model: Model, suffix: str) -> None:
    source = store(tmp_path / f"a{suffix}")
    prediction.predict(model, source, tmp_path / "out", mask_format="nifti")
    (told,) = manifest(tmp_path / "out")["files"]
    assert (told["mask"], told["label_values"]) == ("a.nii.gz", {"label 1": 1, "label 2": 2})
    found = model.found_in(formats.read(source)).mask.values
    assert np.array_equal(formats.read_mask(tmp_path / "out" / "a.nii.gz").values, found)


def test_a_picture_as_nifti_holds_the_labels_own_value(tmp_path: Path) -> None:
    from example_model import example  # noqa: PLC0415  of pictures, and needed here alone

    Pillow.fromarray((noise(20, 30) * 255).astype(np.uint8)).save(tmp_path / "a.png")
    for mask_format, name, value in (("nifti", "a.nii.gz", 1), ("auto", "a.png", 255)):
        out = tmp_path / mask_format
        prediction.predict(Model(*example()), tmp_path / "a.png", out, mask_format=mask_format)  # type: ignore[arg-type]  # one of its literals
        (told,) = manifest(out)["files"]
        assert (told["mask"], told["label_values"]) == (name, {"lesion": value})
        assert set(np.unique(formats.read_mask(out / name).values).tolist()) <= {0, value}


def test_no_volume_is_a_png(tmp_path: Path, model: Model) -> None:
    made = prediction.predict(model, store(tmp_path / "a.nii.gz"), tmp_path / "out", mask_format="png")
    (failed,) = made.failed
    assert failed.reason == "it is a volume, and PNG holds one picture: omit --format, or give nifti"
    assert (failed.mask, failed.label_values) == (None, None)
    assert files(tmp_path / "out") == ["manifest.json"]


@pytest.mark.parametrize(
    ("suffix", "kept"), [(".nii.gz", ".nii.gz"), (".nii", ".nii"), (".nrrd", ".nrrd"), (".mha", ".mha")]
)
def test_probabilities_of_volumes(tmp_path: Path, model: Model, suffix: str, kept: str) -> None:
    source = store(tmp_path / f"a{suffix}")
    prediction.predict(model, source, tmp_path / "out", probabilities=True)
    path = tmp_path / "out" / "probabilities" / f"a{kept}"
    image = formats.read(source)
    stored = formats.read(path, Reading(fourth_axis="channels"))
    found = model.found_in(image, keep_probabilities=True).probabilities
    assert found is not None
    assert stored.pixels.dtype == np.float32
    assert np.allclose(stored.pixels, found, atol=1e-3)
    assert same_grid(stored.geometry, image.geometry, image.size)


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
def test_the_file_of_pixels_has_a_digest_too(tmp_path: Path, model: Model, suffix: str) -> None:
    header = tmp_path / f"a{suffix}"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(shares(STORED)[0]), header)
    (pixels,) = set(tmp_path.iterdir()) - {header}
    one = store(tmp_path / "b.nrrd")
    prediction.predict(model, [header, one], tmp_path / "out")
    assert [(file["status"], file["sha256"]) for file in manifest(tmp_path / "out")["files"]] == [
        ("done", [sha256(header), sha256(pixels)]),
        ("done", [sha256(one)]),
    ]


def test_probabilities_are_kept_only_where_they_are_wanted(model: Model) -> None:
    assert model.found_in(STORED).probabilities is None
    kept = model.found_in(STORED, keep_probabilities=True).probabilities
    assert kept is not None
    assert np.array_equal(kept, model.probabilities(STORED))
    assert np.array_equal(model.predict(STORED), model.found_in(STORED).mask.values)


@pytest.mark.parametrize("at", ["mask", "drawn", "probabilities"])
@pytest.mark.parametrize("error", [DataError("it cannot be"), KeyboardInterrupt()])
def test_of_a_volume_that_failed_nothing_stays(
    tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch, at: str, error: BaseException
) -> None:
    def fail(*_: object, **_options: object) -> None:
        raise error

    def empty(path: Path, *_: object) -> None:
        path.touch()
        raise error

    if at == "drawn":
        monkeypatch.setattr(writing, "draw", fail)
    else:
        name = "write_mask" if at == "mask" else "write_probabilities"
        family = replace(nifti.FAMILY, **{name: empty})  # type: ignore[arg-type]  # one of its two writers
        monkeypatch.setattr(formats, "family_of", lambda _path: family)
    monkeypatch.setattr(writing, "draw", fail if at == "drawn" else lambda *_: b"")
    source, out = store(tmp_path / "a.nii.gz"), tmp_path / "out"
    if isinstance(error, DataError):
        made = prediction.predict(model, source, out, overlay=True, probabilities=True)
        assert [file.reason for file in made.failed] == ["it cannot be"]
    else:
        with pytest.raises(KeyboardInterrupt):
            prediction.predict(model, source, out, overlay=True, probabilities=True)
    assert files(out) == ["manifest.json"]
    assert manifest(out)["complete"] is isinstance(error, DataError)


def series(folder: Path, frame: str | None = "1.2.3.4.9") -> list[Path]:
    """A CT of five slices."""
    folder.mkdir()
    values = (noise(*SIZE) * 1000).astype(np.int16)
    made = slices(values, FrameOfReferenceUID=frame, SliceThickness=2.5)
    return [written(each, folder / f"{at}.dcm") for at, each in enumerate(made)]


def test_of_dicom_a_segmentation_is_made(tmp_path: Path, model: Model) -> None:
    series(tmp_path / "ct")
    (done,) = prediction.predict(model, tmp_path / "ct", tmp_path / "out", overlay=True).done
    assert (done.input, done.mask) == (("ct",), "ct.dcm")
    assert done.label_values == {"label 1": 1, "label 2": 2}
    assert files(tmp_path / "out") == ["ct.dcm", "manifest.json", "overlays/ct.png"]
    image = formats.read(tmp_path / "ct")
    found = model.found_in(image).mask.values
    stored = formats.read_mask(tmp_path / "out" / "ct.dcm")
    assert dict(stored.names) == {1: "label 1", 2: "label 2"}
    assert np.bincount(stored.values.ravel())[1:].tolist() == np.bincount(found.ravel())[1:].tolist()


def test_where_no_segmentation_can_be_made_nifti_is_written_and_that_is_noted(
    tmp_path: Path, model: Model
) -> None:
    series(tmp_path / "ct", frame=None)
    (done,) = prediction.predict(model, tmp_path / "ct", tmp_path / "out").done
    assert done.mask == "ct.nii.gz"
    (note,) = (note for note in done.notes if note.startswith(NO_SEGMENTATION))
    assert "Frame of Reference UID" in note
    assert str(tmp_path) not in (tmp_path / "out" / "manifest.json").read_text()
    assert files(tmp_path / "out") == ["ct.nii.gz", "manifest.json"]
    found = model.found_in(formats.read(tmp_path / "ct")).mask.values
    assert np.array_equal(formats.read_mask(tmp_path / "out" / "ct.nii.gz").values, found)


def test_one_volume_too_large_does_not_stop_the_rest(tmp_path: Path, model: Model) -> None:
    small = store(tmp_path / "small.nii.gz")
    large = Image(np.zeros((1, 60, 200, 200), np.float32), PLACED, shares=False)
    write_probabilities(tmp_path / "large.nii.gz", shares(large), large.geometry)
    allowed = needed_bytes(model.plan, formats.read(small)) + 1000
    assert needed_bytes(model.plan, large) > allowed
    made = prediction.predict(
        model, [tmp_path / "large.nii.gz", small], tmp_path / "out", memory_bytes=allowed
    )
    assert [file.status for file in made.files] == ["failed", "done"]
    assert "GB of memory, and 0.6 GB are allowed by --memory" in str(made.failed[0].reason)
    assert files(tmp_path / "out") == ["manifest.json", "small.nii.gz"]


def test_progress_within_a_volume_is_told_by_its_name(tmp_path: Path, model: Model) -> None:
    told: list[tuple[str, int, int]] = []

    class Counting(Reporter):
        def stage(self, name: str, done: int, total: int) -> None:
            told.append((name, done, total))

    prediction.predict(model, store(tmp_path / "a.nii.gz"), tmp_path / "out", reporter=Counting())
    within = [each for each in told if each[0] == "predicting a"]
    assert len(within) > 1
    assert within[-1][1] == within[-1][2]
    assert told[-1] == ("predicting", 1, 1)


def test_what_a_volume_does_not_say_is_noted(tmp_path: Path, model: Model) -> None:
    prediction.predict(model, store(tmp_path / "a.npy"), tmp_path / "out")
    (told,) = manifest(tmp_path / "out")["files"]
    assert "it does not say how it lies in the patient: taken as stored for SPL" in told["notes"]


@pytest.mark.parametrize(
    ("trained", "asked", "expected"),
    [
        ("refuse", None, Reading()),
        ("channels", None, Reading(fourth_axis="channels")),
        ("channels", Reading(700.0), Reading(700.0, "channels")),
        ("channels", Reading(None, "refuse", True), Reading(None, "channels", True)),
        ("refuse", Reading(None, "channels"), Reading(None, "channels")),
        ("refuse", Reading(5.0), Reading(5.0)),
    ],
)
def test_images_are_read_as_the_training_ones_were(
    trained: str, asked: Reading | None, expected: Reading
) -> None:
    assert reading_for(volume_plan("volumes", data={"fourth_axis": trained}), asked) == expected


def test_another_limit_does_not_make_a_model_refuse_its_fourth_axis(tmp_path: Path) -> None:
    plan = volume_plan("volumes", 1, 2, data={"fourth_axis": "channels"})
    image = Image(noise(2, *SIZE), PLACED, shares=False)
    model = trained(plan, image)
    write_probabilities(tmp_path / "a.nii.gz", shares(image), image.geometry)
    for number, reading in enumerate((None, Reading(700.0))):
        made = prediction.predict(model, tmp_path / "a.nii.gz", tmp_path / str(number), reading=reading)
        assert [file.status for file in made.files] == ["done"], made.messages


@pytest.mark.parametrize(("memory_bytes", "others"), [(None, True), (4 << 30, False)])
def test_a_volume_is_alone_on_its_way_where_memory_is_limited(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory_bytes: int | None, others: bool
) -> None:
    folder = tmp_path / "volumes"
    folder.mkdir()
    for name in "abcd":
        store(folder / f"{name}.nii.gz")
    real, found_in = cases.load_image, model.found_in
    read: list[str] = []
    ahead: list[int] = []
    another = threading.Event()

    def reading_one(files: tuple[Path, ...], *arguments: Any, **options: Any) -> Image:
        read.append(files[0].name)
        if len(read) > 1:
            another.set()
        return real(files, *arguments, **options)

    def finding(image: Image, **options: Any) -> Found:
        another.wait(60 if others else 0.2)  # so that the readers come to read others, if they may
        ahead.append(len(read) - len(ahead) - 1)
        return found_in(image, **options)

    monkeypatch.setattr(job_reading, "load_image", reading_one)
    monkeypatch.setattr(model, "found_in", finding)
    made = prediction.predict(model, folder, tmp_path / "out", memory_bytes=memory_bytes)
    assert [file.mask for file in made.files] == [f"{name}.nii.gz" for name in "abcd"]
    assert any(ahead) is others
