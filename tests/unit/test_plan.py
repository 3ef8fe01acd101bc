"""The plan as a file: what is written reads back, and what cannot work is refused by the field's name."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from delineate.augment.settings import AugmentationSettings
from delineate.errors import OutputError, PlanError
from delineate.losses import LossSettings
from delineate.networks.settings import UNetSettings
from delineate.plan import (
    DataPlan,
    Plan,
    PredictionPlan,
    PreprocessingPlan,
    TrainingPlan,
    from_yaml,
    output_channels,
    read_plan,
    retold,
    to_yaml,
    write_plan,
)

PLAN = Plan(
    preset="auto",
    data=DataPlan(colour="rgb", channels=3, labels=("liver", "spleen")),
    preprocessing=PreprocessingPlan(
        mode="whole", size=(96, 128), mean=(0.25, 0.5, 0.75), standard_deviation=(0.125, 0.25, 0.5)
    ),
    network=UNetSettings(input_channels=3, output_channels=3, widths=(8, 16, 32)),
    augmentation=AugmentationSettings(rotation_degrees=15, zoom=(0.8, 1.25), flip_horizontal=True),
    loss=LossSettings(),
    training=TrainingPlan(steps=100, batch_size=4, learning_rate=1e-3),
    prediction=PredictionPlan(mirror=True),
)
VOLUMES = Plan(
    preset="auto",
    data=DataPlan(axes=3, colour="rgb", channels=3, pixels="float", labels=("liver", "spleen")),
    preprocessing=PreprocessingPlan(mode="patch", size=(8, 16, 16), normalization="image"),
    network=UNetSettings(
        axes=3, input_channels=3, output_channels=3, widths=(4, 8, 8), strides=((1, 2, 2), (2, 2, 2))
    ),
    augmentation=AugmentationSettings(),
    loss=LossSettings(),
    training=TrainingPlan(steps=100, batch_size=4, learning_rate=1e-3),
    prediction=PredictionPlan(),
)
RESNET = PLAN.model_copy(
    update={
        "network": UNetSettings(
            encoder="resnet18",
            input_channels=3,
            output_channels=3,
            widths=(4, 4, 4, 4, 4),
            normalization="batch",
        )
    }
)
SECTIONS = ("data", "preprocessing", "network", "augmentation", "loss", "training", "prediction")

printable = st.characters(exclude_categories=("Cc", "Cs", "Cn", "Co"))
names = st.lists(st.text(min_size=1).filter(lambda s: s.strip()), min_size=1, max_size=4, unique=True)


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, exclude_min=True)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Any valid plan."""
    labels = tuple(draw(names))
    channels = draw(st.integers(1, 4))
    network = UNetSettings(
        input_channels=channels,
        output_channels=output_channels(len(labels)),
        widths=tuple(draw(st.lists(st.integers(1, 64), min_size=2, max_size=5))),
        residual=draw(st.booleans()),
        normalization=draw(st.sampled_from(["none", "batch"])),
        upsampling=draw(st.sampled_from(["transposed", "nearest"])),
        stem=draw(st.sampled_from([1, 2, 4])),
    )
    sides = st.integers(math.ceil(16 / network.stride), 8192 // network.stride)
    per_channel = st.lists(
        st.floats(allow_nan=False, allow_infinity=False), min_size=channels, max_size=channels
    )
    positive = st.lists(numbers(0, 1e300), min_size=channels, max_size=channels)
    return Plan(
        preset=draw(st.sampled_from(["auto", "classic"])),
        data=DataPlan(
            colour=draw(st.sampled_from(["grey", "rgb", "channels"])),
            channels=channels,
            pixels=draw(st.sampled_from(["integer", "float"])),
            labels=labels,
        ),
        preprocessing=PreprocessingPlan(
            mode=draw(st.sampled_from(["whole", "patch"])),
            size=(draw(sides) * network.stride, draw(sides) * network.stride),
            fit=draw(st.sampled_from(["stretch", "pad"])),
            scale=draw(numbers(0.01, 8)),
            normalization=draw(st.sampled_from(["unit", "dataset", "image"])),
            mean=tuple(draw(per_channel)),
            standard_deviation=tuple(draw(positive)),
        ),
        network=network,
        augmentation=AugmentationSettings(
            rotation_degrees=draw(st.floats(0, 180)),
            zoom=(draw(numbers(0.1, 1)), draw(st.floats(1, 10))),
            flip_vertical=draw(st.booleans()),
            fill=draw(st.sampled_from(["nearest", "reflect"])),
            blur_sigma_px=draw(st.floats(0, 10)),
        ),
        loss=LossSettings(cross_entropy=draw(numbers(0, 100)), dice=draw(st.floats(0, 100))),
        training=TrainingPlan(
            steps=draw(st.one_of(st.none(), st.integers(1, 10**9))),
            budget_s=draw(numbers(0, 3_000_000)),
            batch_size=draw(st.integers(1, 4096)),
            optimizer=draw(st.sampled_from(["adam", "muon"])),
            learning_rate=draw(numbers(0, 10)),
            warmup=draw(st.floats(0, 0.9)),
            seed=draw(st.integers(0, 2**31 - 1)),
        ),
        prediction=PredictionPlan(threshold=draw(st.floats(0.01, 0.99)), mirror=draw(st.booleans())),
    )


def changed(path: str, value: object, plan: Plan = PLAN) -> dict[str, Any]:
    """A plan as plain values with one of them replaced."""
    values = plan.model_dump(mode="json")
    place, *rest = path.split(".")
    if rest:
        values[place][rest[0]] = value
    else:
        values[place] = value
    return values


def refusal(values: object) -> str:
    with pytest.raises(PlanError) as caught:
        from_yaml(yaml.safe_dump(values), "plan.yaml")
    assert type(caught.value) is PlanError
    return str(caught.value)


@settings(max_examples=40)
@given(plans(), st.dictionaries(st.sampled_from(SECTIONS), st.text(st.one_of(st.just("\n"), printable))))
def test_what_is_written_reads_back_equal(plan: Plan, reasons: Mapping[str, str]) -> None:
    assert from_yaml(to_yaml(plan, reasons)) == plan
    assert from_yaml(to_yaml(plan)).sha256() == plan.sha256()


@pytest.mark.parametrize(
    "name",
    [
        *(
            "yes",
            "null",
            "~",
            "1",
            "0x10",
            "1e3",
            "2024-01-01",
            "a: b",
            "- a",
            "#x",
            "a #b",
            "'",
            '"',
            "[a",
            "{b}",
        ),
        *("!tag", "&a", "*a", "%", "@", "`", "a\nb", "\ta", " a ", "Milz größer", "肝臓", "🫁"),
        *("a\x85b", "a\u2028b", "\x07", "\x7f", "\ufeffa", "...", "---", "a\n...\nb", "\U0010ffff"),
    ],
)
def test_label_names_that_mean_something_in_yaml(name: str) -> None:
    plan = PLAN.model_copy(update={"data": PLAN.data.model_copy(update={"labels": (name, "other")})})
    assert from_yaml(to_yaml(plan)).data.labels == (name, "other")


def test_read_and_write(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    write_plan(path, PLAN, {"data": "because"})
    assert read_plan(path) == PLAN
    assert path.read_text(encoding="utf-8") == to_yaml(PLAN, {"data": "because"})
    with pytest.raises(OutputError, match="Cannot write"):
        write_plan(tmp_path / "none" / "plan.yaml", PLAN)


def test_reasons_stand_beside_their_choice() -> None:
    reasons = {
        "preset": "asked for",
        "data": "two organs",
        "training.batch_size": "small batches take more steps",
        "training.seed": "a long reason " * 9,
        "loss.dice": "spread\nover  two: lines # [",
    }
    lines = to_yaml(PLAN, reasons).splitlines()
    assert lines[0].startswith("# ")
    assert "preset: auto  # asked for" in lines
    assert lines[lines.index("data:") - 1] == "# two organs"
    assert "  batch_size: 4  # small batches take more steps" in lines
    assert lines[lines.index("  seed: 0") - 1] == "  # " + ("a long reason " * 9).strip()
    assert "  dice: 1.0  # spread over two: lines # [" in lines
    assert "  size: [96, 128]" in lines
    assert max(map(len, lines)) < 140
    assert from_yaml("\n".join(lines)) == PLAN


def test_every_choice_has_its_own_line() -> None:
    lines = to_yaml(PLAN).splitlines()
    for section in SECTIONS:
        start = lines.index(f"{section}:")
        for position, field in enumerate(getattr(PLAN, section).__class__.model_fields, start=1):
            assert lines[start + position].startswith(f"  {field}: ")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("format", 2),
        ("preset", "best"),
        ("data.colour", "gray"),
        ("data.channels", 0),
        ("data.channels", 65),
        ("data.pixels", "double"),
        ("data.labels", []),
        ("data.labels", ["x"] * 255),
        ("data.labels", ["a", "a"]),
        ("data.labels", ["a", "  "]),
        ("data.labels", "liver"),
        ("preprocessing.mode", "half"),
        ("preprocessing.size", [96]),
        ("preprocessing.size", [96, 128, 1]),
        ("preprocessing.size", [8, 128]),
        ("preprocessing.size", [96, 8196]),
        ("preprocessing.size", [98, 128]),
        ("preprocessing.size", [10**400, 128]),
        ("preprocessing.size", [96.5, 128]),
        ("preprocessing.fit", "crop"),
        ("preprocessing.scale", 0.01),
        ("preprocessing.scale", 8.1),
        ("preprocessing.scale", math.nan),
        ("preprocessing.normalization", "z"),
        ("preprocessing.mean", [0.1]),
        ("preprocessing.mean", [0.1, math.nan, 0.1]),
        ("preprocessing.mean", [0.1, math.inf, 0.1]),
        ("preprocessing.standard_deviation", [0.1] * 4),
        ("preprocessing.standard_deviation", [0.1, 0.0, 0.1]),
        ("preprocessing.standard_deviation", [0.1, math.inf, 0.1]),
        ("network.input_channels", 1),
        ("network.output_channels", 2),
        ("network.widths", [8]),
        ("network.widths", [8] * 9),
        ("network.widths", [0, 8]),
        ("network.widths", [8, 2049]),
        ("network.widths", [2048] * 8),
        ("network.convolutions", 5),
        ("network.normalization", "layer"),
        ("network.stem", 3),
        ("augmentation.rotation_degrees", -1),
        ("augmentation.rotation_degrees", 181),
        ("augmentation.shift", 0.51),
        ("augmentation.zoom", [0, 1]),
        ("augmentation.zoom", [1]),
        ("augmentation.zoom", [1.2, 1.1]),
        ("augmentation.contrast", 1.0),
        ("augmentation.contrast", math.nan),
        ("augmentation.fill", "wrap"),
        ("loss.cross_entropy", -0.1),
        ("loss.dice", 101),
        ("training.steps", 0),
        ("training.steps", 10**9 + 1),
        ("training.steps", 1.5),
        ("training.steps", "many"),
        ("training.budget_s", 0),
        ("training.budget_s", 3_000_001),
        ("training.budget_s", math.inf),
        ("training.batch_size", 0),
        ("training.batch_size", 4097),
        ("training.batch_size", None),
        ("training.optimizer", "sgd"),
        ("training.learning_rate", 0),
        ("training.learning_rate", math.nan),
        ("training.learning_rate", 11),
        ("training.schedule", "cosine"),
        ("training.warmup", 1),
        ("training.weight_decay", -1),
        ("training.foreground_share", 1.1),
        ("training.evaluations", 0),
        ("training.precision", "fp16"),
        ("training.seed", -1),
        ("training.seed", 2**31),
        ("prediction.threshold", 0),
        ("prediction.threshold", 1),
        ("prediction.overlap", 1),
        ("prediction.mirror", 2),
    ],
)
def test_a_value_that_cannot_work_is_named(path: str, value: object) -> None:
    message = refusal(changed(path, value))
    assert message.startswith("plan.yaml cannot be used: ")
    named = path.rsplit(".", maxsplit=1)[-1]
    assert named in message
    assert "Value error" not in message
    assert "pydantic" not in message


