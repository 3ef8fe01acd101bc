"""What the user or the data set says: --labels and dataset.json."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.dataset.mask_encoding import ANY
from delineate.dataset.masks import MaskEncoding, parse_labels, understand
from delineate.errors import MaskError, UsageError
from delineate.formats import StoredMask

MASK = np.repeat(np.array([[0, 3, 5, 200, 255]], np.uint8), 5, axis=0).repeat(8, axis=1)


def told(
    labels: str | None = None, names: dict[int, str] | None = None, mask: StoredMask | None = None
) -> MaskEncoding:
    return understand([Path("a.png")], labels=labels, names=names, read=lambda _: mask or StoredMask(MASK))


def row(encoding: MaskEncoding, values: list[int]) -> list[int]:
    return [int(v) for v in encoding.decode(StoredMask(np.array([values], np.uint8)), Path("b.png"))[0]]


def test_single_values() -> None:
    option = parse_labels(" 255=nucleus, 128 = cyto plasm ,0=background")
    assert option.labels.names == ("nucleus", "cyto plasm")
    assert [(entry.first, entry.last, entry.label) for entry in option.entries] == [
        (0, 0, 0),
        (128, 128, 2),
        (255, 255, 1),
    ]
    assert option.exact
    assert not option.colours


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "=a",
        "1=",
        "1=a,",
        "x=a",
        "-1=a",
        "#ff=a",
        "1-=a",
        "5-3=a",
        "1=a,1=b",
        "1-9=a,4=b",
        ">1=a,7=b",
        "1=a,#ff0000=b",
        "0=background",
        "1.5=a",
        "1=a;2=b=c,",
    ],
)
def test_what_cannot_be_read_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="--labels"):
        parse_labels(text)


@given(st.text(alphabet="0123456789>-#af=, abackground.", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        option = parse_labels(text)
    except UsageError:
        return
    ends = [end for entry in option.entries for end in (entry.first, entry.last + 1)]
    assert ends == sorted(ends)
    assert {entry.label for entry in option.entries} - {0} == set(range(1, len(option.labels) + 1))


def test_values_by_name_and_several_to_one() -> None:
    encoding = told("3=lung,5=lung,255=heart")
    assert encoding.labels.names == ("lung", "heart")
    assert encoding.notes == ("not named by --labels, so background: 200",)
    assert row(encoding, [0, 3, 5, 200, 255]) == [0, 1, 1, 0, 2]
    with pytest.raises(MaskError, match="no known meaning: 7"):
        row(encoding, [7])


def test_ranges_leave_nothing_undecided() -> None:
    encoding = told("4-210=a,211-255=b")
    assert row(encoding, [0, 3, 4, 100, 210, 211, 255]) == [0, 0, 1, 1, 1, 2, 2]


def test_the_table_shows_no_background_above_all_values() -> None:
    encoding = told("4-210=a,211-255=b")
    assert [(line.value, line.label) for line in encoding.rows] == [
        ("0–3", None), ("4–210", "a"), ("211–255", "b")
    ]  # fmt: skip
    assert encoding.ranges[-1] == (256, ANY, 0)
    assert [(line.value, line.cases) for line in told("4-210=a").rows[1:]] == [("4–210", 1), ("211–255", 1)]


@pytest.mark.parametrize(("text", "kind"), [(">127=polyp", "threshold"), (">0=nuclei", "instances")])
def test_above(text: str, kind: str) -> None:
    encoding = told(text)
    assert encoding.kind == kind
    limit = int(text[1 : text.index("=")])
    assert row(encoding, [0, limit, limit + 1, 255]) == [0, 0, 1, 1]


def test_labels_that_no_mask_holds_are_told_and_refused_if_they_are_all() -> None:
    encoding = told("3=a,4=b,5=a,6=b")
    assert encoding.notes[0] == "no mask holds 4 (b), 6 (b)"
    assert row(encoding, [0, 3, 4, 5, 6]) == [0, 1, 2, 1, 2]
    with pytest.raises(MaskError, match='names 4 as "b", but no mask holds it'):
        told("4=b")


def test_single_values_of_lossy_masks_are_refused() -> None:
    with pytest.raises(MaskError, match="must name ranges"):
        told("255=a", mask=StoredMask(MASK, lossy=True))


def test_names_of_a_data_set() -> None:
    encoding = told(names={0: "background", 3: "a", 5: "b", 200: "c", 255: "d", 9: "never"})
    assert encoding.labels.names == ("a", "b", "never", "c", "d")
    assert encoding.notes == ("named by the data set, but in no mask: never",)
    assert row(encoding, [0, 3, 5, 9, 200, 255]) == [0, 1, 2, 3, 4, 5]


def test_names_that_do_not_fit() -> None:
    with pytest.raises(MaskError, match=r"no label with the value 5, 200, 255(.|\n)*--labels"):
        told(names={0: "background", 3: "a"})
    with pytest.raises(MaskError, match='--labels "255=polyp"'):
        told(names={1: "polyp"}, mask=StoredMask(np.where(MASK == 255, MASK, 0)))


def test_labels_overrule_names() -> None:
    assert told("255=x", names={1: "a"}).labels.names == ("x",)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"kind": "pickle"},
        {"ranges": [[0, 5, 0], [3, 9, 1]]},
        {"ranges": [[0, 0, 7]]},
        {"ranges": []},
        {"labels": []},
    ],
)
def test_a_foreign_encoding_is_refused(broken: dict[str, object]) -> None:
    good = told(">127=polyp").to_json()
    with pytest.raises(ValueError, match="no mask encoding"):
        MaskEncoding.from_json({**good, **broken} if broken else {})
