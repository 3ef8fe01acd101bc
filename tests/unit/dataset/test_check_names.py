"""A check tells no name that says who a patient is, wherever it stands, and finds what it found before."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from dicom_making import dicom, slices, written
from PIL import Image as Picture

from delineate.dataset.check import CheckReport, check
from delineate.dataset.pseudonyms import Pseudonyms
from delineate.dataset.split import split

NAMES = [f"ZQDOE^JANE{n}" for n in range(6)]
CODE = re.compile(r"(case|folder|group|name)-[0-9a-f]{10}")
Pixels = npt.NDArray[np.uint8]


def pixels(seed: int) -> Pixels:
    """Blocks of random brightness, unlike those of any other seed."""
    return np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8).repeat(6, 0).repeat(6, 1)


def drawn(seed: int = 0) -> Pixels:
    mask = np.zeros((48, 48), np.uint8)
    mask[8 : 20 + seed % 8, 8:24] = 255
    return mask


def put(path: Path, values: Pixels) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(values).save(path)
    return path


def pairs(root: Path, names: list[str]) -> Path:
    for seed, name in enumerate(names):
        put(root / "images" / f"{name}.png", pixels(seed))
        put(root / "masks" / f"{name}.png", drawn(seed))
    return root


def slice_of(path: Path, seed: int, **elements: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return written(dicom(pixels(seed).astype(np.uint16), **elements), path)


def told(report: CheckReport) -> str:
    """All that a report says, but for the places of files, which are never written."""
    discovery = report.discovery
    return json.dumps(
        [
            report.to_json(),
            discovery.layout,
            [case.name for case in (*report.cases, *discovery.cases)],
            [case.group for case in report.cases],
            [problem.message for problem in (*report.problems, *discovery.problems)],
            dict(report.groups),
            dict(report.case_groups()),
            {name: list(labels) for name, labels in report.labels_by_case.items()},
            [report.shown(path) for problem in report.problems for path in problem.paths],
            [report.shown(path) for case in report.cases for path in (*case.image, case.mask) if path],
        ],
        ensure_ascii=False,
    )


def said(report: CheckReport, code: str) -> str:
    (message,) = [problem.message for problem in report.problems if problem.code == code]
    return message


def all_wrong(root: Path) -> Path:
    """Every kind of fault, each in files that are named by a patient."""
    pairs(root, NAMES)
    put(root / "images" / f"{NAMES[1]}.png", pixels(0))  # a copy with another mask
    put(root / "masks" / f"{NAMES[2]}.png", drawn()[:32])
    (root / "images" / f"{NAMES[3]}.png").write_bytes(b"")
    put(root / "images" / "ZQKIM^A.png", pixels(7))
    put(root / "masks" / "ZQKIM^B.png", drawn(7))
    put(root / "ZQLI^C" / "7.png", pixels(8))
    (root / "letter to ZQDOE^JANE0.txt").touch()
    (root / ".ZQDOE^JANE0").touch()
    (root / "ZQ^gone.png").symlink_to(root / "nowhere")
    return root


def folders(root: Path) -> Path:
    """A folder a patient, files of the same names in each."""
    for seed, name in enumerate(NAMES):
        put(root / name / "image.png", pixels(seed))
        put(root / name / "mask.png", drawn(seed))
    return root


def masks_alone(root: Path) -> Path:
    """Masks named by patients, in a table beside images that are not; their groups and splits, too."""
    lines = ["image,mask,group,split"]
    for seed, name in enumerate(NAMES):
        put(root / "images" / f"{seed}.png", pixels(seed))
        put(root / "masks" / f"{name}.png", drawn(seed))
        lines.append(
            f"images/{seed}.png,masks/{name}.png,ZQ^group{seed % 3},{'test' if seed > 3 else 'train'}"
        )
    (root / "of ZQWARD^4.csv").write_text("\n".join(lines))
    return root


def faulty_table(root: Path) -> Path:
    """Files that are not there and elsewhere, and words where none belong."""
    outside = put(root.parent / "ZQDOE^OUT" / "ZQ^1.png", pixels(1))
    put(root / "images" / "1.png", pixels(1))
    lines = [
        "image,mask,group,split",
        f"{outside},ZQ^gone.png,1,train",
        "images/1.png,images/1.png,ZQ^2,ZQDOE^JANE1",
        "images/1.png,,,train",
        "ZQ^a.png,ZQ^b.png,1,train,ZQ^c",
    ]
    (root / "cases.csv").write_text("\n".join(lines))
    return root


def channels(root: Path) -> Path:
    """nnU-Net's layout, one case without its second channel, one mask without image."""
    for seed, name in enumerate(NAMES):
        for channel in range(1 if seed == 2 else 2):
            put(root / "imagesTr" / f"{name}_{channel:04d}.png", pixels(2 * seed + channel))
        put(root / "labelsTr" / f"{name}.png", drawn(seed))
    put(root / "labelsTr" / "ZQ^alone.png", drawn())
    return root