@pytest.mark.parametrize("path", ["format", *SECTIONS, "data.liver", "training.lr", "network.depth"])
@pytest.mark.parametrize("value", [None, 3, "x", [1], {"x": 1}])
def test_odd_sections_and_unknown_keys_are_named(path: str, value: object) -> None:
    assert path in refusal(changed(path, value))


@pytest.mark.parametrize("section", ["preset", *SECTIONS])
def test_a_missing_section_is_named(section: str) -> None:
    values = PLAN.model_dump(mode="json")
    del values[section]
    assert f"{section}: Field required" in refusal(values)


def test_no_length_at_all() -> None:
    message = refusal(changed("training.steps", None))
    assert "training: give steps, or budget_s to have them measured" in message


@pytest.mark.parametrize(
    "pairs", [[[60, 60]], [[50, 100]], [[100, 120]], [[50, 60], [40, 55]], [[50, 60], [55, 60]]]
)
def test_changes_of_steps_that_follow_from_no_run(pairs: list[list[int]]) -> None:
    assert "adjusted holds pairs [steps done, steps in all]" in refusal(changed("training.adjusted", pairs))


def test_an_adjusted_plan_is_written_and_read_and_ends_elsewhere() -> None:
    plan = from_yaml(yaml.safe_dump(changed("training.budget_s", 60)))
    assert (plan.training.steps, plan.training.last_step) == (100, 100)
    once = plan.with_adjusted(((50, 80),))
    twice = once.with_adjusted(((50, 80), (60, 170)))
    assert (once.training.last_step, twice.training.last_step, twice.training.steps) == (80, 170, 100)
    reasons = {"training.adjusted": "why"}
    text = to_yaml(plan, reasons)
    for before, after in ((plan, once), (once, twice)):
        text = retold(text, before, after)
        assert from_yaml(text) == after
    assert "\n  adjusted: [[50, 80], [60, 170]]  # why\n" in text
    assert twice.with_steps(100) == twice.with_adjusted(()) == plan
    unsettled = changed("training.steps", None)
    unsettled["training"] |= {"budget_s": 60, "adjusted": [[50, 60]]}
    assert "adjusted holds pairs" in refusal(unsettled)


