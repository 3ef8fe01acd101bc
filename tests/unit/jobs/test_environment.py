from __future__ import annotations

import json
from pathlib import Path

import pytest

from delineate.dataset.pseudonyms import PRIVATE, Pseudonyms
from delineate.errors import DataError, UsageError
from delineate.formats import Reading
from delineate.jobs.environment import (
    NAME,
    SOURCE_NAME,
    describe,
    differences,
    read_environment,
    read_source,
    write_environment,
    write_source,
)
from delineate.jobs.source import Source

ALL = {
    "labels": "1=liver",
    "group_regex": "^(.)",
    "log": "tensorboard",
    "tolerance_mm": 1.5,
    "reading": Reading(700.0, "channels", True),
    "pseudonyms": Pseudonyms(bytes(range(16)), True),
}


@pytest.mark.parametrize("options", [{}, ALL])
def test_what_is_written_is_read_back(tmp_path: Path, options: dict[str, object]) -> None:
    test = tmp_path / "test" if options else None
    source = Source(tmp_path / "data", test, **options)  # type: ignore[arg-type]  # of several types
    environment = describe(source, data_sha256="0" * 64, precision="bf16", plan_given=True)
    write_environment(tmp_path, environment)
    write_source(tmp_path, source)
    assert read_environment(tmp_path) == environment
    found = read_source(tmp_path, environment)
    assert (found.data, found.test) == (source.data, source.test)
    assert (found.labels, found.group_regex, found.log) == (source.labels, source.group_regex, source.log)
    assert (found.reading, found.tolerance_mm) == (source.reading, source.tolerance_mm)
    assert found.pseudonyms.salt == source.pseudonyms.salt
    assert found.pseudonyms.all_names == source.pseudonyms.all_names
    assert environment.software["torch"].startswith("2.")


def test_no_place_and_no_pattern_of_names_stands_beside_the_private_folder(tmp_path: Path) -> None:
    source = Source(tmp_path / "Meier_Hans", tmp_path / "Meier_Test", group_regex="^(Meier)")
    write_environment(tmp_path, describe(source, data_sha256="0", precision="fp32", plan_given=False))
    write_source(tmp_path, source)
    text = (tmp_path / NAME).read_text(encoding="utf-8")
    assert "Meier" not in text
    assert str(tmp_path) not in text
    assert json.loads((tmp_path / PRIVATE / SOURCE_NAME).read_text())["data"] == str(tmp_path / "Meier_Hans")


def test_a_place_given_from_here_is_found_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = Source(Path("data"))
    environment = describe(source, data_sha256="0", precision="fp32", plan_given=False)
    write_source(tmp_path, source)
    monkeypatch.chdir("/")
    assert read_source(tmp_path, environment).data == tmp_path / "data"


BROKEN = ["", "{}", "[]", '{"data": 1}', "\x00"]


@pytest.mark.parametrize("content", BROKEN)
def test_a_damaged_one_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(content)
    with pytest.raises(DataError, match=r"environment\.json is damaged"):
        read_environment(tmp_path)


@pytest.mark.parametrize("content", [*BROKEN, '{"data": "d", "salt": "xyz"}', '{"data": "d", "salt": "00"}'])
def test_a_damaged_source_is_refused(content: str, tmp_path: Path) -> None:
    environment = describe(Source(tmp_path), data_sha256="0", precision="fp32", plan_given=False)
    (tmp_path / PRIVATE).mkdir()
    (tmp_path / PRIVATE / SOURCE_NAME).write_text(content)
    with pytest.raises(DataError, match=r"source\.json is damaged"):
        read_source(tmp_path, environment)


def test_a_folder_without_one_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is no run that can go on: environment\.json cannot be read"):
        read_environment(tmp_path)
    environment = describe(Source(tmp_path), data_sha256="0", precision="fp32", plan_given=False)
    with pytest.raises(UsageError, match=r"is no run that can go on: private/source\.json cannot be read"):
        read_source(tmp_path, environment)


def test_another_processor_and_another_device_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("delineate.jobs.environment.computing_device", lambda: "cpu")
    begun = describe(Source(tmp_path), data_sha256="0", precision="fp32", plan_given=False)
    assert begun.device == "cpu"
    elsewhere = begun.model_copy(update={"processor": "riscv64, 3 of them"})
    assert differences(elsewhere, "fp32") == [
        f"The run was begun on another processor (riscv64, 3 of them → {begun.processor}): its result may be "
        "another."
    ]
    monkeypatch.setattr("delineate.jobs.environment.computing_device", lambda: "cuda")
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "NVIDIA H200")
    with_gpu = describe(Source(tmp_path), data_sha256="0", precision="fp32", plan_given=False)
    assert with_gpu.device == "NVIDIA H200"
    assert differences(with_gpu, "fp32") == []
    assert differences(begun, "fp32") == [
        "The run was begun on another device (cpu → NVIDIA H200): its result will be another."
    ]


def test_an_older_run_that_names_no_device_goes_on(tmp_path: Path) -> None:
    environment = describe(Source(tmp_path), data_sha256="0", precision="fp32", plan_given=False)
    (tmp_path / NAME).write_text(environment.model_dump_json(exclude={"device"}), encoding="utf-8")
    read = read_environment(tmp_path)
    assert read.device is None
    assert differences(read, "fp32") == []


def test_other_software_and_precision_are_told(tmp_path: Path) -> None:
    environment = describe(Source(tmp_path), data_sha256="0", precision="bf16", plan_given=False)
    assert differences(environment, "bf16") == []
    older = environment.model_copy(update={"software": environment.software | {"torch": "1.0"}})
    (software, precision) = differences(older, "fp32")
    assert f"torch 1.0 → {environment.software['torch']}" in software
    assert "begun in bf16 and goes on in fp32" in precision
