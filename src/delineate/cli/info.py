"""`delineate info`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from delineate.model_file import Metric, ModelCard


def info(
    model: Annotated[Path, typer.Argument(help="Model file or run folder.", show_default=False)],
) -> None:
    """Say what MODEL is, what it was trained on, and how it scored.

    Example:

      delineate info runs/data
    """
    from delineate.cli.console import results  # noqa: PLC0415  quick --help
    from delineate.inference.ir_file import ir_path, read_ir  # noqa: PLC0415  likewise
    from delineate.inference.loading import is_exported  # noqa: PLC0415  likewise
    from delineate.inference.onnx_file import read_onnx  # noqa: PLC0415  likewise
    from delineate.model_file import model_path, read_card  # noqa: PLC0415  likewise

    if is_exported(model):
        show_card(results(), read_onnx(model).card, model)
        return
    if (graph := ir_path(model)) is not None:
        show_card(results(), read_ir(graph).card, graph)
        return
    path = model_path(model)
    show_card(results(), read_card(path), path)


def show_card(console: Console, card: ModelCard, path: Path) -> None:
    """All a model file says about itself."""
    from rich.table import Table  # noqa: PLC0415  quick --help
    from rich.text import Text  # noqa: PLC0415  likewise

    from delineate.cli.console import estimate_text, mean_distance_text, mean_text  # noqa: PLC0415  likewise
    from delineate.dataset.naming import counted, printable  # noqa: PLC0415  likewise
    from delineate.geometry import times  # noqa: PLC0415  likewise
    from delineate.jobs.imported import imported_in_words  # noqa: PLC0415  likewise

    plan, scores = card.plan, card.scores
    pre = plan.preprocessing
    seen = plan.window
    size = f"{times(seen)} {'px' if len(seen) == 2 else 'voxels'}"
    if pre.spacing_mm is not None:
        size += f" of {times(pre.spacing_mm)} mm"
    encoder = "" if plan.network.encoder == "plain" else f" around a {plan.network.encoder}"
    facts = {
        "file": f"{path} ({path.stat().st_size / 1e6:.1f} MB)",
        "labels": ", ".join(f"{each.value} {printable(each.name)}" for each in plan.data.label_set),
        "images": {"grey": "grey", "rgb": "colour"}.get(plan.data.colour, f"{plan.data.channels} channels"),
        "works on": f"whole images brought to {size}"
        if pre.mode == "whole"
        else f"overlapping windows of {size}",
        "network": (
            f"U-Net{encoder}"
            if card.members == 1
            else f"{card.members} U-Nets{encoder}, their probabilities averaged"
        )
        + f", {' – '.join(map(str, plan.network.widths))} channels",
        **(_training_in_words(card) if card.imported is None else imported_in_words(card.imported)),
        "made with": ", ".join(f"{name} {version}" for name, version in card.software.items()),
        "weights": f"SHA-256 {card.weights_sha256}",
    }
    if len(plan.data.labels) == 1:
        facts["labels"] += f", from a probability of {plan.threshold:g} on"
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, Text(value))
    console.print(table)
    if scores is None:
        why = "its run was stopped before the evaluation" if card.imported is None else "it was imported"
        console.print(f"\nIt was not scored: {why}.")
        return
    many = f"{counted(scores.cases, 'case')}, {counted(scores.groups, 'group')}"
    where = "by cross-validation" if scores.part == "cross-validation" else f"on the {scores.part} part"
    console.print(Text(f"\nScored {where}: {many}", "bold"))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("label", overflow="fold")
    distance: Metric = "hd95_mm" if any(each.metrics.get("hd95_mm") for each in scores.labels) else "hd95_px"
    unit = distance.removeprefix("hd95_")
    for heading in ("Dice (95 % interval)", f"HD95 {unit}", "NSD", "missed", "false alarms"):
        table.add_column(heading, justify="right", no_wrap=True)
    for label in scores.labels:
        table.add_row(
            Text(printable(label.name)),
            estimate_text(label.metrics.get("dice")),
            mean_distance_text(label.metrics.get(distance)),
            mean_text(label.metrics.get("nsd")),
            str(label.cases_missed),
            str(label.cases_false_alarm),
        )
    console.print(table)
    console.print(f"Mean Dice {estimate_text(scores.dice)}", markup=False)
    console.print(scores.used_to_choose, markup=False, soft_wrap=True)


def _training_in_words(card: ModelCard) -> dict[str, str]:
    """How the weights came about."""
    from delineate.dataset.naming import counted  # noqa: PLC0415  quick --help
    from delineate.geometry import times  # noqa: PLC0415  likewise
    from delineate.jobs.duration import in_words  # noqa: PLC0415  likewise

    training, data = card.training, card.fingerprint
    median = ""
    if data is not None:
        unit = "px" if data.axes == 2 else "voxels"
        median = f", median {times(data.median)} {unit}"
    return {
        "trained on": f"{counted(training.cases or 0, 'case')}{median}",
        "trained for": f"{training.steps} steps{' each' if card.members > 1 else ''} in "
        f"{in_words(training.seconds or 0)}{' in all' if card.members > 1 else ''}, {training.precision}, "
        f"seed {training.seed}, preset {card.plan.preset}",
        "started from": f"a model with the weights SHA-256 {training.started_from}"
        if training.started_from
        else f"an encoder's file of weights with the SHA-256 {training.encoder_sha256}"
        if training.encoder_sha256
        else "random weights",
    }
