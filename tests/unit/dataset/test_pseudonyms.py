"""Codes in place of names: alike for one salt, whole names alone, and a table for the user alone."""

from __future__ import annotations

import csv
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.dataset.hidden_names import HiddenNames
from delineate.dataset.pseudonyms import Pseudonyms, private_folder
from delineate.errors import OutputError

SALT = bytes(range(16))
CODE = re.compile(r"(case|folder|group|name)-[0-9a-f]{10}")
MESSAGES = (
    "2 labels in fewer than 3 cases: liver (2), left lung (1). Too few to learn and to score; add cases, or "
    "leave the label out with --labels.",
    "1 mask not on the grid of the image: it is 32 × 32 px, but the image is 48 × 48 px. Masks are never "
    "resized by guess: export them again on the image's grid, or take these cases out.",
    "Take them out of the data. In 4 of 6 images: a constant alpha channel was dropped, 0.0001 to 1.5 mm.",
    "Masks: 0/255 in all, 1 is foreground. The images train on 2019 values, 12 or 0012.",
    "Say what belongs together with --group-regex ('^(.*)\\d$' makes blocks of ten) in a CSV table.",
)
ORDINARY = (
    "data images masks liver lung left label labels grid image mask train values table blocks ten mm px"
)


def made(*, all_names: bool = False) -> Pseudonyms:
    return Pseudonyms(SALT, all_names)