def test_the_threshold_of_the_training_is_told_with_its_reason() -> None:
    plan = from_yaml(yaml.safe_dump(changed("prediction.threshold", None)))
    text = to_yaml(plan, {"prediction.threshold": "half of the Dice", "training.batch_size": "why not"})
    found = retold(text, plan, plan.with_threshold(0.9))
    assert from_yaml(found) == plan.with_threshold(0.9)
    assert "\n  threshold: 0.5  # half of the Dice\n" in found  # of several labels it does not matter
    assert "# why not" in found


def test_plans_from_before_there_were_watched_cases_keep_their_hash() -> None:
    values = PLAN.model_dump(mode="json")
    del values["training"]["watched_cases"]
    before = hashlib.sha256(
        json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()
    ).hexdigest()
    assert PLAN.sha256() == before
    assert PLAN.with_steps(10, watched_cases=3).sha256() != PLAN.with_steps(10).sha256()


def test_the_name_that_adjusted_had_before_is_read() -> None:
    values = changed("training.budget_s", 60)
    del values["training"]["adjusted"]
    values["training"]["shortened"] = [[50, 80]]
    assert from_yaml(yaml.safe_dump(values)).training.adjusted == ((50, 80),)


def test_nothing_to_learn() -> None:
    values = changed("loss.cross_entropy", 0)
    values["loss"]["dice"] = 0
    message = refusal(values)
    assert "loss.cross_entropy and loss.dice are both 0" in message
    assert from_yaml(yaml.safe_dump(changed("loss.dice", 0))).loss.dice == 0


