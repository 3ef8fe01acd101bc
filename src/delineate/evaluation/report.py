"""The page that says how good a model is: one file, opened from disk; nothing is fetched, nothing runs."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

from delineate.evaluation.digits import distance_text
from delineate.evaluation.figures import CurvePoint, curves_svg, distribution_svg
from delineate.evaluation.outlines import outline_colours
from delineate.evaluation.scores import VOLUME, CaseScore
from delineate.evaluation.summary import LabelSummary, Summary
from delineate.model_file import Metric

Rank = Literal["worst", "median", "best"]
CHOSEN = 3  # of a rank at most
COLUMNS: tuple[tuple[Metric, str], ...] = (
    ("dice", "Dice"),
    ("iou", "IoU"),
    ("precision", "Precision"),
    ("recall", "Recall"),
    ("nsd", "NSD"),
    ("hd95_px", "HD95, px"),
    ("hd95_mm", "HD95, mm"),
)


@dataclass(frozen=True)
class Overlay:
    """One case's picture: its mean Dice over labels, why it is shown, and PNG bytes."""

    case: str
    dice: float
    rank: Rank
    png: bytes


@dataclass(frozen=True)
class Finding:
    """One thing that was noticed when the data were checked, and all files it is about."""

    level: Literal["error", "warning", "note"]
    text: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A small table of texts."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Report:
    """Everything the page shows, as plain values.

    Attributes:
        title: What was evaluated.
        summary: Of the scores.
        scores: Of every case and label.
        scored_part: What was scored, to stand in a sentence: "the validation part of this run".
        used_to_choose: A sentence: whether the scored part was used to choose anything.
        cautions: Sentences that whoever reads the score should read with it.
        overlays: Pictures of the worst, median and best cases, see `choose_cases`.
        curves: Of the training; None for a model that was only evaluated.
        curves_note: A sentence on whose curves they are, if not the model's.
        by_fold: The scores of each fold of a cross-validation.
        findings: What was noticed when the data were checked.
        tables: What was understood of the data: sizes, mask values and their labels.
        plan_yaml: The plan; None where it is not known.
        software: Name → version.
        model: Facts about the model: name → value.
    """

    title: str
    summary: Summary
    scores: Sequence[CaseScore]
    scored_part: str
    used_to_choose: str
    cautions: Sequence[str] = ()
    overlays: Sequence[Overlay] = ()
    curves: Sequence[CurvePoint] | None = None
    curves_note: str = ""
    by_fold: Table | None = None
    findings: Sequence[Finding] = ()
    tables: Sequence[Table] = ()
    plan_yaml: str | None = None
    software: Mapping[str, str] = field(default_factory=dict)
    model: Mapping[str, str] = field(default_factory=dict)


