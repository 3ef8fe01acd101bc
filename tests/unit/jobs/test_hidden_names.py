"""What is predicted, and what fails, goes by codes where names tell who a patient is."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from dicom_making import dicom, written
from example_model import example
from PIL import Image as Pillow

from delineate.dataset.check import check
from delineate.dataset.pseudonyms import Pseudonyms
from delineate.errors import DataError
from delineate.files import made_folder
from delineate.inference.model import Model
from delineate.jobs.export import given_images
from delineate.jobs.parts import checked_part
from delineate.jobs.prediction import predict
from delineate.jobs.reporter import Reporter
from delineate.jobs.scoring import evaluate

CODE = r"(?:case|name)-[0-9a-f]{10}"


class Heard(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(*example())


def picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (20, 20), dtype=np.uint8)
    Pillow.fromarray(values).save(path)
    return path


@pytest.mark.parametrize("anonymous", [False, True])
def test_nothing_of_what_was_given_is_told(model: Model, tmp_path: Path, anonymous: bool) -> None:
    given = tmp_path / "ZQWARD^1"
    for name in ("ZQDOE^A", "ZQDOE^A_mask", "20190304", "ZQ^broken"):
        picture(given / f"{name}.png")
    (given / "ZQ^broken.png").write_bytes(b"")
    (given / "ZQ^letter.txt").touch()
    for seed, patient in enumerate(("Zqkim^Anna", "Zqli^Bo", "Zqmay^Cy")):
        made = dicom(np.zeros((8, 8), np.uint16), PatientName=patient)
        path = written(made, given / f"scan of {patient[:5].strip('^').lower()}_{seed}.dcm")
        whole = path.read_bytes()
        path.write_bytes(whole[: (len(whole), len(whole) - 60, 300)[seed]])
    heard = Heard()
    out = tmp_path / "out"
    inputs = [given, tmp_path / "ZQ^gone.png"]
    found = predict(model, inputs, out, anonymous=anonymous, reporter=heard)
    told = "\n".join((*heard.said, *found.messages, (out / "manifest.json").read_text()))
    names = [path.name for path in out.rglob("*") if "private" not in path.parts]
    assert not re.search("zq|20190304", "\n".join((told, *names)), re.IGNORECASE)
    assert len(found.done) == 3
    assert all(re.fullmatch(rf"{CODE}\.(png|nii\.gz)", file.mask or "") for file in found.done)
    with (out / "private" / "names.csv").open(newline="") as stream:
        table = {row["code"]: row["files"] for row in csv.DictReader(stream)}
    assert set(re.findall(CODE, "\n".join((told, *names)))) <= set(table)
    assert table[(found.done[0].mask or "").split(".")[0]] in {str(path) for path in given.iterdir()}


def test_harmless_names_stay_and_there_is_no_table(model: Model, tmp_path: Path) -> None:
    path = picture(tmp_path / "image_7.png")
    found = predict(model, path, tmp_path / "out")
    assert [(file.input, file.mask) for file in found.files] == [(("image_7.png",), "image_7.png")]
    assert not (tmp_path / "out" / "private").exists()


def test_the_table_of_an_evaluation_lies_in_it_also_within_a_run(model: Model, tmp_path: Path) -> None:
    (tmp_path / "run" / "private").mkdir(parents=True)
    for seed in range(2):
        picture(tmp_path / "data" / "images" / f"{seed}.png", seed)
        (tmp_path / "data" / "masks").mkdir(exist_ok=True)
        values = np.eye(20, dtype=np.uint8) * 255
        Pillow.fromarray(values).save(tmp_path / "data" / "masks" / f"{seed}.png")
    heard = Heard()
    evaluate(model, tmp_path / "data", out=tmp_path / "run" / "scores", anonymous=True, reporter=heard)
    names = tmp_path / "run" / "scores" / "private" / "names.csv"
    shown = "Names that may tell who a patient is are shown as codes"
    assert f"{shown}; {names} says which is which." in heard.said
    with (tmp_path / "run" / "scores" / "private" / "names.csv").open(newline="") as stream:
        table = {row["code"] for row in csv.DictReader(stream)}
    assert set(re.findall(CODE, (tmp_path / "run" / "scores" / "cases.csv").read_text())) <= table
    assert list((tmp_path / "run" / "private").iterdir()) == []


@pytest.mark.parametrize(
    ("labels", "groups", "options"),
    [(None, None, ""), (">0=a", "^(.)", " --labels '>0=a' --group-regex '^(.)'")],
)
def test_the_error_of_a_training_says_how_to_find_the_file(
    tmp_path: Path, labels: str | None, groups: str | None, options: str
) -> None:
    for seed in range(3):
        picture(tmp_path / "images" / f"ZQDOE^{seed}.png", seed)
        picture(tmp_path / "masks" / f"ZQDOE^{seed}.png")
    (tmp_path / "images" / "ZQDOE^1.png").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        checked_part(tmp_path, labels=labels, group_regex=groups, reporter=Reporter())
    message = str(caught.value)
    assert message.endswith(
        "Names that may tell who a patient is are shown as codes. To find the files: delineate check "
        f"{shlex.quote(str(tmp_path))}{options} --names FOLDER shows the same and writes which file each "
        "code stands for."
    )
    (code,) = set(re.findall(CODE, message))
    report = check(tmp_path)  # as that command does
    report.pseudonyms.write_table(made_folder(tmp_path / "names"))
    with (tmp_path / "names" / "private" / "names.csv").open(newline="") as stream:
        table = {row["code"]: row["files"] for row in csv.DictReader(stream)}
    assert str(tmp_path / "images" / "ZQDOE^1.png") in table[code]


def test_the_error_of_an_export_says_so_too(model: Model, tmp_path: Path) -> None:
    gone = tmp_path / "ZQ^gone.png"
    with pytest.raises(DataError) as caught:
        given_images(model, [gone], Reporter())
    said, how = str(caught.value).split("\n")
    assert re.search(CODE, said)
    assert "ZQ" not in said + how
    assert "delineate predict MODEL IMAGES --out FOLDER shows the same and writes which file" in how
    found = predict(model, gone, tmp_path / "out")
    (code,) = set(re.findall(CODE, "".join(found.messages)))
    assert f"{code},ZQ^gone.png" in (tmp_path / "out" / "private" / "names.csv").read_text()


def test_errors_without_codes_say_nothing_of_them(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "1.png")
    with pytest.raises(DataError) as caught:
        checked_part(tmp_path, labels=None, group_regex=None, reporter=Reporter())
    assert "--names" not in str(caught.value)


def test_codes_of_data_without_a_case_are_not_made_from_nothing(tmp_path: Path) -> None:
    """Else whoever guesses a name could verify the guess."""
    for path in ("images/ZQDOE^1.png", "images/ZQDOE^1.bmp", "masks/ZQDOE^1.png"):
        picture(tmp_path / path)
    said = ["".join(problem.message for problem in check(tmp_path).problems) for _ in range(2)]
    codes = [frozenset(re.findall(CODE, text)) for text in said]
    assert len(codes[0]) == len(codes[1]) == 2
    assert not codes[0] & codes[1]


def test_a_file_that_changed_after_the_check_is_told_by_its_code(tmp_path: Path) -> None:
    for seed in range(3):
        picture(tmp_path / "images" / f"ZQDOE^{seed}.png", seed)
        mask = np.zeros((20, 20), np.uint8)
        mask[4:9, 4:9] = 255
        (tmp_path / "masks").mkdir(exist_ok=True)
        Pillow.fromarray(mask).save(tmp_path / "masks" / f"ZQDOE^{seed}.png")
    part = checked_part(
        tmp_path, labels=None, group_regex=None, reporter=Reporter(), pseudonyms=Pseudonyms(bytes(16))
    )
    (tmp_path / "images" / "ZQDOE^1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"/images/case-[0-9a-f]{10}\.png: the file is empty$"):
        list(part)