def test_all_faults_of_values_are_listed_at_once() -> None:
    values = changed("training.batch_size", 0)
    values["training"]["seed"] = -1
    values["data"]["colour"] = "gray"
    values["colour"] = "grey"
    message = refusal(values)
    for name in ("training.batch_size", "training.seed", "data.colour", "; colour: "):
        assert name in message


def test_all_misfits_are_listed_at_once() -> None:
    values = changed("network.input_channels", 1)
    values["network"]["output_channels"] = 1
    values["preprocessing"]["size"] = [97, 130]
    values["preprocessing"]["mean"] = []
    values["preprocessing"]["standard_deviation"] = [1.0]
    values["data"]["labels"] = ["a", "a"]
    assert refusal(values) == (
        "plan.yaml cannot be used: data.labels: label names must be distinct and not empty: a, a; "
        "network.input_channels is 1, data.channels 3; "
        "network.output_channels must be 3 for 2 label(s), not 1; "
        "preprocessing.size [97, 130] must be a multiple of 4, the network's stride; "
        "preprocessing.mean needs one number a channel: 3, not 0; "
        "preprocessing.standard_deviation needs one number a channel: 3, not 1."
    )


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        (
            {"preprocessing": {"size": [16, 16]}},
            "preprocessing.size [16, 16] must have network.axes = 3 numbers",
        ),
        (
            {"preprocessing": {"size": [7, 16, 18]}},
            "preprocessing.size [7, 16, 18] must be a multiple of [2, 4, 4], the network's stride",
        ),
        (
            {"prediction": {"window": [7, 16, 18]}},
            "prediction.window [7, 16, 18] must be a multiple of [2, 4, 4], the network's stride",
        ),
        (
            {"prediction": {"window": [512, 512, 516]}},
            "prediction.window [512, 512, 516] is too large: at most 134,217,728 pixels",
        ),
        (
            {"prediction": {"window": [16, 16]}},
            "prediction.window [16, 16] must have network.axes = 3 numbers",
        ),
        (
            {"preprocessing": {"size": [512, 512, 516]}},
            "preprocessing.size [512, 512, 516] is too large: at most 134,217,728 pixels",
        ),
        (
            {"data": {"axes": 2}},
            "network.axes is 3, but data.axes is 2: a net of volumes cannot see pictures",
        ),
        (
            {"preprocessing": {"mode": "whole"}},
            'preprocessing.mode must be "patch" for a net of three axes',
        ),
        (
            {
                "preprocessing": {"spacing_mm": [1, 1, 1], "size": [16, 16]},
                "network": {"axes": 2, "strides": None},
            },
            "preprocessing.spacing_mm is for a net of three axes",
        ),
        (
            {"preprocessing": {"clip": [[0, 1]]}},
            "preprocessing.clip needs one pair a channel: 3, not 1",
        ),
        (
            {"preprocessing": {"clip": [[0, 1], [5, 5], [0, 1]]}},
            "preprocessing.clip runs from the lower to the higher value",
        ),
        *(
            (
                {"data": {"left_right": pairs}},
                "data.left_right must name each label at most once, and only such as there are",
            )
            for pairs in ([["liver", "kidney"]], [["liver", "liver"]], [["liver", "spleen"], ["spleen", "x"]])
        ),
        *(
            (
                {"preprocessing": {"orientation": orientation}},
                "preprocessing.orientation names each of the three directions once, such as SPL",
            )
            for orientation in ("SSL", "SIL", "RAR", "PAP")
        ),
        (
            {
                "network": {"normalization": "batch"},
                "preprocessing": {"size": [2, 4, 4]},
                "training": {"batch_size": 1},
            },
            "training.batch_size must be 2 or more: the net's coarsest level is a single pixel",
        ),
    ],
)
def test_what_cannot_be_together_of_volumes_is_told(sections: dict[str, Any], said: str) -> None:
    values = VOLUMES.model_dump(mode="json")
    for section, changes in sections.items():
        values[section] |= changes
    assert refusal(values) == f"plan.yaml cannot be used: {said}."


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("data.axes", 4),
        ("data.fourth_axis", "time"),
        ("data.left_right", [["liver"]]),
        ("data.left_right", "liver=spleen"),
        ("preprocessing.orientation", "spl"),
        ("preprocessing.orientation", "SP"),
        ("preprocessing.orientation", "XYZ"),
        ("preprocessing.orientation", "SPLL"),
        ("preprocessing.size", [0, 16, 16]),
        ("preprocessing.size", [8, 16, 9000]),
        ("preprocessing.size", [8, 16, 16, 16]),
        ("preprocessing.spacing_mm", [1, 1]),
        ("preprocessing.spacing_mm", [1, 1, 0]),
        ("preprocessing.spacing_mm", [1, 1, 1001]),
        ("preprocessing.spacing_mm", [1, 1, math.nan]),
        ("preprocessing.clip", [[0, 1], [0, 1], [0, math.inf]]),
        ("preprocessing.clip", [[0, 1], [0, 1], [0]]),
        ("network.axes", 1),
        ("network.strides", [[1, 2, 2]]),
        ("network.strides", [[1, 1, 1], [2, 2, 2]]),
        ("network.strides", [[1, 3, 2], [2, 2, 2]]),
        ("network.strides", [[2, 2], [2, 2]]),
        ("network.stem_depth", 3),
        ("augmentation.tilt_degrees", 181),
        ("augmentation.flip_depth", 2),
    ],
)
def test_a_value_of_volumes_that_cannot_work_is_named(path: str, value: object) -> None:
    message = refusal(changed(path, value, VOLUMES))
    section, name = path.split(".")
    assert message.startswith(f"plan.yaml cannot be used: {section}")
    assert name in message
    assert "Value error" not in message
    assert ";" not in message


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ([8, 128], "preprocessing.size.0: Input should be greater than or equal to 16"),
        ([96], "preprocessing.size.1: Field required"),
        ([0, 16, 16], "preprocessing.size.0: Input should be greater than or equal to 1"),
        ([8, 16, 9000], "preprocessing.size.2: Input should be less than or equal to 8192"),
        (5, "preprocessing.size: Input should be a valid tuple"),
    ],
)
def test_of_a_size_only_its_own_fault_is_told(size: object, said: str) -> None:
    assert refusal(changed("preprocessing.size", size)) == f"plan.yaml cannot be used: {said}."


