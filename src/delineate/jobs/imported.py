"""What there is to say of a model that was trained by another program, or started from such weights."""

from __future__ import annotations

from delineate.model_file import Imported, ModelCard

UNKNOWN_IMAGES = (
    "The model was imported, and which images it learned from is not known. If it learned from any of these, "
    "or from others of the same patients, the score is better than on new ones."
)
UNKNOWN_START = (
    "The training started from weights of which it is not known which images they learned from. If they "
    "learned from any of these, or from others of the same patients, the score is better than on new ones."
)
NOT_KNOWN = "not known: it was imported"


def caution_of(card: ModelCard) -> str | None:
    """What is to stand beside a score of a model that may have learned from any images; None of others."""
    if not card.unknown_images:
        return None
    return UNKNOWN_IMAGES if card.imported is not None else UNKNOWN_START


def imported_in_words(imported: Imported) -> dict[str, str]:
    """Where a model comes from, by what is told of it."""
    version = f" {imported.version}" if imported.version else ""
    told = {
        "trained on": NOT_KNOWN,
        "trained for": NOT_KNOWN,
        "started from": f"a file of Keras{version} with the SHA-256 {imported.file_sha256}",
    }
    if imported.assumed:
        told["assumed"] = "; ".join(imported.assumed)
    return told
