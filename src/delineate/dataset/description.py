"""`dataset.json`: names for mask values and channels, in nnU-Net's newer and older form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from delineate.dataset.case_files import Problem
from delineate.dataset.naming import listed

FILE_NAME = "dataset.json"


@dataclass(frozen=True)
class Description:
    """What `dataset.json` says.

    Attributes:
        label_names: Value to name, without the background; None where it names none.
        channel_names: In the order of their numbers; None where it names none.
        problems: What could not be used.
    """

    label_names: Mapping[int, str] | None = None
    channel_names: tuple[str, ...] | None = None
    problems: tuple[Problem, ...] = ()


def read_description(folder: Path) -> Description:
    """Read the `dataset.json` of a folder, if it has one."""
    path = folder / FILE_NAME
    if not path.is_file():
        return Description()
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(content, dict):
            raise TypeError("its content is not an object in braces")
        labels, problems = _labels(content.get("labels"), path)
        channels = _channels(content.get("channel_names", content.get("modality")))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        message = f"{FILE_NAME} cannot be used: {error}. Mend it or take it out of the data."
        return Description(problems=(Problem("error", "dataset-json", message, (path,)),))
    return Description(labels, channels, problems)


def _labels(stated: object, path: Path) -> tuple[Mapping[int, str] | None, tuple[Problem, ...]]:
    """Names by value from {"name": value} or, as older nnU-Net has it, {"value": "name"}."""
    if stated is None:
        return None, ()
    if not isinstance(stated, dict):
        raise TypeError('"labels" must be an object like {"background": 0, "tumour": 1}')
    names: dict[int, str] = {}
    unions = []
    for key, value in stated.items():
        if isinstance(value, list):
            unions.append(key)
            continue
        number, name = (key, value) if isinstance(value, str) and key.strip().isdigit() else (value, key)
        if isinstance(number, bool) or not str(number).strip().isdigit():
            raise ValueError(f"the label {key!r} has the value {value!r}, which is no whole number from 0")
        if int(number) in names:
            raise ValueError(f"the value {number} is named twice, {names[int(number)]!r} and {name!r}")
        names[int(number)] = str(name)
    names.pop(0, None)
    if not unions:
        return names or None, ()
    message = (
        f"{FILE_NAME} defines labels as unions of values ({listed(unions)}); unions are not learnt, and "
        "these names are "
        "not used. The values themselves are the labels."
    )
    return names or None, (Problem("warning", "label-unions", message, (path,)),)


def _channels(stated: object) -> tuple[str, ...] | None:
    if stated is None:
        return None
    if not isinstance(stated, dict) or not all(key.isdigit() for key in stated):
        raise TypeError('"channel_names" must be an object like {"0": "T1", "1": "T2"}')
    return tuple(str(stated[key]) for key in sorted(stated, key=int)) or None