@pytest.mark.parametrize("orientation", ["SPL", "LSP", "AIR", None])
def test_a_plan_for_volumes_reads_back(orientation: str | None) -> None:
    values = VOLUMES.model_dump(mode="json")
    values["preprocessing"] |= {"orientation": orientation, "spacing_mm": [3.0, 0.75, 0.75]}
    values["preprocessing"] |= {"clip": [[-160.0, 240.5]] * 3}
    values["data"]["left_right"] = [["spleen", "liver"]]
    plan = from_yaml(yaml.safe_dump(values))
    assert from_yaml(to_yaml(plan)) == plan
    assert plan.data.swapped_values == ((2, 1),)
    assert plan.preprocessing.relative_spacing == (3, 0.75, 0.75)
    assert VOLUMES.preprocessing.relative_spacing == (1, 1, 1)


@pytest.mark.parametrize("normalization", ["unit", "image"])
def test_other_normalizations_need_no_means(normalization: str) -> None:
    values = changed("preprocessing.normalization", normalization)
    values["preprocessing"].update(mean=[], standard_deviation=[])
    assert from_yaml(yaml.safe_dump(values)).preprocessing.mean == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no plan"),
        ("null", "holds no plan"),
        ("- a\n- b", "holds no plan"),
        ("just words", "holds no plan"),
        ("a: [", "is not YAML"),
        ("a: b: c", "is not YAML"),
        ("\ta: 1", "is not YAML"),
        ("a: \0", "is not YAML"),
        ("a: 2001-99-99", "is not YAML"),
        ("a: !!int x", "is not YAML"),
        ("a: !!bool x", "is not YAML"),
        ("a: !!timestamp x", "is not YAML"),
        ("a: !unknown x", "is not YAML"),
        ("{[1]: 2}", "is not YAML"),
        ("[" * 1000, "is not YAML"),
        ("a: " + "9" * 5000, "is not YAML"),
        ("*a", "is not YAML"),
        ("a: 1\n--- \nb: 2", "is not YAML"),
        ("1: 2", "cannot be used"),
        ("&a {data: *a}", "cannot be used"),
    ],
)
def test_text_that_is_no_plan(text: str, message: str) -> None:
    with pytest.raises(PlanError, match=message) as caught:
        from_yaml(text, "plan.yaml")
    assert str(caught.value).startswith("plan.yaml ")
    assert "\n" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_gives_a_plan_error(text: str) -> None:
    with pytest.raises(PlanError):
        from_yaml(text)


