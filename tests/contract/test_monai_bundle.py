"""A bundle that MONAI itself runs writes the very masks that Delineate does."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image as Pillow
from test_ensembles import model, net, plan_of

from delineate.errors import OutputError, UsageError
from delineate.export.bundle_configs import metadata
from delineate.export.monai_bundle import bundle_script, write_bundle
from delineate.inference.model import Model, load
from delineate.jobs.prediction import predict
from delineate.plan import Plan

TEXTS = (
    "schema version monai_version pytorch_version numpy_version task description authors copyright "
    "data_type image_classes pred_classes intended_use"
)
OF_A_TENSOR = {
    "type": str,
    "format": str,
    "num_channels": int,
    "spatial_shape": list,
    "dtype": str,
    "value_range": list,
    "is_patch_data": bool,
    "channel_def": dict,
}


def of(kind: str, **data: object) -> Model:
    """A model with the weights of chance."""
    values = plan_of(kind).model_dump()
    if values["data"]["axes"] == 3:
        values["data"]["pixels"] = "float"
        values["preprocessing"]["orientation"] = "SPL"
    if kind == "volumes":
        values["preprocessing"]["spacing_mm"] = (2.0, 1.0, 1.2)
    values["data"] |= data
    values["network"]["input_channels"] = values["data"]["channels"]
    plan = Plan.model_validate(values)
    size = (10, 25, 30) if plan.data.axes == 3 else (25, 30)
    image = np.random.default_rng(0).integers(0, 256, (*size, plan.data.channels), dtype=np.uint8)
    made = (model(plan, net(plan, seed)) for seed in range(20))
    return next(each for each in made if len(np.unique(each.predict(image))) > 1)


def bundle(folder: Path, made: Model) -> Path:
    write_bundle(folder, made, bundle_script(made), "It agrees.")
    return folder


def pictures(folder: Path) -> Path:
    """Grey of 8 and 16 bits, in colour, with a palette, and one that EXIF turns."""
    folder.mkdir()
    random = np.random.default_rng(0)
    grey = random.integers(0, 256, (25, 30), dtype=np.uint8)
    Pillow.fromarray(grey).save(folder / "grey.png")
    Pillow.fromarray(grey.astype(np.uint16) * 200).save(folder / "deep.png")
    Pillow.fromarray(grey).convert("P").save(folder / "palette.png")
    Pillow.fromarray(random.integers(0, 256, (40, 21, 3), dtype=np.uint8)).save(folder / "colour.bmp")
    turned = Pillow.Exif()
    turned[0x0112] = 6
    Pillow.fromarray(grey).save(folder / "turned.jpg", exif=turned)
    return folder


def volumes(folder: Path) -> Path:
    """One as most are stored, and one whose axes run the other way."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for name, affine in {"a": np.diag([1.5, 1.0, 2.5, 1]), "b": np.diag([-1.0, 2.0, -1.5, 1])}.items():
        values = random.normal(100, 50, (20, 24, 9)).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(values, affine), folder / f"{name}.nii.gz")
    return folder


def run_by_monai(folder: Path, images: Path, out: Path) -> None:
    pytest.importorskip("ignite", reason="MONAI runs bundles with pytorch-ignite")
    from monai.bundle import run  # noqa: PLC0415  heavy

    root = logging.getLogger()
    handlers = list(root.handlers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MONAI about itself
        run(
            bundle_root=str(folder),
            meta_file=str(folder / "configs" / "metadata.json"),
            config_file=str(folder / "configs" / "inference.json"),
            dataset_dir=str(images),
            output_dir=str(out),
        )
    root.handlers[:] = handlers


@pytest.mark.parametrize("kind", ["whole, one label", "patches, mirrored"])
@pytest.mark.parametrize(("colour", "channels"), [("grey", 1), ("rgb", 3)])
def test_masks_of_pictures(kind: str, colour: str, channels: int, tmp_path: Path) -> None:
    made, images = of(kind, colour=colour, channels=channels), pictures(tmp_path / "images")

    run_by_monai(bundle(tmp_path / "bundle", made), images, tmp_path / "theirs")
    predict(made, images, tmp_path / "ours")

    names = sorted(path.name for path in images.iterdir())
    assert sorted(path.stem for path in (tmp_path / "theirs").iterdir()) == [Path(n).stem for n in names]
    found: set[int] = set()
    for path in (tmp_path / "theirs").iterdir():
        with Pillow.open(path) as theirs, Pillow.open(tmp_path / "ours" / path.name) as ours:
            assert theirs.mode == ours.mode == "L"
            np.testing.assert_array_equal(np.asarray(theirs), np.asarray(ours), err_msg=path.name)
            found.update(np.unique(np.asarray(ours)).tolist())
    assert len(found) > 1  # else anything would agree


@pytest.mark.parametrize("kind", ["volumes", "slices"])
def test_masks_of_volumes_on_their_own_grid(kind: str, tmp_path: Path) -> None:
    made, images = of(kind), volumes(tmp_path / "images")

    run_by_monai(bundle(tmp_path / "bundle", made), images, tmp_path / "theirs")
    predict(made, images, tmp_path / "ours")

    for name in ("a.nii.gz", "b.nii.gz"):
        theirs, ours = nibabel.load(tmp_path / "theirs" / name), nibabel.load(tmp_path / "ours" / name)
        assert len(np.unique(np.asarray(ours.dataobj))) > 1
        np.testing.assert_array_equal(np.asarray(theirs.dataobj), np.asarray(ours.dataobj))
        np.testing.assert_allclose(theirs.affine, ours.affine, atol=1e-5)


@pytest.mark.parametrize("trouble", ["no images", "two of one name", "masks there already"])
def test_nothing_is_passed_over_or_overwritten(trouble: str, tmp_path: Path) -> None:
    folder, images, out = bundle(tmp_path / "bundle", of("patches")), tmp_path / "images", tmp_path / "out"
    images.mkdir()
    names = {"no images": [], "two of one name": ["a.png", "a.jpg"], "masks there already": ["a.png"]}[
        trouble
    ]
    for name in names:
        Pillow.new("L", (20, 20)).save(images / name)
    if trouble == "masks there already":
        out.mkdir()

    with pytest.raises(RuntimeError) as caught:
        run_by_monai(folder, images, out)

    said = str(caught.value.__cause__)
    assert any(text in said for text in ("no images in", "the same name", "exists already"))
    assert not out.exists() or not list(out.iterdir())


@pytest.mark.slow
def test_the_command_runs_it(tmp_path: Path) -> None:
    pytest.importorskip("ignite", reason="MONAI runs bundles with pytorch-ignite")
    pytest.importorskip("fire", reason="MONAI's command line is made with fire")
    folder, images = bundle(tmp_path / "bundle", of("whole, one label")), pictures(tmp_path / "images")
    configs = ["--meta_file", "configs/metadata.json", "--config_file", "configs/inference.json"]

    def by_command(*arguments: str | Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "monai.bundle", *map(str, arguments), *configs],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if "delineate" not in p)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    by_command("run", "--bundle_root", ".", "--dataset_dir", images, "--output_dir", tmp_path / "out")
    by_command("verify_net_in_out", "network_def", "--any", "20")

    assert len(list((tmp_path / "out").iterdir())) == len(list(images.iterdir()))


