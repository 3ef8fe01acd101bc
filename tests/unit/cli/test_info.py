"""What `delineate info` prints of a stranger's model reaches the terminal without what a terminal acts on."""

from __future__ import annotations

from pathlib import Path

from example_model import example
from typer.testing import CliRunner

from delineate.cli.app import app
from delineate.model_file import save_model

EVIL = "\x1b]0;owned\x07\x1b[2J"


def test_label_names_are_shown_as_escapes(tmp_path: Path) -> None:
    card, weights = example()
    labels = (f"{EVIL}lesion", *card.plan.data.labels[1:])
    assert card.scores is not None
    scored = card.scores.labels[0].model_copy(update={"name": labels[0]})
    changed = {
        "plan": card.plan.model_copy(update={"data": card.plan.data.model_copy(update={"labels": labels})}),
        "scores": card.scores.model_copy(update={"labels": (scored, *card.scores.labels[1:])}),
    }
    save_model(tmp_path / "model.safetensors", card.model_copy(update=changed), weights)
    done = CliRunner().invoke(app, ["info", str(tmp_path / "model.safetensors")])
    assert done.exit_code == 0, done.output
    assert "lesion" in done.output
    assert not any(sign in done.output for sign in "\x1b\x07")