class TestNames:
    def test_a_harmless_name_stays(self) -> None:
        pseudonyms = made()
        assert (
            pseudonyms.name("image_7", (Path("images/image_7.png"), Path("masks/image_7.png")), ())
            == "image_7"
        )
        assert pseudonyms.table == {}
        assert pseudonyms.redacted("images/image_7.png: empty") == "images/image_7.png: empty"

    @pytest.mark.parametrize(
        ("name", "paths", "words"),
        [
            ("DOE^JANE", ["r/images/DOE^JANE.png"], ()),
            ("7", ["r/images/7.png", "r/masks/7_20190304.png"], ()),  # of the mask
            ("7", ["r/images/MRN1234567/7.png"], ()),  # of a folder above the file
            ("7", ["r/images/7.png", "r/masks/JANE/7.png"], {"Jane"}),  # of one above the mask, by a header
            ("jane", ["r/images/jane.dcm"], {"JANE", "1965"}),
        ],
    )
    def test_what_tells_is_coded(self, name: str, paths: Sequence[str], words: Sequence[str]) -> None:
        pseudonyms = made()
        files = [Path(path) for path in paths]
        code = pseudonyms.name(name, files, words, Path("r"))
        assert re.fullmatch(r"case-[0-9a-f]{10}", code)
        assert pseudonyms.table[code] == tuple(paths)
        for path in paths:
            shown = pseudonyms.redacted(f"{path}: the file is empty")
            assert not re.search("DOE|JANE|jane|2019|MRN|1234567", shown)
            assert shown.endswith(": the file is empty")
            assert "/images/" in shown or "/masks/" in shown

    def test_what_lies_above_the_data_does_not_count(self) -> None:
        path = Path("/home/20190304/set/images/7.png")
        assert made().name("7", (path,), (), Path("/home/20190304/set")) == "7"
        assert made().name("7", (path,), (), Path("/home")) != "7"
        assert made().name("7", (path,), ()) == "7"

    def test_codes_are_alike_for_one_salt_and_differ_between_salts(self) -> None:
        first, again, other = (
            Pseudonyms(salt).name("DOE^JANE", (Path("DOE^JANE.png"),), ())
            for salt in (SALT, SALT, SALT[::-1])
        )
        assert first == again == "case-3aef8cc5ae"
        assert other != first
        assert made().name("DOE^JOHN", (Path("DOE^JOHN.png"),), ()) != first

    def test_a_name_has_one_code_whatever_else_is_coded(self) -> None:
        pseudonyms = made()
        codes = [pseudonyms.name(f"DOE^{n}", (Path(f"DOE^{n}.png"),), ()) for n in range(100)]
        assert len(set(codes)) == 100
        assert made().name("DOE^57", (Path("DOE^57.png"),), ()) == codes[57]

    def test_without_a_salt_one_is_made(self) -> None:
        first, second = Pseudonyms(), Pseudonyms()
        names = [each.name("DOE^JANE", (Path("DOE^JANE.png"),), ()) for each in (first, second, first)]
        assert names[0] == names[2] != names[1]
        assert len(first.salt) == 16

    def test_the_same_data_give_the_same_salt(self) -> None:
        first, again, other, given_before = Pseudonyms(), Pseudonyms(), Pseudonyms(), made()
        first.settle(["a", "bc"])
        again.settle(iter(["a", "bc"]))
        other.settle(["ab", "c"])
        given_before.settle(["a", "bc"])
        assert first.salt == again.salt != other.salt
        assert given_before.salt == SALT
        again.settle(["another set"])
        assert again.salt == first.salt

    def test_folders_of_several_cases_have_a_code_of_their_own(self) -> None:
        pseudonyms = made()
        codes = [
            pseudonyms.name(f"DOE^JANE__{n}", (Path(f"r/DOE^JANE/{n}.png"),), (), Path("r")) for n in (1, 2)
        ]
        assert len(set(codes)) == 2
        shown = [pseudonyms.redacted(f"DOE^JANE/{n}.png") for n in (1, 2)]
        assert re.fullmatch(r"folder-[0-9a-f]{10}/1\.png", shown[0])
        assert shown[0].replace("1.png", "2.png") == shown[1]
        assert pseudonyms.table[shown[0].split("/")[0]] == ("DOE^JANE",)

    def test_the_files_of_a_series_given_by_its_folder(self, tmp_path: Path) -> None:
        for name in ("20190304_1.dcm", "JANE_2", "3.dcm"):
            (tmp_path / "DOE^JANE" / name).parent.mkdir(exist_ok=True)
            (tmp_path / "DOE^JANE" / name).touch()
        pseudonyms = made()
        code = pseudonyms.name("DOE^JANE", (tmp_path / "DOE^JANE",), {"Jane"})
        said = "2 of its 3 DICOM files cannot be read: 20190304_1.dcm (empty); JANE_2 (empty); 3.dcm (empty)"
        assert pseudonyms.redacted(said) == (
            f"2 of its 3 DICOM files cannot be read: {code}.dcm (empty); {code} (empty); 3.dcm (empty)"
        )

    def test_suffixes_of_pictures_are_kept_and_others_are_not(self) -> None:
        pseudonyms = made()
        code = pseudonyms.name("DOE^J", (Path("DOE^J.nii.gz"), Path("DOE^J.Jane")), ())
        assert pseudonyms.redacted("DOE^J.nii.gz with DOE^J.Jane") == f"{code}.nii.gz with {code}"

    def test_channels_are_known_without_their_numbers(self) -> None:
        pseudonyms = made()
        files = (Path("1234567_0000.png"), Path("1234567_0001.png"))
        code = pseudonyms.name("1234567", files, ())
        assert pseudonyms.redacted("1 case lacks a channel: 1234567.") == f"1 case lacks a channel: {code}."

    def test_words_of_a_header_are_hidden_in_sentences_but_for_small_words(self) -> None:
        pseudonyms = made()
        files = [Path(f"r/{name}") for name in ("JANE", "jane", "data", "Mc Kim", "4711", "Li", "12")]
        codes = [
            pseudonyms.name(path.name, (path,), {"Jane", "data", "Kim", "4711", "Li", "12"}, Path("r"))
            for path in files
        ]
        assert [code.startswith("case-") for code in codes] == [True] * 5 + [False] * 2
        said = "cannot be read: JANE (empty); 4711 (empty); Mc Kim (empty). Take these out of the data, 12 Li"
        assert pseudonyms.redacted(said) == (
            f"cannot be read: {codes[0]} (empty); {codes[4]} (empty); {codes[3]} (empty). "
            "Take these out of the data, 12 Li"
        )
        assert pseudonyms.redacted("r/jane, data/7.png") == f"r/{codes[1]}, {codes[2]}/7.png"


class TestAllNames:
    @pytest.mark.parametrize("name", ["1", "p1", "image_7", "liver", "a"])
    def test_every_name_is_coded(self, name: str) -> None:
        pseudonyms = made(all_names=True)
        files = (Path(f"r/images/{name}.nii.gz"), Path(f"r/masks/{name}.png"))
        code = pseudonyms.name(name, files, (), Path("r"))
        assert re.fullmatch(r"case-[0-9a-f]{10}", code)
        assert pseudonyms.redacted(f"images/{name}.nii.gz with masks/{name}.png") == (
            f"images/{code}.nii.gz with masks/{code}.png"
        )
        assert pseudonyms.redacted(name) == code

    def test_folders_too(self) -> None:
        pseudonyms = made(all_names=True)
        pseudonyms.name("12__1", (Path("r/images/12/1.png"),), (), Path("r"))
        assert re.fullmatch(
            r"images/folder-[0-9a-f]{10}/case-[0-9a-f]{10}\.png", pseudonyms.redacted("images/12/1.png")
        )

    @pytest.mark.parametrize("message", MESSAGES)
    def test_short_and_ordinary_names_leave_sentences_alone(self, message: str) -> None:
        pseudonyms = made(all_names=True)
        for name in (
            *ORDINARY.split(),
            *map(str, range(60)),
            "255",
            "2019",
            "0012",
            "0001",
            "1.5",
            "a",
            "left lung",
        ):
            files = (Path(f"r/images/{name}.png"), Path(f"r/{name}/masks/{name}.nii.gz"))
            pseudonyms.name(name, files, (), Path("r"))
        pseudonyms.hide_others([Path("/home/data")])
        assert pseudonyms.redacted(message) == message


