"""A data set under check without the names that may tell who a patient is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from delineate import formats
from delineate.dataset.case_files import Discovery, Problem, shown
from delineate.dataset.check_report import without_root
from delineate.dataset.identifying import fold, looks_identifying, names_any
from delineate.dataset.inspection import Inspected
from delineate.dataset.naming import counted, listed
from delineate.dataset.pseudonyms import Pseudonyms, words_of
from delineate.dataset.structure_names import alike
from delineate.dataset.table import SUFFIXES


@dataclass(frozen=True)
class Concealed:
    """What was inspected, with codes for names that tell too much.

    Attributes:
        inspected: With their new names.
        discovery: Likewise.
        called: For each case what the data call it.
        words: What the headers of all files say of their subjects, folded.
        pseudonyms: Which codes stand for which names.
    """

    inspected: tuple[Inspected, ...]
    discovery: Discovery
    called: Mapping[str, str]
    words: frozenset[str]
    pseudonyms: Pseudonyms

    def groups(self, found: Mapping[str, str | None]) -> Mapping[str, str | None]:
        """Groups found in the names that the data give the cases, by codes where they tell too much."""
        hidden = {group for name, group in found.items() if self.called[name] != name}
        return {
            name: group and self.pseudonyms.group(group, self.words, of_hidden=group in hidden)
            for name, group in found.items()
        }

    def told(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        """The problems as they may be shown."""
        root, hide = self.discovery.root, self.pseudonyms.redacted
        called = hide(root.absolute().name)
        open_root = hide(str(root.absolute())) == str(root.absolute())
        return tuple(
            replace(
                problem,
                message=hide(problem.message if open_root else without_root(problem.message, root, called)),
            )
            for problem in problems
        )


def concealed(
    inspected: Sequence[Inspected], discovery: Discovery, pseudonyms: Pseudonyms, data: Path
) -> Concealed:
    """Call the cases of a data set by codes where their names tell too much, and have the rest replaced.

    Args:
        inspected: All cases.
        discovery: Where they come from.
        pseudonyms: Makes the codes, and is told what to replace.
        data: The folder or table as it was given.
    """
    root = discovery.root
    words = {item.case.name: _words(item) for item in inspected}
    everything = frozenset(fold(word) for each in words.values() for word in each)
    pseudonyms.settle(_known(inspected, words))
    renamed, called = [], {}
    for item in inspected:
        case = item.case
        name = pseudonyms.name(case.name, _named_for_case(item), words[case.name], root)
        called[name] = case.name
        group = case.group and pseudonyms.group(case.group, everything, of_hidden=name != case.name)
        renamed.append(replace(item, case=replace(case, name=name, group=group)))
    others = {path for problem in discovery.problems for path in problem.paths}
    others -= {path for item in inspected for path in _files(item)}
    tables = (
        (data,) if data.is_file() else (path for path in root.glob("*") if path.suffix.lower() in SUFFIXES)
    )
    pseudonyms.hide_others(sorted((*others, *tables)), everything, root)
    pseudonyms.hide_others((root.absolute(),), everything)
    cases = tuple(item.case for item in renamed)
    layout = pseudonyms.redacted(discovery.layout)
    found = replace(discovery, cases=cases, layout=layout)
    return Concealed(tuple(renamed), found, called, everything, pseudonyms)


def telling_structures(hidden: Concealed) -> Problem | None:
    """An error where names of structures, which become names of labels, tell who a patient is; else None."""
    showing: dict[str, list[Inspected]] = defaultdict(list)
    for item in hidden.inspected:
        for structure in item.case.structures:
            showing[structure.name].append(item)
    several = len({_subject(item) for item in hidden.inspected}) > 1
    telling = {
        name
        for name, items in showing.items()
        if looks_identifying(name) or (several and _of_one_subject(name, items))
    }
    if not telling:
        return None
    root = hidden.discovery.root
    structures = [each for item in hidden.inspected for each in item.case.structures]
    files = tuple(path for each in structures if each.name in telling for path in each.files)
    hidden.pseudonyms.hide_others(files, hidden.words, root)
    message = (
        "Names of structures, which become names of labels, look as if they said who a patient is or when an "
        f"image was made, those of {counted(len(files), 'mask')}: "
        f"{listed(shown(path, root) for path in files)}. Rename these files or folders: beside the image's "
        "name they should hold the structure's alone."
    )
    return Problem("error", "telling-structure", message, files)


def _subject(item: Inspected) -> str | None:
    return item.image.subject if item.image else None


def _of_one_subject(name: str, showing: Sequence[Inspected]) -> bool:
    """Whether only one patient has a structure, and the headers hold a word of its name.

    What several have is an organ, which headers name, too: CT of the liver.
    """
    subjects = {_subject(item) for item in showing}
    words = frozenset(fold(word) for item in showing for word in _words(item))
    return len(subjects) == 1 and subjects != {None} and names_any(name, words)


def _files(item: Inspected) -> tuple[Path, ...]:
    """All files of a case."""
    return (*item.case.image, *item.case.mask_files)


def _named_for_case(item: Inspected) -> tuple[Path, ...]:
    """Those that are not called by a structure alone, as all cases' files of it are: `p1/masks/liver.nii`."""
    alone = {
        path
        for structure in item.case.structures
        for path in structure.files
        if alike(formats.stem_of(path)) == alike(structure.name)
    }
    return tuple(path for path in _files(item) if path not in alone)


def _words(item: Inspected) -> frozenset[str]:
    """What the headers of a case's files say of its subject, also where their pixels cannot be read."""
    own = (item.image.identifying if item.image else frozenset()) | item.mask_identifying
    return own.union(*(words_of(error.path) for error in item.errors))


def _known(inspected: Sequence[Inspected], words: Mapping[str, frozenset[str]]) -> Iterable[str]:
    """What only those know who have the data."""
    for item in inspected:
        yield item.case.name
        yield item.image.stored_digest if item.image else ""
        yield from sorted(words[item.case.name])
