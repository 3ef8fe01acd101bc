"""The page: what it says, that it fetches and runs nothing, and that no name can break out of it."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from delineate.evaluation.figures import CurvePoint, curves_svg, distribution_svg
from delineate.evaluation.overlays import encode_png
from delineate.evaluation.report import (
    Finding,
    Overlay,
    Report,
    Table,
    choose_cases,
    render_report,
)
from delineate.evaluation.scores import CaseScore, score_case
from delineate.evaluation.summary import summarise
from delineate.image import Geometry, LabelSet, Mask

EVIL = '<script>alert("1")</script>'
VOID = {"meta", "img", "br", "path", "use", "line"}


class Page(HTMLParser):
    """Collects a page's elements, attributes and text, and checks that elements nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style" and data.strip():
            self.text += " ".join(data.split()) + " "


def cohort(labels: LabelSet, count: int = 9, *, per_group: int = 1, empty: bool = False) -> list[CaseScore]:
    """Squares, each prediction a little farther away; the last is missed."""
    scores: list[CaseScore] = []
    for number in range(count):
        reference, prediction = np.zeros((2, 40, 40), np.uint8)
        if not empty:
            for label in labels:
                start = 12 * (label.value - 1)
                reference[5:15, start : start + 10] = label.value
                if number < count - 1:
                    prediction[5 + number : 15 + number, start : start + 10] = label.value
        scores += score_case(
            f"case_{number}",
            f"patient_{number // per_group}",
            Mask(reference, labels),
            Mask(prediction, labels),
        )
    return scores


def report(labels: LabelSet, scores: list[CaseScore]) -> Report:
    """A report with something in every part."""
    png = encode_png(np.zeros((4, 4, 3), np.uint8))
    return Report(
        title="Lesions in phantoms",
        summary=summarise(scores, labels),
        scores=scores,
        scored_part="the validation part of this run",
        used_to_choose="It was not used to choose anything.",
        overlays=[Overlay(case, dice, rank, png) for case, dice, rank in choose_cases(scores)],
        curves=[CurvePoint(10, 0.9, 0.2, None, 1e-3), CurvePoint(20, 0.5, 0.6, 0.55, 5e-4)],
        findings=[Finding("warning", "two images are the same")],
        tables=[Table("Mask values", ("value", "label"), (("1", "lesion"),))],
        plan_yaml="batch: 8  # fits",
        software={"delineate": "0.1.0"},
        model={"steps": "1,000"},
    )


LESION = LabelSet.of("lesion")


def test_it_says_what_the_numbers_say() -> None:
    shown = report(LESION, cohort(LESION))
    text = Page(render_report(shown)).text
    # the predictions overlap in 10, 9, … 3 of 10 rows, and the last case is missed
    assert f"mean Dice of {sum(range(3, 11)) / 10 / 9:.3f}" in text
    assert "9 cases, each a group of its own. It was not used to choose anything. With 9 groups" in text
    assert "lesion: missed entirely in 1 of 9 cases that have it." in text
    assert "case_8 patient_8 lesion missed 0.000" in text
    assert "56.6†" in text  # the diagonal of 40 × 40
    for part in ("two images are the same", "Mask values", "batch: 8 # fits", "1,000", "How it learned"):
        assert part in text


def test_groups_are_counted_and_averaged_first() -> None:
    shown = report(LESION, cohort(LESION, per_group=4))
    text = Page(render_report(shown)).text
    assert "9 cases in 3 groups." in text
    dice = shown.summary.labels[0].metrics["dice"]
    assert dice is not None
    assert f"With each group averaged first, mean Dice is {dice.mean_of_groups:.3f} (lesion)." in text


def test_several_labels_have_a_mean_and_a_legend_each() -> None:
    labels = LabelSet.of("left", "right", "heart")
    text = Page(render_report(report(labels, cohort(labels)))).text
    assert "Mean over labels" in text
    for name in labels.names:
        assert f"{name}, reference" in text
        assert f"{name}, prediction" in text
    assert "Mean over labels" not in Page(render_report(report(LESION, cohort(LESION)))).text