def nothing(root: Path) -> Path:
    """No images at all, in folders named by patients."""
    for name in NAMES:
        (root / name).mkdir(parents=True)
        (root / name / "letter.txt").touch()
    return root


def slices_of_patients(root: Path) -> Path:
    """DICOM whose names tell nothing but what stands in their headers."""
    for seed in range(6):
        of = {"PatientName": f"Zqdoe{seed}^Jane", "PatientID": f"zq{seed}77"}
        slice_of(root / "images" / f"ZQDOE{seed}_{seed}.dcm", seed, **of)
        put(
            root / "masks" / f"zqdoe{seed}_{seed}.png"
            if seed % 2
            else root / "masks" / f"ZQDOE{seed}_{seed}.png",
            drawn(seed),
        )
    slice_of(root / "images" / "scan of zq977.dcm", 9, PatientName="Other^One", PatientID="ZQ977")  # no mask
    whole = (root / "images" / "ZQDOE2_2.dcm").read_bytes()
    (root / "images" / "ZQDOE2_2.dcm").write_bytes(whole[:-900])  # the header is whole
    (root / "images" / "ZQDOE3_3.dcm").write_bytes(whole[:300])  # and this is cut within
    put(root / "pictures of zqdoe1.png", pixels(11))
    return root


def series_of_patients(root: Path) -> Path:
    """A folder of slices a patient, with a mask of another format."""
    for seed in range(3):
        volume = np.stack([pixels(seed), pixels(seed), pixels(seed + 50)]).astype(np.uint16)
        folder = root / "images" / f"ZQDOE{seed}"
        folder.mkdir(parents=True)
        series = slices(volume, PatientName=f"Zqdoe{seed}^Jane", SeriesInstanceUID=f"1.2.3.{seed + 1}")
        for number, made in enumerate(series):
            written(made, folder / f"ZQDOE{seed}_{number}.dcm")
        (root / "masks").mkdir(exist_ok=True)
        np.save(root / "masks" / f"ZQDOE{seed}.npy", np.stack([drawn(seed)] * 3))
    return root


@pytest.mark.parametrize("anonymous", [False, True])
@pytest.mark.parametrize(
    "made",
    [
        all_wrong,
        folders,
        masks_alone,
        faulty_table,
        channels,
        nothing,
        slices_of_patients,
        series_of_patients,
    ],
)
def test_no_name_is_told(tmp_path: Path, made: Callable[[Path], Path], anonymous: bool) -> None:
    (tmp_path / "set").mkdir()
    report = check(made(tmp_path / "set"), pseudonyms=Pseudonyms(all_names=anonymous))
    found = told(report)
    assert not re.search("zq", found, re.IGNORECASE), re.findall(r".{60}zq.{20}", found, re.IGNORECASE)
    assert CODE.search(found)
    if report.cases:
        assert all(re.fullmatch(r"case-[0-9a-f]{10}", case.name) for case in report.cases)