class TestHiddenNames:
    def test_nothing_hidden(self) -> None:
        assert HiddenNames().replaced("images/a.png: empty") == "images/a.png: empty"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("ab12: empty", "X: empty"),
            ("masks/ab12.png and ab12_mask.png", "masks/X.png and X_mask.png"),
            ("(ab12), 'ab12', ab12.", "(X), 'X', X."),
            ("cab12, ab123, ab12a, 1ab12, éab12", "cab12, ab123, ab12a, 1ab12, éab12"),
            ("AB12", "AB12"),
            ("ab12", "X"),
            ("", ""),
        ],
    )
    def test_whole_names_alone(self, text: str, expected: str) -> None:
        names = HiddenNames()
        names.hide("ab12", "X")
        assert names.replaced(text) == expected

    def test_words_numbers_and_short_names_stand_in_paths(self) -> None:
        names = HiddenNames()
        for name, code in (("liver", "L"), ("12", "N"), ("p1", "P"), ("Mc Kim", "M")):
            names.hide(name, code)
        assert names.replaced("liver/12/p1.png, masks/Mc Kim: 12 of p1 and Mc Kim have no liver") == (
            "L/N/P.png, masks/M: 12 of p1 and Mc Kim have no liver"
        )
        assert (
            names.replaced("masks/liver_2.png, big-liver/1, 12/255")
            == "masks/liver_2.png, big-liver/1, 12/255"
        )
        assert [names.replaced(name) for name in ("liver", "12", "p1", "Mc Kim")] == ["L", "N", "P", "M"]

    def test_the_longest_name_first(self) -> None:
        names = HiddenNames()
        for name, code in (("ab12", "X"), ("ab12_cd.png", "Y"), ("ab12_cd", "Z")):
            names.hide(name, code)
        assert names.replaced("ab12_cd.png ab12_cd ab12_c ab12") == "Y Z X_c X"

    def test_the_first_code_of_a_name_stays(self) -> None:
        names = HiddenNames()
        names.hide("ab12", "X")
        names.hide("ab12", "Y")
        assert names.replaced("of ab12") == "of X"

    def test_names_as_they_are_printed(self) -> None:
        names = HiddenNames()
        names.hide("ab\n12", "X")
        names.hide(" ab12 ", "Y")
        assert names.replaced("ab\\n12 and ' ab12 ' and ab\n12") == "X and Y and X"

    def test_names_with_all_that_patterns_mean_something_by(self) -> None:
        names = HiddenNames()
        names.hide("a(1)[2].*+?$^|\\.png", "X")
        assert names.replaced("masks/a(1)[2].*+?$^|\\.png: empty") == "masks/X: empty"

    def test_many_names_take_no_long_time(self) -> None:
        """20 000 names in a text of a thousand: each place is looked up, not each name."""
        names = HiddenNames()
        for number in range(20_000):
            names.hide(f"slice_{number:06d}.dcm", f"case-{number:010x}")
        text = " ".join(f"slice_{number:06d}.dcm" for number in range(0, 20_000, 20))
        assert names.replaced(text) == " ".join(f"case-{number:010x}" for number in range(0, 20_000, 20))


