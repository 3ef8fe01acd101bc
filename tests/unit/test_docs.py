"""The documentation tells the truth: links lead somewhere, commands parse, everything named exists."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import typer.core
import typer.main
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import delineate
from delineate.cli.app import app
from delineate.evaluation.scores import CaseScore
from delineate.evaluation.summary import LabelSummary, Statistics, Summary
from delineate.jobs.environment import Environment, StoredSource
from delineate.jobs.manifest import Predicted
from delineate.model_file import LabelScores, ModelCard, Scores, TrainingFacts
from delineate.plan import Plan
from delineate.training.history import HistoryRow

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")])
REFERENCE = ROOT / "docs" / "reference"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
GROUP = typer.main.get_command(app)
assert isinstance(GROUP, typer.core.TyperGroup)
COMMANDS = dict(GROUP.commands)


def identifier(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=identifier)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{link} leads nowhere"
        assert target.is_relative_to(ROOT), f"{link} leads out of the repository"
        if anchor:
            assert anchor in anchors(target), f"{link}: there is no such heading"


def command_lines(page: Path) -> Iterator[str]:
    """Every `delineate …` of the page's shell blocks, lines that go on joined."""
    for language, block in FENCE.findall(page.read_text(encoding="utf-8")):
        if language not in ("sh", "console"):
            continue
        for line in block.replace("\\\n", " ").splitlines():
            found = re.match(r"(?:\$ )?(?:\.venv/bin/)?(delineate .*)", line)
            if found and (language == "sh" or line.startswith("$ ")):
                yield found[1]


SHELL_LINES = [(page, line) for page in PAGES for line in command_lines(page)]


@pytest.mark.parametrize(
    ("page", "line"), SHELL_LINES, ids=[f"{identifier(page)}: {line}" for page, line in SHELL_LINES]
)
def test_command_lines_parse(page: Path, line: str) -> None:
    _, *words = shlex.split(line, comments=True)
    if words[0].startswith("-"):
        assert words in (["--version"], ["--help"])
        return
    assert words[0] in COMMANDS, f"{line}: there is no such command"
    if "--help" not in words:
        COMMANDS[words[0]].make_context(words[0], words[1:])