@pytest.mark.parametrize("kind", ["whole, one label", "patches", "volumes"])
def test_metadata_has_what_the_schema_asks_for(kind: str) -> None:
    made = of(kind)
    values = json.loads(json.dumps(metadata(made.card, "It agrees.")))
    labels = made.plan.data.labels

    for name in TEXTS.split():
        assert isinstance(values[name], str), name
        assert values[name], name
    assert isinstance(values["required_packages_version"], dict)
    tensors = values["network_data_format"]
    for tensor in (tensors["inputs"]["image"], tensors["outputs"]["pred"]):
        assert {name: type(value) for name, value in tensor.items() if name != "modality"} == OF_A_TENSOR
        assert tensor["spatial_shape"] == ["*"] * made.plan.data.axes
        assert len(tensor["channel_def"]) == tensor["num_channels"]
    background = {} if len(labels) == 1 else {"0": "background"}
    named = {str(at): name for at, name in enumerate(labels, start=len(background))}
    assert tensors["outputs"]["pred"]["channel_def"] == background | named


def test_delineate_takes_the_folder_for_the_model(tmp_path: Path) -> None:
    made = of("whole, one label")

    again = load(bundle(tmp_path / "bundle", made))

    assert again.card == made.card


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    made = of("whole, one label")
    (tmp_path / "notes.txt").write_text("mine")

    with pytest.raises(OutputError, match="is not empty"):
        write_bundle(tmp_path, made, b"", "")

    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_what_monai_could_not_read_alike_is_refused() -> None:
    with pytest.raises(UsageError, match="takes 2 channels"):
        bundle_script(of("patches", colour="channels", channels=2))
    with pytest.raises(UsageError, match="stacks of pictures"):
        bundle_script(of("volumes", pixels="integer"))


@pytest.mark.parametrize(
    ("normalization", "mean", "deviation", "refused"),
    [
        ("dataset", (-412.0,), (310.0,), True),
        ("dataset", (0.5,), (310.0,), True),
        ("dataset", (0.5,), (0.2,), False),
        ("image", (), (), False),
    ],
)
def test_floats_in_units_of_their_own_are_no_pictures(
    normalization: str, mean: tuple[float, ...], deviation: tuple[float, ...], refused: bool
) -> None:
    values = plan_of("patches").model_dump()
    values["data"]["pixels"] = "float"
    values["preprocessing"] |= {
        "normalization": normalization,
        "mean": mean,
        "standard_deviation": deviation,
    }
    plan = Plan.model_validate(values)
    made = model(plan, net(plan, 0))
    if not refused:
        assert bundle_script(made)
        return
    with pytest.raises(UsageError, match=f"with a mean of {mean[0]:.4g}. Export it to onnx"):
        bundle_script(made)


@pytest.mark.parametrize("name", ["$__import__('os').getpid()", "% fat", "@run", "fat @##x"])
def test_labels_of_strangers_are_no_expressions(name: str) -> None:
    made = of("whole, one label")
    plan = made.plan.model_copy(update={"data": made.plan.data.model_copy(update={"labels": (name,)})})
    values = metadata(made.card.model_copy(update={"plan": plan}), "It agrees.")
    from monai.bundle import ConfigParser  # noqa: PLC0415  slow to import

    parser = ConfigParser(json.loads(json.dumps(values)))
    found = parser.get_parsed_content("network_data_format#outputs#pred#channel_def")
    assert found == {"0": re.sub(r"[$%@#]", "_", name)}