def choose_cases(scores: Sequence[CaseScore]) -> tuple[tuple[str, float, Rank], ...]:
    """The cases worth looking at: the worst, those about the median, and the best, none of them twice.

    Three of each rank at most.

    Args:
        scores: Of all cases.

    Returns:
        Case, its mean Dice over the labels that have one, and its rank; within a rank the worse first. Cases
        without any Dice are left out.
    """
    by_case: dict[str, list[float]] = {}
    for score in scores:
        if score.dice is not None:
            by_case.setdefault(score.case, []).append(score.dice)
    ordered = sorted((fmean(values), case) for case, values in by_case.items())
    each = min(CHOSEN, max(1, len(ordered) // 3))
    worst = ordered[:each]
    rest = ordered[each:]
    best = rest[-each:]
    between = rest[: -len(best)] if best else []
    start = max(0, (len(between) - each) // 2)
    median = between[start : start + each]
    ranked: tuple[tuple[Rank, list[tuple[float, str]]], ...] = (
        ("worst", worst),
        ("median", median),
        ("best", best),
    )
    return tuple((case, dice, rank) for rank, found in ranked for dice, case in found)


def render_report(report: Report) -> str:
    """The report as one HTML page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  only for a report
    from markupsafe import Markup  # noqa: PLC0415  with Jinja2

    environment = Environment(
        loader=PackageLoader("delineate.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"metric": _metric, "png": _data_uri, "interval": _interval}
    summary = report.summary
    names = [label.name for label in summary.labels]
    volumes = {score.case for score in report.scores if score.axes == VOLUME}
    distance: Metric = "hd95_mm" if summary.in_millimetres else "hd95_px"
    unknown = {"hd95_px"} if distance == "hd95_mm" else set()
    if summary.mean_over_labels["hd95_mm"] is None:
        unknown.add("hd95_mm")
    shown_metrics: tuple[tuple[Metric, str], ...] = (
        ("dice", "Dice of each case"),
        (distance, f"HD95 of each case, in {'millimetres' if distance == 'hd95_mm' else 'pixels'}"),
    )
    plots = [
        (title, Markup(distribution_svg(report.scores, names, metric, title)))  # noqa: S704  our own SVG, escaped
        for metric, title in shown_metrics
    ]
    return environment.get_template("report.html.j2").render(
        report=report,
        summary=summary,
        columns=[column for column in COLUMNS if column[0] not in unknown],
        distance=distance,
        size_unit="ml" if all(score.reference_ml is not None for score in report.scores) else "px",
        plots=plots,
        curves=Markup(curves_svg(report.curves)) if report.curves else None,  # noqa: S704  likewise
        failures=[sentence for label in summary.labels for sentence in _failures(label)],
        legend=list(zip(names, outline_colours(len(names)), strict=True)),
        overlays=_rows(report.overlays, volumes),
        volumes=volumes,
        shows_planes=any(overlay.case in volumes for overlay in report.overlays),
        scores=sorted(report.scores, key=_worst_first),
        percent=f"{summary.level:.0%}".replace("%", " %"),
    )


def _rows(overlays: Sequence[Overlay], volumes: AbstractSet[str]) -> list[list[tuple[str, list[Overlay]]]]:
    """The pictures in rows of headed groups: a row a rank, or one for all where none has more than one.

    The planes of a volume are too wide to stand beside others.
    """
    headings: tuple[tuple[Rank, str], ...] = (
        ("worst", "Worst"),
        ("median", "About the median"),
        ("best", "Best"),
    )
    groups = [
        (heading, shown)
        for rank, heading in headings
        if (shown := [overlay for overlay in overlays if overlay.rank == rank])
    ]
    narrow = all(overlay.case not in volumes for overlay in overlays)
    if narrow and all(len(shown) == 1 for _, shown in groups):
        return [groups] if groups else []
    return [[group] for group in groups]


def _failures(label: LabelSummary) -> list[str]:
    present = label.valid - label.false_alarms
    absent = label.empty + label.false_alarms
    sentences = []
    if label.missed and label.missed == present:
        cases = "the one case that has" if present == 1 else f"any of the {present} cases that have"
        sentences.append(f"{label.name}: found nothing in {cases} it: train longer.")
    elif label.missed:
        sentences.append(f"{label.name}: missed entirely in {label.missed} of {present} cases that have it.")
    if label.false_alarms:
        sentences.append(f"{label.name}: a false alarm in {label.false_alarms} of {absent} cases without it.")
    return sentences


def _worst_first(score: CaseScore) -> tuple[bool, float, str]:
    return score.dice is None, score.dice or 0.0, score.case


def _metric(value: float | None, metric: str) -> str:
    if value is None:
        return "–"
    if metric == "px":
        return f"{value}"
    if metric == "percent":
        return f"{value:.1%}".replace("%", " %")
    if metric.endswith("ml"):
        sign = "+" if metric == "difference_ml" and value > 0 else ""
        return f"{value:{sign}.3g}" if 0 < abs(value) < 0.1 else f"{value:{sign},.{_decimals(value)}f}"
    return distance_text(value) if metric.startswith("hd95") else f"{value:.3f}"


def _decimals(value: float) -> int:
    """So many that there are three digits or more; of less than one, three."""
    return next((digits for digits, least in enumerate((100, 10, 1)) if abs(value) >= least), 3)


def _interval(low: float | None, high: float | None, metric: str) -> str:
    return "" if low is None or high is None else f"{_metric(low, metric)} – {_metric(high, metric)}"


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