def test_nothing_in_a_plan_is_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for tag in (
        f'!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ["{canary}"]]',
        f'!!python/object/apply:os.system ["touch {canary}"]',
        f'!!python/object/new:subprocess.Popen [["touch", "{canary}"]]',
        "!!python/name:os.system",
    ):
        with pytest.raises(PlanError, match="is not YAML"):
            from_yaml(f"preset: {tag}\n")
    assert not canary.exists()


def test_aliases_that_grow_without_end_cost_nothing() -> None:
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    text += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    with pytest.raises(PlanError) as caught:
        from_yaml(text)
    assert len(str(caught.value)) < 3000


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(PlanError, match=r"binary\.yaml cannot be read: it is not text"):
        read_plan(binary)
    with pytest.raises(PlanError, match=r"none\.yaml cannot be read: No such file"):
        read_plan(tmp_path / "none.yaml")
    with pytest.raises(PlanError, match="cannot be read: Is a directory"):
        read_plan(tmp_path)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("format: 1\n", encoding="utf-8")
    with pytest.raises(PlanError, match=r"wrong\.yaml cannot be used: preset: Field required; data: "):
        read_plan(wrong)


def test_numbers_as_people_write_them() -> None:
    text = to_yaml(PLAN).replace("learning_rate: 0.001", "learning_rate: 5e-3")  # a string to YAML 1.1
    text = text.replace("batch_size: 4", "batch_size: 16.0").replace("mirror: true", "mirror: yes")
    plan = from_yaml(text)
    assert plan.training.learning_rate == 0.005
    assert plan.training.batch_size == 16
    assert plan.prediction.mirror is True