def test_one_group_has_no_interval_and_the_page_says_why() -> None:
    text = Page(render_report(report(LESION, cohort(LESION, per_group=100)))).text
    assert "There are no intervals of means: all 9 cases belong to one group" in text
    assert "% interval 0." not in text
    assert "1 case. It was" in Page(render_report(report(LESION, cohort(LESION, count=1)))).text


def test_nothing_to_find_is_said() -> None:
    shown = report(LESION, cohort(LESION, empty=True))
    text = Page(render_report(shown)).text
    assert "there was nothing to find and nothing was found" in text
    assert shown.overlays == []
    assert "Cases to look at" not in text


def test_parts_that_are_not_known_are_left_out() -> None:
    bare = replace(
        report(LESION, cohort(LESION)),
        overlays=(),
        curves=None,
        findings=(),
        tables=(),
        plan_yaml=None,
        software={},
        model={},
    )
    text = Page(render_report(bare)).text
    for heading in ("Cases to look at", "How it learned", "What was checked", "The model", "Software"):
        assert heading not in text


def only(html: str, start: str, stop: str) -> str:
    """The part of a page between two pieces of its source."""
    return html[html.index(start) : html.index(stop, html.index(start))]


def test_cautions_stand_beside_the_headline() -> None:
    plain = report(LESION, cohort(LESION))
    sentence = "12 of the training images look like scored ones."
    box = only(render_report(replace(plain, cautions=[sentence])), '<section class="verdict">', "</section>")
    assert f'<p><span class="level warning">caution</span>{sentence}</p>' in box
    assert "caution</span>" not in render_report(plain)


def test_a_finding_lists_all_its_files() -> None:
    names = tuple(f"image_{number}.png" for number in range(40))
    found = [Finding("warning", "40 images are alike", names), Finding("note", "one", ("x.png",))]
    html = render_report(replace(report(LESION, cohort(LESION)), findings=found))
    listed = re.findall(r"<details class=\"files\">.*?</details>", html, re.DOTALL)
    assert [re.findall("<li>(.*?)</li>", files) for files in listed] == [list(names), ["x.png"]]
    assert "<summary>40 files</summary>" in listed[0]
    assert "<summary>1 file</summary>" in listed[1]
    assert '<details class="files">' not in render_report(report(LESION, cohort(LESION)))


def test_a_label_never_found_asks_for_a_longer_training() -> None:
    missed = [
        replace(score, case=f"{score.case}_{number}")
        for number in range(3)
        for score in cohort(LESION, count=1)
    ]
    text = Page(render_report(report(LESION, missed))).text
    assert "lesion: found nothing in any of the 3 cases that have it: train longer." in text
    assert "missed entirely" not in text
    text = Page(render_report(report(LESION, missed[:1]))).text
    assert "lesion: found nothing in the one case that has it: train longer." in text
    assert "train longer" not in Page(render_report(report(LESION, cohort(LESION)))).text


def test_the_curves_say_of_what_their_validation_dice_is() -> None:
    text = Page(render_report(report(LESION, cohort(LESION)))).text
    assert (
        "The validation Dice here is that of a part of the cases where there are many, at the size the net "
        "works at and without mirroring, so it differs from the score above."
    ) in text
    alone = replace(report(LESION, cohort(LESION)), curves=[CurvePoint(10, 0.9, 0.2, None, 1e-3)])
    text = Page(render_report(alone)).text
    assert "Training Dice is that of augmented images" in text
    assert "The validation Dice here" not in text


def test_one_picture_a_rank_stands_in_one_row() -> None:
    def rows(shown: Report) -> list[list[tuple[str, int]]]:
        html = only(render_report(shown), "Cases to look at", "<details>")
        parts = [
            re.findall(r"<h3>(.*?)</h3>(.*?)</section>", row, re.DOTALL)
            for row in html.split('<div class="overlays">')[1:]
        ]
        return [[(heading, pictures.count("<img")) for heading, pictures in row] for row in parts]

    many = report(LESION, cohort(LESION))
    assert rows(many) == [[("Worst", 3)], [("About the median", 3)], [("Best", 3)]]
    few = replace(many, overlays=[many.overlays[number] for number in (0, 3, 6)])
    assert rows(few) == [[("Worst", 1), ("About the median", 1), ("Best", 1)]]
    assert rows(replace(many, overlays=many.overlays[:1])) == [[("Worst", 1)]]
    assert rows(replace(many, overlays=many.overlays[2:4])) == [[("Worst", 1), ("About the median", 1)]]


