"""The CSV table: what it may hold, and everything that may be wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from delineate.dataset.discover import Discovery, discover


def table(root: Path, text: str, *files: str, encoding: str = "utf-8") -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    path = root / "cases.csv"
    path.write_text(text, encoding=encoding, newline="")
    return path


def errors(found: Discovery) -> list[str]:
    return [problem.code for problem in found.problems if problem.level == "error"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_all_columns_in_every_dialect(tmp_path: Path, delimiter: str, end: str, encoding: str) -> None:
    rows = [
        "Image, mask,GROUP,split,age",
        "x/ü 10.png,m/10.png,p1,Train,3",
        "x/ü 2.png,m/2.png,p2,dev,4",
        ",,,,",
    ]
    text = end.join(row.replace(",", delimiter) for row in rows)
    path = table(tmp_path, text, "x/ü 10.png", "x/ü 2.png", "m/10.png", "m/2.png", encoding=encoding)
    found = discover(path)
    assert [(c.name, c.group, c.split) for c in found.cases] == [
        ("ü 2", "p2", "validation"), ("ü 10", "p1", "train")
    ]  # fmt: skip
    assert found.cases[0].mask == tmp_path / "m" / "2.png"
    assert [problem.code for problem in found.problems] == ["unused-columns"]
    assert "age" in found.problems[0].message
    assert found.layout == "the table cases.csv with the columns image, mask, group, split"


def test_one_table_in_a_folder_decides(tmp_path: Path) -> None:
    table(tmp_path, "image,mask\nimages/a.png,masks/b.png\n", "images/a.png", "masks/a.png", "masks/b.png")
    (tmp_path / "other.csv").write_text("name,age\na,3\n")
    found = discover(tmp_path)
    assert [(case.name, case.mask) for case in found.cases] == [("a", tmp_path / "masks" / "b.png")]


@pytest.mark.parametrize(
    ("above", "delimiter"),
    [("\n", ","), (" \n;;\n", ";"), ("sep=;\n", ";"), ('"SEP=|"\n\n', "|"), ("sep=\t\n", "\t")],
)
@pytest.mark.parametrize("name", ["cases.csv", "cases.TSV"])
def test_what_stands_above_the_columns_is_skipped(
    tmp_path: Path, above: str, delimiter: str, name: str
) -> None:
    lines = "image;mask;group\nimages/a.png;masks/b.png;p\nimages/c.png;gone.png;p\n"
    text = above + lines.replace(";", delimiter)
    path = table(tmp_path, text, "images/a.png", "masks/b.png", "images/c.png")
    path = path.rename(tmp_path / name)
    for given in (tmp_path, path):
        found = discover(given)
        assert [(case.name, case.group) for case in found.cases] == [("a", "p")]
        assert errors(found) == ["missing-file"]
        assert f"gone.png (line {3 + above.count(chr(10))})" in found.problems[0].message


def test_a_list_that_is_not_used_is_told(tmp_path: Path) -> None:
    table(tmp_path, "filename,patient,split\na.png,1,test\n", "images/a.png", "masks/a.png", "images/x.csv")
    (tmp_path / "more.tsv").touch()
    found = discover(tmp_path)
    assert [(p.level, p.code) for p in found.problems] == [
        ("warning", "unused-table"),
        ("note", "other-files"),
    ]
    assert found.problems[0].message == (
        "2 lists not used, without the columns image and mask in the first line: cases.csv, more.tsv. If "
        "patients or parts are stated there, add these columns, and call the others group and split."
    )


@pytest.mark.parametrize(
    ("column", "level"),
    [("Patient", "warning"), ("subject_id", "warning"), ("case id", "warning"), ("groups", "warning"),
     ("patient age", "note"), ("casein", "note"), ("patient,group", "note")],
)  # fmt: skip
def test_a_column_that_may_state_groups_is_not_passed_over(tmp_path: Path, column: str, level: str) -> None:
    found = discover(
        table(
            tmp_path,
            f"image,mask,{column}\na.png,b.png,1,1\n"[: None if "," in column else -3] + "\n",
            "a.png",
            "b.png",
        )
    )
    assert [(p.level, p.code) for p in found.problems] == [(level, "unused-columns")]
    assert ("call it group" in found.problems[0].message) == (level == "warning")


def test_two_tables_are_refused(tmp_path: Path) -> None:
    path = table(tmp_path, "image,mask\na.png,b.png\n", "a.png", "b.png")
    (tmp_path / "more.csv").write_bytes(path.read_bytes())
    assert errors(discover(tmp_path)) == ["several-tables"]
    assert errors(discover(path)) == []


def test_paths_outside_and_equal_names(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    for folder in ("p1", "p2"):
        table(tmp_path / "t", "", f"../{folder}/s.png", f"../{folder}/m.png")
    table(tmp_path / "t", f"image,mask\n../p1/s.png,../p1/m.png\n{tmp_path}/p2/s.png,../p2/m.png\n")
    found = discover(tmp_path / "t")
    assert [case.name for case in found.cases] == ["p1__s", "p2__s"]
    assert errors(found) == []


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("", "unreadable-table", "no column named image and none named mask"),
        ("image,label\na.png,b.png\n", "unreadable-table", "it has: image, label"),
        ("image,mask,mask\na.png,b.png,c.png\n", "unreadable-table", "has the column mask twice"),
        ('image,mask\n"a.png,b.png\n', "unreadable-table", "quotation marks"),
        ("image,mask\n", "no-pairs", "lists no image with a mask"),
        ("image,mask\na.png,b.png,c\n", "table-cells", "more cells than there are columns: 2"),
        ("image,mask\na.png,gone.png\n", "missing-file", "gone.png (line 2)"),
        ("image,mask\na.png,a.png\n", "image-is-mask", "a.png (line 2)"),
        ("image,mask\na.png,b.png\na.png,c.png\n", "doubled-image", "a.png (lines 2, 3)"),
        ("image,mask\na.png,b.png\nc.png,./b.png\n", "doubled-mask", "b.png (lines 2, 3)"),
        ("image,mask,split\na.png,b.png,later\n", "unknown-split", "later (line 2)"),
        ("image,mask,split\na.png,b.png,train\nc.png,d.png,\n", "missing-split", "line 3"),
        ("image,mask,group\na.png,b.png,p1\nc.png,d.png,\n", "missing-group",
         "The column group is empty in 1 line and filled in elsewhere: line 3. Fill in all or none."),
        ("image,mask\na.png," + "x" * 5000 + "\n", "missing-file", "(line 2)"),
        ("image,mask\na.png,\0\n", "missing-file", "(line 2)"),
        ("image,mask\nfolder\\a.png,b.png\n", "missing-file", "written with / between folders"),
        ("group,image,mask\np1,a.png,b.png\np2\n", "table-cells", "named in 1 line of cases.csv: line 3"),
        ("image,mask\na.png,b.png\n,c.png\n", "table-cells", "named in 1 line of cases.csv: line 3"),
    ],
)  # fmt: skip
def test_faults_are_said_with_their_line(tmp_path: Path, text: str, code: str, said: str) -> None:
    found = discover(table(tmp_path, text, "a.png", "b.png", "c.png", "d.png"))
    assert errors(found) == [code]
    assert said in found.problems[0].message


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_is_refused_with_the_remedy(tmp_path: Path, encoding: str) -> None:
    path = table(tmp_path, "image,mask\nü.png,m.png\n", encoding=encoding)
    for given in (path, tmp_path):  # in a folder it is not taken for something else
        assert "UTF-8" in discover(given).problems[0].message
        assert errors(discover(given)) == ["unreadable-table"]


def test_a_table_that_cannot_be_opened_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table(tmp_path, "image,mask\n", "images/a.png", "masks/a.png")
    opened = Path.open

    def shut(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.suffix == ".csv":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", shut)
    assert errors(discover(tmp_path)) == ["unreadable-table"]
    assert "cases.csv cannot be read: Permission denied" in discover(tmp_path).problems[0].message


def test_files_elsewhere_are_named_as_the_table_names_them(tmp_path: Path) -> None:
    root = tmp_path / "t"
    root.mkdir()
    lines = ["image,mask", "../p1/gone.png,/nowhere/gone.png", "../p1/a.png,../p1/b.png", "../p2/alone.png,"]
    path = table(root, "\n".join(lines), "../p1/a.png", "../p1/b.png", "../p2/alone.png")
    found = discover(path)
    said = {problem.code: problem.message for problem in found.problems}
    assert "not found: ../p1/gone.png (line 2), /nowhere/gone.png (line 2)." in said["missing-file"]
    assert said["unpaired-image"].endswith("without a mask in the table: ../p2/alone.png (line 4).")


def test_an_empty_mask_cell_leaves_the_image_out(tmp_path: Path) -> None:
    found = discover(
        table(tmp_path, "image,mask\na.png,b.png\nc.png,\nd.png\n", "a.png", "b.png", "c.png", "d.png")
    )
    assert [case.name for case in found.cases] == ["a"]
    assert [(p.level, p.code, len(p.paths)) for p in found.problems] == [("warning", "unpaired-image", 2)]


def test_several_faults_are_told_at_once_and_the_rest_is_found(tmp_path: Path) -> None:
    text = "image,mask\na.png,b.png\ngone.png,c.png\nd.png,d.png\n"
    found = discover(table(tmp_path, text, "a.png", "b.png", "c.png", "d.png"))
    assert errors(found) == ["missing-file", "image-is-mask"]
    assert [case.name for case in found.cases] == ["a"]


def test_folders_are_part_of_the_plain_name_where_all_files_are_named_alike(tmp_path: Path) -> None:
    def names(root: str, *images: str) -> list[tuple[str, str]]:
        text = "image,mask\n" + "".join(f"{image},m/{at}.png\n" for at, image in enumerate(images))
        masks = [f"m/{at}.png" for at in range(len(images))]
        return [
            (case.name, case.plain) for case in discover(table(tmp_path / root, text, *images, *masks)).cases
        ]

    assert names("sites", "A/001_1.png", "B/001_1.png", "B/001_2.png") == [
        ("001_2", "001_2"), ("A__001_1", "001_1"), ("B__001_1", "001_1")
    ]  # fmt: skip
    assert names("patients", "p1/x.png", "p2/x.png") == [("p1__x", "p1__x"), ("p2__x", "p2__x")]
    assert names("parts", "train/1.png", "test/1.png") == [("test__1", "1"), ("train__1", "1")]


def test_the_same_list_as_tsv_beside_it_is_left_aside(tmp_path: Path) -> None:
    path = table(tmp_path, "image,mask\na.png,b.png\n", "a.png", "b.png")
    (tmp_path / "cases.tsv").write_text(path.read_text().replace(",", "\t"))
    found = discover(tmp_path)
    assert errors(found) == []
    assert [(case.name, problem.code) for case in found.cases for problem in found.problems] == [
        ("a", "other-files")
    ]