class TestRedacted:
    def test_what_looks_telling_is_hidden_though_nobody_named_it(self) -> None:
        pseudonyms = made()
        shown = pseudonyms.redacted("Found: 3 × .png in DOE^JANE/, 2 × .txt in 2019-03-04/.")
        assert re.fullmatch(r"Found: 3 × .png in name-\w{10}/, 2 × .txt in name-\w{10}/\.", shown)
        assert set(pseudonyms.table.values()) == {("DOE^JANE",), ("2019-03-04",)}

    @given(
        st.lists(st.text("ab1_^.- 0", min_size=1, max_size=6), max_size=6), st.text("ab1_^.-/ 0", max_size=40)
    )
    def test_what_was_hidden_once_stays_as_it_is(self, names: list[str], text: str) -> None:
        pseudonyms = made(all_names=True)
        for name in names:
            pseudonyms.name(name, (Path(f"{name}.png"),), ())
        once = pseudonyms.redacted(f"{text}: said")
        assert pseudonyms.redacted(once) == once

    def test_codes_that_look_like_dates_are_left_alone(self) -> None:
        pseudonyms = made()
        assert pseudonyms.redacted("case-ab20190304: empty") == "case-ab20190304: empty"
        assert pseudonyms.redacted("case-2019030412/folder-1920190304") == "case-2019030412/folder-1920190304"


class TestOthers:
    def test_files_of_no_case(self) -> None:
        pseudonyms = made()
        files = [
            Path("r/DOE^JANE/left.txt"),
            Path("r/kim_2.png"),
            Path("r/other.png"),
            Path("elsewhere/12345678.png"),
        ]
        pseudonyms.hide_others(files, {"kim"}, Path("r"))
        shown = pseudonyms.redacted("DOE^JANE/left.txt, kim_2.png, other.png, 12345678.png")
        assert re.fullmatch(r"name-\w{10}/left.txt, name-\w{10}\.png, other.png, name-\w{10}\.png", shown)

    def test_all_of_them(self) -> None:
        pseudonyms = made(all_names=True)
        pseudonyms.hide_others([Path("r/images/12/other.png")], (), Path("r"))
        assert re.fullmatch(
            r"images/name-\w{10}/name-\w{10}\.png", pseudonyms.redacted("images/12/other.png")
        )


class TestGroups:
    @pytest.mark.parametrize("group", ["p1", "patient 3", "007", "left"])
    def test_harmless_ones_stay(self, group: str) -> None:
        assert made().group(group, {"jane"}) == group

    @pytest.mark.parametrize("group", ["DOE^JANE", "1234567", "2019-03-04", "12/31/1999", "jane"])
    def test_others_are_coded(self, group: str) -> None:
        pseudonyms = made()
        code = pseudonyms.group(group, {"jane"})
        assert re.fullmatch(r"group-[0-9a-f]{10}", code)
        assert pseudonyms.table[code] == (group,)

    def test_of_cases_that_go_by_codes_and_all(self) -> None:
        assert made().group("p1", (), of_hidden=True) == made(all_names=True).group("p1", ()) != "p1"


class TestTable:
    def test_of_codes_and_what_they_stand_for(self, tmp_path: Path) -> None:
        pseudonyms = made()
        first = pseudonyms.name("DOE^JANE", (Path("a/DOE^JANE.png"), Path('b/DOE^JANE, "1".png')), ())
        second = pseudonyms.group("1234567", ())
        pseudonyms.write_table(tmp_path)
        path = tmp_path / "private" / "names.csv"
        with path.open(newline="") as stream:
            assert list(csv.reader(stream)) == [
                ["code", "files"],
                [first, 'a/DOE^JANE.png | b/DOE^JANE, "1".png'],
                [second, "1234567"],
            ]

    def test_two_sets_of_one_name(self) -> None:
        pseudonyms = made()
        codes = [
            pseudonyms.name("DOE^J", (Path(f"{part}/DOE^J.png"),), ()) for part in ("train", "test", "train")
        ]
        assert len(set(codes)) == 1
        assert pseudonyms.table[codes[0]] == ("train/DOE^J.png", "test/DOE^J.png")

    def test_names_in_broken_encodings(self, tmp_path: Path) -> None:
        pseudonyms = made()
        name = os.fsdecode(b"DOE^J\xff")
        pseudonyms.name(name, (Path(f"{name}.png"),), ())
        pseudonyms.write_table(tmp_path)
        assert "DOE^J\\udcff.png" in (tmp_path / "private" / "names.csv").read_text()

    def test_is_not_written_without_codes(self, tmp_path: Path) -> None:
        made().write_table(tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_only_its_user_may_look(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            folder = private_folder(tmp_path)
        finally:
            os.umask(before)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert private_folder(tmp_path) == folder

    def test_a_place_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "private").write_text("")
        with pytest.raises(OutputError, match="Cannot write"):
            private_folder(tmp_path)

    def test_salt_and_names_are_not_printed(self) -> None:
        pseudonyms = made()
        pseudonyms.name("DOE^JANE", (Path("DOE^JANE.png"),), ())
        assert "DOE" not in repr(pseudonyms)
        assert repr(SALT) not in repr(pseudonyms)