def test_millimetres_are_shown_where_known() -> None:
    mask = Mask(np.eye(8, dtype=np.uint8), LESION, Geometry((0.5, 0.5)))
    known = list(score_case("a", "a", mask, mask))
    text = Page(render_report(report(LESION, known))).text
    assert "HD95, mm" in text
    assert "HD95, px" not in text
    assert "HD95 of each case, in millimetres" in text
    text = Page(render_report(report(LESION, cohort(LESION)))).text
    assert "HD95, mm" not in text
    assert "HD95, px" in text
    text = Page(render_report(report(LESION, [*known, *cohort(LESION)]))).text
    assert "HD95, mm" in text
    assert "HD95 of each case, in pixels" in text


def test_microscopic_distances_and_volumes_do_not_read_as_none() -> None:
    # lines of one pixel of 0.25 µm, 15 pixels apart
    values, other = np.zeros((2, 1, 32), np.uint8)
    values[0, 2] = other[0, 17] = 1
    near = Geometry((0.00025, 0.00025))
    found = list(score_case("a", "a", Mask(values, LESION, near), Mask(other, LESION, near)))
    html = render_report(report(LESION, found))
    assert '<td class="number">0.00375</td>' in html
    assert '<td class="number">0.0</td>' not in html
    # 8 and 12 voxels of 1 µm
    values, larger = np.zeros((2, 4, 4, 4), np.uint8)
    values[:2, :2, :2] = larger[:2, :2, :3] = 1
    near = Geometry((0.001, 0.001, 0.001))
    found = list(score_case("a", "a", Mask(values, LESION, near), Mask(larger, LESION, near)))
    assert "lesion 8e-12 1.2e-11 +4e-12 4e-12 50.0 %" in Page(render_report(report(LESION, found))).text


def test_planes_of_volumes_take_a_row_each_and_say_where_left_is() -> None:
    flat = report(LESION, cohort(LESION))
    sentence = "the patient's left is on the viewer's right"
    assert sentence not in Page(render_report(flat)).text
    volumes = replace(flat, scores=[replace(score, axes=3) for score in flat.scores])
    assert Page(render_report(volumes)).text.count(sentence) == 1
    assert render_report(volumes).count('<div class="pictures planes">') == 3
    few = replace(volumes, overlays=[flat.overlays[number] for number in (0, 3, 6)])
    assert render_report(few).count('<section class="wide">') == 3


def test_volumes_and_their_tolerance_are_told() -> None:
    # blocks of 2 × 2 × 2 and 2 × 2 × 3 voxels of 1.5 ml: 12 and 18 ml
    values, larger = np.zeros((2, 4, 4, 4), np.uint8)
    values[:2, :2, :2] = larger[:2, :2, :3] = 1
    geometry = Geometry((15.0, 10.0, 10.0))
    found = list(score_case("a", "a", Mask(values, LESION, geometry), Mask(larger, LESION, geometry)))
    text = Page(render_report(report(LESION, found))).text
    assert "Volumes Label Reference, ml" in text
    assert "lesion 12.0 18.0 +6.00 6.00 50.0 %" in text
    assert "NSD, 2 mm" in text
    assert "Reference ml Predicted ml" in text
    flat = Page(render_report(report(LESION, cohort(LESION)))).text
    assert "Volumes" not in flat
    assert "NSD, 2 px" in flat
    assert "Reference px Predicted px" in flat