@pytest.mark.parametrize("made", [nothing, folders, all_wrong])
def test_nor_that_of_the_datas_own_folder(tmp_path: Path, made: Callable[[Path], Path]) -> None:
    root = tmp_path / "ZQABOVE^1" / "ZQWARD^2"
    root.mkdir(parents=True)
    report = check(made(root))
    assert "zq" not in told(report).lower()
    assert str(tmp_path) not in json.dumps(report.to_json())


def test_the_table_tells_what_each_code_stands_for(tmp_path: Path) -> None:
    report = check(all_wrong(tmp_path / "set"))
    table = report.pseudonyms.table
    for case in report.cases:
        assert table[case.name] == tuple(str(path) for path in (*case.image, case.mask))
    assert {match[0] for match in CODE.finditer(told(report))} <= set(table)


def test_a_name_of_a_header_is_looked_for_in_names_of_the_same_data(tmp_path: Path) -> None:
    report = check(slices_of_patients(tmp_path / "set"))
    assert said(report, "unpaired-image").count("name-") == 1
    assert "name-" in said(report, "unused-folder") or "at the top" in said(report, "unused-folder")
    assert said(report, "patients").startswith("The files tell of 4 patients")


class TestWhatIsFoundStaysTheSame:
    """As with the same images under harmless names."""

    @pytest.fixture
    def both(self, tmp_path: Path) -> tuple[Path, Path]:
        names = [f"{person}_{n}" for person in ("DOE^A", "DOE^B", "DOE^C", "DOE^D") for n in range(4)]
        return pairs(tmp_path / "telling", names), pairs(
            tmp_path / "plain", [name.replace("DOE^", "p") for name in names]
        )

    def test_groups_by_a_pattern(self, both: tuple[Path, Path]) -> None:
        hidden, plain = (check(root, group_regex="^(.*)_") for root in both)
        assert set(plain.groups.values()) == {"pA", "pB", "pC", "pD"}
        assert all(re.fullmatch(r"group-[0-9a-f]{10}", group or "") for group in hidden.groups.values())
        assert self.divided(hidden) == self.divided(plain)
        assert [p.code for p in hidden.problems] == [p.code for p in plain.problems] == []

    @staticmethod
    def divided(report: CheckReport) -> list[list[str]]:
        """The files that are kept together."""
        by_group: dict[str, list[str]] = {}
        groups = report.case_groups()
        for case in report.cases:
            by_group.setdefault(groups[case.name], []).append(case.image[0].stem.replace("DOE^", "p"))
        return sorted(map(sorted, by_group.values()))

    def test_a_group_of_some_hidden_cases_is_one(self, tmp_path: Path) -> None:
        root = pairs(tmp_path, ["p1_12345678", "p1_2", "p2_1", "p2_2"])
        groups = check(root, group_regex="^(p.)_").case_groups()
        (hidden,) = (name for name in groups if name.startswith("case-"))
        assert (
            groups[hidden]
            == groups["p1_2"]
            == Pseudonyms(check(root).pseudonyms.salt).group("p1", (), of_hidden=True)
        )
        assert groups["p2_1"] == groups["p2_2"] == "p2"

    def test_a_pattern_that_finds_nothing_says_so(self, both: tuple[Path, Path]) -> None:
        report = check(both[0], group_regex="^case-(.)")
        assert "finds no group in 16 of 16 names: case-" in said(report, "no-group")

    def test_the_same_data_have_the_same_codes_and_parts(self, both: tuple[Path, Path]) -> None:
        first, again = check(both[0]), check(both[0])
        assert [case.name for case in first.cases] == [case.name for case in again.cases]
        assert told(first) == told(again)
        parts = [split(report.cases, report.case_groups()) for report in (first, again)]
        assert parts[0] == parts[1]
        salted = check(both[0], pseudonyms=Pseudonyms(bytes(16)))
        assert {case.name for case in salted.cases}.isdisjoint(case.name for case in first.cases)

    def test_slices_in_a_row_are_still_seen(self, tmp_path: Path) -> None:
        """Codes have another order than the names."""
        random = np.random.default_rng(0)
        shape, reports = pixels(0).astype(float), []
        for name in ("slice_{:03}", "DOE^J_{:03}"):
            random, shape = np.random.default_rng(0), pixels(0).astype(float)
            for number in range(40):
                shape = np.clip(shape + random.normal(0, 40, (8, 8)).repeat(6, 0).repeat(6, 1), 0, 255)
                put(tmp_path / name[:3] / "images" / f"{name.format(number)}.png", shape.astype(np.uint8))
                put(tmp_path / name[:3] / "masks" / f"{name.format(number)}.png", drawn(number))
            reports.append(check(tmp_path / name[:3]))
        assert "sequence" in [problem.code for problem in reports[0].problems]
        assert said(reports[1], "sequence") == said(reports[0], "sequence")

    def test_patients_of_dicom_stay_together(self, tmp_path: Path) -> None:
        for seed in range(6):
            of = {"PatientID": f"ID{seed // 2}", "PatientName": "x"}
            slice_of(tmp_path / "images" / f"{seed}.dcm", seed, **of)
            put(tmp_path / "masks" / f"{seed}.png", drawn(seed))
        report = check(tmp_path)
        assert list(report.case_groups().values()) == [f"patient {1 + seed // 2}" for seed in range(6)]
        assert said(report, "patients") == "The files tell of 3 patients; the cases of one stay together."

    def test_files_that_were_anonymised_alike_are_grouped_by_their_names(self, tmp_path: Path) -> None:
        for seed in range(6):
            slice_of(tmp_path / "images" / f"p{seed // 2}_{seed}.dcm", seed, PatientID="0", PatientName="")
            put(tmp_path / "masks" / f"p{seed // 2}_{seed}.png", drawn(seed))
        report = check(tmp_path)
        assert said(report, "one-group").endswith(
            "All files name one patient: if they were anonymised alike, say whose each image is in a CSV "
            "table with a column group, or by its name with --group-regex."
        )
        report = check(tmp_path, group_regex="^([^_]+)")
        assert report.ok
        assert list(report.case_groups().values()) == ["p0", "p0", "p1", "p1", "p2", "p2"]
        assert [problem.code for problem in report.problems] == ["same-patient"]
        assert report.subjects == {}  # by which a test set would be taken for one of the same patient