OTHER: dict[str, object] = {
    "prediction.window": [8, 32, 32],
    "preset": "classic",
    "data.colour": "channels",
    "data.fourth_axis": "channels",
    "data.left_right": [["spleen", "liver"]],
    "data.pixels": "float",
    "data.labels": ["spleen", "liver"],
    "preprocessing.mode": "patch",
    "preprocessing.size": [128, 96],
    "preprocessing.orientation": "SPL",
    "preprocessing.spacing_mm": [2.0, 1.0, 1.0],
    "preprocessing.clip": [[0, 1], [0, 1], [0, 2]],
    "preprocessing.fit": "pad",
    "preprocessing.normalization": "image",
    "preprocessing.mean": [0.25, 0.75, 0.5],
    "preprocessing.standard_deviation": [0.25, 0.125, 0.5],
    "network.encoder": "resnet34",
    "network.widths": [8, 16, 33],
    "network.normalization": "batch",
    "network.upsampling": "nearest",
    "network.stem": 2,
    "network.strides": [[2, 2, 2], [1, 2, 2]],
    "network.stem_depth": 2,
    "augmentation.zoom": [0.8, 1.3],
    "augmentation.fill": "reflect",
    "training.adjusted": [[50, 60]],
    "training.optimizer": "adam",
    "training.schedule": "constant",
    "training.precision": "bf16",
    "training.budget_s": 60.0,
    "training.encoder_learning_rate": 1e-4,
}
LINKED = {"format", "data.channels", "network.axes", "network.input_channels", "network.output_channels"}
OF_VOLUMES = {"preprocessing.spacing_mm", "prediction.window", "network.strides", "network.stem_depth"}
OF_RESNETS = {"network.encoder", "training.encoder_learning_rate"}


def choices() -> list[str]:
    found = [
        f"{section}.{field}"
        for section in SECTIONS
        for field in getattr(PLAN, section).__class__.model_fields
    ]
    return [path for path in ("preset", *found) if path not in LINKED]


@pytest.mark.parametrize("path", choices())
def test_every_choice_is_in_the_hash(path: str) -> None:
    whole = VOLUMES if path in OF_VOLUMES else RESNET if path in OF_RESNETS else PLAN
    value: object = whole
    for part in path.split("."):
        value = getattr(value, part)
    if path in OTHER:
        other = OTHER[path]
    elif isinstance(value, bool):
        other = not value
    else:
        assert isinstance(value, (int, float))
        other = value + 1 if isinstance(value, int) else value * 0.9 + 0.005
    plan = from_yaml(yaml.safe_dump(changed(path, other, whole)))
    assert plan != whole
    assert plan.sha256() != whole.sha256()


def test_images_seen_whole_have_no_windows() -> None:
    assert 'prediction.window is for preprocessing.mode "patch"' in refusal(
        changed("prediction.window", [96, 128])
    )