def test_names_cannot_break_out() -> None:
    labels = LabelSet.of(EVIL)
    scores = [replace(score, case=EVIL + score.case, group=EVIL) for score in cohort(labels)]
    evil = replace(
        report(labels, scores),
        title=EVIL,
        scored_part=EVIL,
        used_to_choose=EVIL,
        cautions=[EVIL],
        findings=[Finding("note", EVIL, (EVIL,))],
        tables=[Table(EVIL, (EVIL,), ((EVIL,),))],
        plan_yaml=f"</pre>{EVIL}",
        software={EVIL: EVIL},
        model={EVIL: EVIL},
    )
    html = render_report(evil)
    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 20
    assert "script" not in {tag for tag, _ in Page(html).elements}


def test_nothing_is_fetched_and_nothing_runs() -> None:
    html = render_report(report(LESION, cohort(LESION)))
    page = Page(html)
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"script", "link", "iframe", "object", "embed", "form"})
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name == "src":
                assert value is not None
                assert value.startswith("data:image/png;base64,")
            if name in {"href", "xlink:href"}:
                assert value is not None
                assert value.startswith("#")
        if tag == "img":
            assert attributes["alt"]
    addresses = set(re.findall(r"https?://[^\"'\s]+", html))
    assert addresses == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}  # names, not fetched
    assert "default-src 'none'" in html


def test_the_same_report_is_the_same_page() -> None:
    shown = report(LESION, cohort(LESION))
    assert render_report(shown) == render_report(shown)


def test_no_id_stands_twice() -> None:
    html = render_report(report(LESION, cohort(LESION)))
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    "name", ["a & b < c", "$5 of $x_1$", "ein sehr langer Name, der gekürzt werden muss"]
)
def test_plots_are_well_formed_whatever_the_label(name: str) -> None:
    labels = LabelSet.of(name)
    svg = distribution_svg(cohort(labels), labels.names, "dice", "Dice")
    words = " ".join(ET.fromstring(svg).itertext())  # noqa: S314  our own text
    assert name[:21] in words


def test_a_plot_has_one_mark_a_case() -> None:
    labels = LabelSet.of("a", "b")
    svg = distribution_svg(cohort(labels, count=7), labels.names, "dice", "Dice")
    # scatter points are the only marks in the plot area with a fill or stroke of their own
    assert len(re.findall(r"<use [^>]*(?:fill-opacity: 0.45|stroke: #c8451b)", svg)) == 14


def test_a_label_without_values_says_so() -> None:
    svg = distribution_svg(cohort(LESION, empty=True), LESION.names, "dice", "Dice")
    assert "no case has a value" in svg


def test_curves_of_one_point_and_without_validation_can_be_drawn() -> None:
    svg = curves_svg([CurvePoint(5, 0.7, 0.3, None, 1e-3)])
    words = " ".join(ET.fromstring(svg).itertext())  # noqa: S314  our own text
    assert "Training loss" in words
    assert "validation" not in words


def test_choice_of_cases() -> None:
    def scored(case: str, label: str, dice: float | None) -> CaseScore:
        return replace(cohort(LESION, count=1)[0], case=case, label=label, dice=dice)

    many = [scored(f"{number:02}", "a", number / 100) for number in range(20)]
    chosen = choose_cases(many)
    assert [case for case, _, _ in chosen] == ["00", "01", "02", "08", "09", "10", "17", "18", "19"]
    assert [rank for _, _, rank in chosen] == ["worst"] * 3 + ["median"] * 3 + ["best"] * 3
    # the mean over the labels that have a Dice counts; a case without any is left out
    mixed = [scored("x", "a", 0.2), scored("x", "b", 0.8), scored("y", "a", 0.4), scored("y", "b", None)]
    assert choose_cases([*mixed, scored("z", "a", None), scored("z", "b", None)]) == (
        ("y", 0.4, "worst"),
        ("x", 0.5, "best"),
    )
    assert [rank for _, _, rank in choose_cases(many[:1])] == ["worst"]
    assert [case for case, _, _ in choose_cases(many[:3])] == ["00", "01", "02"]
    assert [case for case, _, _ in choose_cases(many[:8])] == ["00", "01", "03", "04", "06", "07"]
    assert choose_cases([]) == ()