def test_words_that_are_names_are_told_in_no_message_of_anonymous_data(tmp_path: Path) -> None:
    """A word alone is replaced in paths only, so no message may have it elsewhere."""
    for seed, name in enumerate(("zqanna", "zqbert", "zqcleo")):
        put(tmp_path / "imagesTr" / f"{name}_0000.png", pixels(2 * seed))
        put(tmp_path / "labelsTr" / f"{name}.png", drawn(seed))
        if seed:
            put(tmp_path / "imagesTr" / f"{name}_0001.png", pixels(2 * seed + 1))
    put(tmp_path / "labelsTr" / "zqdora.png", drawn())
    report = check(tmp_path, pseudonyms=Pseudonyms(all_names=True))
    assert {"missing-channel", "unpaired-mask"} <= {problem.code for problem in report.problems}
    assert "zq" not in told(report)


def test_anonymous_data_with_short_names_have_sound_messages(tmp_path: Path) -> None:
    root = pairs(tmp_path / "data", [str(number) for number in range(6)])
    put(root / "masks" / "2.png", drawn()[:32])
    plain, hidden = (check(root, pseudonyms=Pseudonyms(all_names=every)) for every in (False, True))
    code = {case.image[0].stem: case.name for case in hidden.discovery.cases}
    message = said(plain, "size-mismatch").replace("/2.png", f"/{code['2']}.png")
    assert said(hidden, "size-mismatch") == message
    assert hidden.discovery.layout == plain.discovery.layout.replace("0.png", f"{code['0']}.png")
