"""Nothing of a patient in what is written and printed: values in sixty tags, and in names, are searched."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from clinic import DATES, TAGS, canary, date_canary, volume, write_nifti, write_series
from commanding import Command

PATIENTS = 6


def words(patient: int) -> list[bytes]:
    """All that tells of a patient."""
    texts = [canary(patient, tag) for tag in TAGS] + [date_canary(patient, tag) for tag in DATES]
    return [text.encode() for text in texts]


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Series and masks whose folders and files are called by the patients' names and birth dates."""
    root = tmp_path_factory.mktemp("ward") / f"export_{canary(0, 'PatientName')}"
    for patient in range(PATIENTS):
        values, mask = volume(patient)
        name = f"{canary(patient, 'PatientName')}_{date_canary(patient, 'PatientBirthDate')}"
        write_series(root / "images" / name, values, patient, stem=f"{canary(patient, 'PatientID')}_")
        write_nifti(root / "masks" / f"{name}.nii.gz", mask)
    return root


@pytest.fixture(scope="module")
def trained(hospital: Path, tmp_path_factory: pytest.TempPathFactory, command: Command) -> tuple[Path, str]:
    """A run on them, and all that was printed."""
    run = tmp_path_factory.mktemp("work") / "run"
    done = command("train", hospital, "--out", run, "--epochs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    return run, done.stdout + done.stderr


def test_there_are_some_sixty_of_them() -> None:
    assert len(TAGS) + len(DATES) >= 60
    assert len({word for patient in range(PATIENTS) for word in words(patient)}) == PATIENTS * len(words(0))


def told_by(folder: Path) -> list[str]:
    """Files of a folder, but for `private/` and segmentations, in whose name or content a patient is told."""
    found = []
    every = [word for patient in range(PATIENTS) for word in words(patient)]
    for path in folder.rglob("*"):
        place = path.relative_to(folder)
        if place.parts[0] == "private" or path.suffix == ".dcm":
            continue
        content = b"" if path.is_dir() else path.read_bytes()
        if path.name.endswith(".gz"):
            content = gzip.decompress(content)
        found += [f"{place}: {word!r}" for word in every if word in content or word in str(place).encode()]
    return found


def said_by(printed: str, hospital: Path) -> list[bytes]:
    """What of the patients was printed; the path that the user typed may be said back."""
    heard = printed.replace(str(hospital), "").encode()
    return [word for patient in range(PATIENTS) for word in words(patient) if word in heard]


def test_a_run_tells_nothing(trained: tuple[Path, str], hospital: Path) -> None:
    run, printed = trained
    assert told_by(run) == []
    assert said_by(printed, hospital) == []
    private = b"".join(path.read_bytes() for path in (run / "private").iterdir())
    assert canary(0, "PatientName").encode() in private  # so that the search would find it
    assert (run / "private").stat().st_mode & 0o077 == 0
    splits = json.loads((run / "splits.json").read_text())
    names = splits["train"] + splits["validation"]
    assert len(names) == PATIENTS
    assert all(name.startswith("case-") for name in names)


def test_a_stopped_run_goes_on_with_the_same_codes(
    trained: tuple[Path, str], hospital: Path, command: Command
) -> None:
    run, _ = trained
    before = (run / "splits.json").read_bytes()
    weights = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").unlink()
    done = command("train", "--resume", run)
    assert done.returncode == 0, done.stderr
    assert (run / "splits.json").read_bytes() == before
    assert (run / "model.safetensors").read_bytes() == weights
    assert said_by(done.stdout + done.stderr, hospital) == []


@pytest.mark.parametrize("mask_format", ["auto", "nifti"])
def test_predictions_tell_nothing(
    trained: tuple[Path, str], hospital: Path, tmp_path: Path, command: Command, mask_format: str
) -> None:
    run, _ = trained
    series = sorted((hospital / "images").iterdir())[:2]
    out = tmp_path / "masks"
    done = command(
        "predict", run, *series, "--out", out, "--overlay", "--probabilities", "--format", mask_format
    )
    assert done.returncode == 0, done.stderr
    assert told_by(out) == []
    assert said_by(done.stdout + done.stderr, hospital) == []
    segmentations = list(out.glob("*.dcm"))
    assert len(segmentations) == (2 if mask_format == "auto" else 0)
    for path in segmentations:  # the patient module is demanded of these, and the command says so
        assert canary(0, "PatientID").encode() in path.read_bytes() or b"ZQ1" in path.read_bytes()
    assert ("carry the patient's name" in done.stdout) == (mask_format == "auto")


def test_evaluations_checks_and_info_tell_nothing(
    trained: tuple[Path, str], hospital: Path, tmp_path: Path, command: Command
) -> None:
    run, _ = trained
    done = [
        command("evaluate", run, hospital, "--out", tmp_path / "scores"),
        command("check", hospital),
        command("info", run),
    ]
    for each in done:
        assert each.returncode == 0, each.stderr
        assert said_by(each.stdout + each.stderr, hospital) == []
    assert told_by(tmp_path / "scores") == []


def test_bad_files_tell_nothing(
    trained: tuple[Path, str], hospital: Path, tmp_path: Path, command: Command
) -> None:
    """Cut off within the header, or within the pixels: what the header said must not be told."""
    run, _ = trained
    source = sorted((hospital / "images").iterdir())[0]
    for length in (900, 3000):
        folder = tmp_path / f"cut{length}"
        folder.mkdir()
        for number, path in enumerate(sorted(source.iterdir())):
            (folder / f"{number}.dcm").write_bytes(path.read_bytes()[:length])
        done = command("predict", run, folder, "--out", tmp_path / f"masks{length}")
        assert done.returncode == 1
        assert said_by(done.stdout + done.stderr, hospital) == []
        assert told_by(tmp_path / f"masks{length}") == []