@pytest.mark.parametrize("page", PAGES, ids=identifier)
def test_options_named_in_the_text_exist(page: Path) -> None:
    known = {
        option
        for command in COMMANDS.values()
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    known |= {"--help", "--version", "--constraint", "--check"}
    known |= {"--minutes", "--only", "--replay"}  # of the fuzzer
    known |= {
        "--no-deps",
        "--data",
        "--cores",
        "--first",
        "--name",
        "--change",
        "--sets",
        "--steps",
        "--seeds",
        "--nnunet-memory-gb",
    }  # of pip and the benchmarks
    for code in re.findall(r"`([^`\n]+)`", prose(page)):
        found = re.match(r"delineate (\w[\w-]*)(.*)", code)
        if found:
            assert found[1] in COMMANDS, f"`{code}`: there is no such command"
            own = {option for parameter in COMMANDS[found[1]].params for option in parameter.opts}
            assert set(re.findall(r"(?<!\S)--[\w-]+", found[2])) <= own | {"--help"}, f"`{code}`"
        else:
            assert set(re.findall(r"(?<!\S)--[\w-]+", code)) <= known, f"`{code}`"


def sections(page: Path) -> dict[str, str]:
    """The text below each heading of the second level, by the heading without backticks."""
    _, *parts = re.split(r"^## (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {
        heading.replace("`", "").strip(): text for heading, text in zip(parts[::2], parts[1::2], strict=True)
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_described(name: str) -> None:
    text = sections(REFERENCE / "commands.md")[name]
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "option":
            assert f"| `{parameter.opts[0]}" in text, f"{name} {parameter.opts[0]}"


def rows(text: str) -> dict[str, list[str]]:
    """A table's rows by their first cell, which stands in backticks."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        if cells and re.fullmatch(r"`\w+`", cells[0]):
            found[cells[0].strip("`")] = cells[1:]
    return found


def plan_parts() -> list[tuple[str, type[BaseModel]]]:
    inside = {name: field.annotation for name, field in Plan.model_fields.items()}
    return [
        (name, kind)
        for name, kind in inside.items()
        if isinstance(kind, type) and issubclass(kind, BaseModel)
    ]


@pytest.mark.parametrize(("name", "part"), plan_parts(), ids=[name for name, _ in plan_parts()])
def test_every_field_of_a_plan_is_described_with_its_default(name: str, part: type[BaseModel]) -> None:
    table = rows(sections(REFERENCE / "plan.md")[name])
    assert set(table) == set(part.model_fields)
    for field, info in part.model_fields.items():
        stated = table[field][-1]
        if info.default is PydanticUndefined:
            assert stated == "–", f"{name}.{field} has no default"
        else:
            expected = list(info.default) if isinstance(info.default, tuple) else info.default
            assert yaml.safe_load(stated.strip("`")) == expected, f"{name}.{field}"


def test_every_section_of_a_plan_is_described() -> None:
    text = (REFERENCE / "plan.md").read_text(encoding="utf-8")
    for name in Plan.model_fields:
        assert f"`{name}`" in text


COLUMNS: list[tuple[str, set[str]]] = [
    ("cases.csv", {field.name for field in fields(CaseScore)}),
    ("metrics.csv", {field.name for field in fields(HistoryRow)}),
    ("environment.json", set(Environment.model_fields)),
    ("private/source.json", set(StoredSource.model_fields)),
    (
        "summary.json",
        {*Summary.model_fields, *LabelSummary.model_fields, *Statistics.model_fields},
    ),
    ("manifest.json", {field.name for field in fields(Predicted)}),
    (
        "model.safetensors",
        {
            *ModelCard.model_fields,
            *TrainingFacts.model_fields,
            *Scores.model_fields,
            *LabelScores.model_fields,
        },
    ),
]


@pytest.mark.parametrize(("file", "names"), COLUMNS, ids=[file for file, _ in COLUMNS])
def test_every_field_of_a_file_is_described(file: str, names: set[str]) -> None:
    text = sections(REFERENCE / "files.md")[file]
    assert {name for name in names if f"`{name}`" not in text} == set()


def test_every_public_name_is_described() -> None:
    text = (ROOT / "docs" / "how-to" / "python.md").read_text(encoding="utf-8")
    missing = [
        name for name in delineate.__all__ if not re.search(rf"`(delineate\.)?{re.escape(name)}\b", text)
    ]
    assert missing == []


def python_blocks() -> list[tuple[Path, str]]:
    return [
        (page, block)
        for page in PAGES
        for language, block in FENCE.findall(page.read_text(encoding="utf-8"))
        if language == "python"
    ]


@pytest.mark.parametrize(
    ("page", "block"),
    python_blocks(),
    ids=[f"{identifier(page)} {number}" for number, (page, _) in enumerate(python_blocks())],
)
def test_python_in_the_text_is_python_and_uses_what_exists(page: Path, block: str) -> None:
    for node in ast.walk(ast.parse(block)):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "delineate"
        ):
            assert node.attr in delineate.__all__


def source_texts() -> str:
    """All texts in the source, each on a line, with a blank where a value is put in."""
    texts = []
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            values = [part.value if isinstance(part, ast.Constant) else " " for part in parts]
            texts.append(" ".join("".join(value for value in values if isinstance(value, str)).split()))
    return "\n".join(text for text in texts if text)


def test_quoted_messages_are_said_somewhere() -> None:
    """Of each message in the first column three words in a row stand in the source."""
    said = source_texts()
    tables = re.findall(r"^\| (`[^|]+`) \|", prose(ROOT / "docs" / "how-to" / "messages.md"), re.MULTILINE)
    quotes = [quote for cell in tables for quote in re.findall(r"`([^`]+)`", cell)]
    assert len(quotes) > 40
    for quote in quotes:
        words = quote.replace("…", " ").split()
        runs = [" ".join(words[at : at + 3]) for at in range(max(1, len(words) - 2))]
        assert any(run in said for run in runs), quote
