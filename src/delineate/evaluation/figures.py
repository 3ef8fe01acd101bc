"""The report's plots, as SVG that stands in the page itself."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from delineate.evaluation.scores import CaseScore
from delineate.model_file import Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

INK, GREY, ACCENT, ALARM, SECOND = "#1f2933", "#8693a0", "#1f6fb2", "#c8451b", "#d98e04"
SETTINGS: Mapping[RcKeyType, object] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a label may hold a dollar sign
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6eaee",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class CurvePoint:
    """Where the training stood at one step."""

    step: int
    train_loss: float
    train_dice: float
    validation_dice: float | None
    learning_rate: float


def distribution_svg(scores: Sequence[CaseScore], labels: Sequence[str], metric: Metric, title: str) -> str:
    """A box and every case's point a label; missed and false-alarm cases are crosses.

    Args:
        scores: Of all cases.
        labels: Rows, from top to bottom.
        metric: Which number; shares are drawn over 0…1.
        title: Of the plot, with the unit.
    """
    import matplotlib as mpl  # noqa: PLC0415  heavy
    from matplotlib.figure import Figure  # noqa: PLC0415  heavy

    with mpl.rc_context({**SETTINGS, "svg.hashsalt": f"distribution {metric}"}):
        figure = Figure(figsize=(5.6, 1.15 + 0.62 * len(labels)), layout="constrained")
        axes = figure.subplots()
        for row, label in enumerate(labels):
            _label_row(axes, row, [score for score in scores if score.label == label], metric)
        axes.set_yticks(range(len(labels)), [_shortened(label) for label in labels])
        axes.set_ylim(len(labels) - 0.45, -0.55)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.set_title(title)
        if metric in {"hd95_px", "hd95_mm"}:
            axes.set_xlim(left=0)
        else:  # good scores all lie near 1: begin where there is something to see
            values = [value for score in scores if (value := getattr(score, metric)) is not None]
            start = min(0.8, math.floor(min(values, default=0.0) * 10) / 10)
            axes.set_xlim(start - 0.02 * (1 - start), 1 + 0.02 * (1 - start))
        return _svg(figure)


def curves_svg(points: Sequence[CurvePoint]) -> str:
    """Loss, Dice and learning rate over the steps, side by side."""
    import matplotlib as mpl  # noqa: PLC0415  heavy
    from matplotlib.figure import Figure  # noqa: PLC0415  heavy

    steps = [point.step for point in points]
    marker = "o" if len(points) == 1 else ""
    with mpl.rc_context({**SETTINGS, "svg.hashsalt": "curves"}):
        figure = Figure(figsize=(11.4, 2.9), layout="constrained")
        loss, dice, rate = figure.subplots(1, 3)
        loss.plot(steps, [point.train_loss for point in points], color=ACCENT, marker=marker)
        loss.set_title("Training loss")
        dice.plot(
            steps, [point.train_dice for point in points], color=ACCENT, marker=marker, label="training"
        )
        known = [(point.step, point.validation_dice) for point in points if point.validation_dice is not None]
        if known:
            dice.plot(*zip(*known, strict=True), color=SECOND, marker="o", markersize=3, label="validation")
        dice.set_ylim(0, 1.02)
        dice.legend(loc="lower right")
        dice.set_title("Dice")
        rate.plot(steps, [point.learning_rate for point in points], color=ACCENT, marker=marker)
        rate.set_ylim(bottom=0)
        rate.set_title("Learning rate")
        for axes in (loss, dice, rate):
            axes.set_xlabel("step")
        return _svg(figure)


def _label_row(axes: Axes, row: int, scores: Sequence[CaseScore], metric: Metric) -> None:
    defined = [(score, value) for score in scores if (value := getattr(score, metric)) is not None]
    if not defined:
        axes.annotate("no case has a value", (0.02, row), color=GREY, va="center")
        return
    values = np.array([value for _, value in defined])
    wrong = np.array([score.state != "scored" for score, _ in defined])
    axes.boxplot(
        [values],
        positions=[row - 0.2],
        orientation="horizontal",
        widths=0.24,
        showfliers=False,
        manage_ticks=False,
        patch_artist=True,
        boxprops={"facecolor": "#dbe8f3", "edgecolor": ACCENT},
        medianprops={"color": ACCENT, "linewidth": 2},
        whiskerprops={"color": ACCENT},
        capprops={"color": ACCENT},
    )
    height = row + 0.2 + np.random.default_rng(row).uniform(-0.13, 0.13, len(values))
    axes.scatter(values[~wrong], height[~wrong], s=9, color=ACCENT, alpha=0.45, linewidths=0)
    axes.scatter(values[wrong], height[wrong], s=18, color=ALARM, marker="x", linewidths=1.2)


def _shortened(label: str) -> str:
    return label if len(label) <= 22 else f"{label[:21]}…"


def _svg(figure: Figure) -> str:
    """The drawing as an `<svg>` element that scales with the page and shares no id with another one."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    used = set(re.findall(r"#([\w-]+)", text))
    text = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", text)
    width, height = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)[0]
    opening = f'<svg class="plot" aria-hidden="true" viewBox="0 0 {width} {height}" '
    opening += 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    return opening + text[text.index(">") + 1 :]