def test_a_resnet_makes_its_demands() -> None:
    assert from_yaml(to_yaml(RESNET)) == RESNET
    assert "must be a multiple of 32" in refusal(changed("preprocessing.size", [96, 144], RESNET))
    for plan, path, value in (
        (PLAN, "training.encoder_learning_rate", 1e-4),
        (
            RESNET,
            "training",
            {**RESNET.training.model_dump(), "optimizer": "adam", "encoder_learning_rate": 1},
        ),
    ):
        assert "training.encoder_learning_rate is for a ResNet" in refusal(changed(path, value, plan))


def test_the_hash_is_that_of_the_choices_alone() -> None:
    assert from_yaml(to_yaml(PLAN, {"data": "a reason"})).sha256() == PLAN.sha256()
    assert len(PLAN.sha256()) == 64


def test_steps_are_settled_and_nothing_else() -> None:
    plan = from_yaml(yaml.safe_dump(changed("training.budget_s", 60)))
    settled = plan.with_steps(1234)
    assert settled.training.steps == 1234
    assert settled.training.budget_s == 60
    assert settled.with_steps(100) == plan
    assert plan.training.steps == 100
    for steps in (0, -1, 10**9 + 1):
        with pytest.raises(PlanError, match=r"training\.steps"):
            plan.with_steps(steps)


OPEN = VOLUMES.model_copy(
    update={
        "data": VOLUMES.data.model_copy(update={"labels": ("liver",)}),
        "prediction": PredictionPlan(threshold=None),
    }
)


@pytest.mark.parametrize(
    ("dice", "threshold"),
    [(0.8, 0.4), (0.8126, 0.406), (1.0, 0.5), (0.5, 0.25), (0.499, 0.5), (0.0, 0.5), (None, 0.5)],
)
def test_a_threshold_left_open_becomes_half_of_the_dice(dice: float | None, threshold: float) -> None:
    assert OPEN.threshold == 0.5
    settled = OPEN.with_threshold(dice)
    assert settled.prediction.threshold == settled.threshold == threshold
    assert settled.model_copy(update={"prediction": OPEN.prediction}) == OPEN  # nothing else has changed
    assert settled.with_threshold(0.1) == settled
    assert OPEN.with_threshold_of(settled) == settled


def test_of_several_labels_the_threshold_does_not_count() -> None:
    plan = PLAN.model_copy(update={"prediction": PredictionPlan(threshold=None)})
    assert plan.with_threshold(0.8).prediction.threshold == 0.5


def test_a_threshold_that_is_given_stays() -> None:
    plan = PLAN.model_copy(update={"prediction": PredictionPlan(threshold=0.3)})
    assert plan.with_threshold(0.9) == plan
    assert plan.threshold == 0.3


@given(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=60))
def test_half_of_the_best_dice_is_the_best_threshold_of_right_probabilities(pixels: list[float]) -> None:
    probabilities = np.sort(pixels)[::-1]

    def expected_dice(count: int) -> float:  # of the likeliest pixels as foreground
        return float(2 * probabilities[:count].sum() / (count + probabilities.sum()))

    best = max(expected_dice(count) for count in range(1, len(probabilities) + 1))
    assume(best >= 0.5)
    chosen = int((probabilities >= OPEN.with_threshold(best).threshold).sum())
    assert expected_dice(chosen) == pytest.approx(best, abs=0.002)  # the threshold is rounded to 0.001


@pytest.mark.parametrize(("labels", "outputs"), [(1, 1), (2, 3), (3, 4), (254, 255)])
def test_outputs(labels: int, outputs: int) -> None:
    assert output_channels(labels) == outputs


def test_labels_take_the_values_from_one() -> None:
    assert [(label.name, label.value) for label in PLAN.data.label_set] == [("liver", 1), ("spleen", 2)]


def test_batch_normalization_needs_more_than_one_value() -> None:
    values = PLAN.model_dump(mode="json")
    values["network"] |= {"normalization": "batch", "widths": [8, 16, 32, 64, 64]}
    values["preprocessing"]["size"] = [16, 16]
    values["training"]["batch_size"] = 1
    with pytest.raises(PlanError, match=r"training\.batch_size must be 2 or more"):
        from_yaml(yaml.safe_dump(values))
    values["training"]["batch_size"] = 2
    assert from_yaml(yaml.safe_dump(values)).training.batch_size == 2
