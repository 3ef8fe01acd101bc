"""The one-file model: weights and everything needed to use and judge them, in one `.safetensors` file.

The file's header carries one entry, `delineate`, a JSON text that `ModelCard` describes. Nothing in it can
run: a file from a stranger is checked against its own plan before any memory is taken for its weights.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from delineate.choices import FloatPrecision
from delineate.errors import ModelFileError, UsageError
from delineate.files import write_with
from delineate.fingerprint import Fingerprint
from delineate.plan import MAXIMUM_MEMBERS, Plan, members_error

if TYPE_CHECKING:
    from torch import Tensor

FORMAT_VERSION = 3  # the newest that is read
OF_ONE_NET = 1  # what a file of one net has, so that programs which know no other can read it
OF_SEVERAL = 2
IMPORTED = 3  # of one net from another program, of whose training nothing is known
ENTRY = "delineate"
MODEL_NAME = "model.safetensors"
BUNDLED_MODEL = f"models/{MODEL_NAME}"  # in an exported MONAI bundle
MAXIMUM_HEADER_BYTES = 16 << 20
Metric = Literal["dice", "iou", "precision", "recall", "accuracy", "hd95_px", "hd95_mm", "nsd"]
_KNOWN_OF_OURS = ("cases", "steps", "seconds", "seed")  # of every net that was trained here


def _shown(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it has characters that cannot be shown")
    return text


Shown = Annotated[str, AfterValidator(_shown), Field(max_length=10_000)]
"""Of a stranger's file, and to be printed: without what a terminal would act on."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Estimate(_Part):
    """A mean over cases, with its 95 % interval where there are groups enough for one."""

    mean: float
    low: float | None = None
    high: float | None = None


class LabelScores(_Part):
    """One label's means over the scored cases; None where no case had a value."""

    name: str
    metrics: dict[Metric, Estimate | None]
    cases_scored: int
    cases_empty: int
    cases_missed: int
    cases_false_alarm: int


class Scores(_Part):
    """What the evaluation after training found.

    Attributes:
        part: Which cases were scored: "validation", "test", or "cross-validation": all of them, each by a
            net that did not learn from it.
        used_to_choose: A sentence: whether they were used to choose anything.
        cases: Number of scored cases.
        groups: Number of groups (patients) among them.
        dice: Mean Dice over cases within a label, then over the labels.
        pixel_accuracy: Mean share of pixels with the right label.
        labels: One entry a label.
    """

    part: Shown
    used_to_choose: Shown
    cases: int
    groups: int
    dice: Estimate | None
    pixel_accuracy: Estimate | None
    labels: tuple[LabelScores, ...]


class TrainingFacts(_Part):
    """How the weights came about; None is what is not known of an imported net.

    Attributes:
        cases: Number of training cases.
        steps: Optimizer steps, of each net.
        seconds: Training time, of all nets.
        precision: Of the net's computations.
        seed: Of the training.
        case_digests: Short hashes of the training images' pixels, so that an evaluation on any of them is
            noticed; nothing else can be read from them. With those of the models it started from.
        started_from: `weights_sha256` of the model whose weights it started from; None for random ones.
        encoder_sha256: Of the file of weights that the net's encoder started from; None without one.
        unknown_images: Whether the weights it started from may have learned from images that are not known.
        structures: Where masks were joined of several files, the names of the structures, each painted over
            those before.
    """

    cases: int | None
    steps: int | None
    seconds: float | None
    precision: FloatPrecision
    seed: int | None
    case_digests: tuple[Annotated[str, Field(pattern="^[0-9a-f]{16}$")], ...] = ()
    started_from: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    encoder_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    unknown_images: bool = False
    structures: tuple[Shown, ...] = ()


class Imported(_Part):
    """Where a net comes from that was not trained here.

    Attributes:
        program: That saved it.
        version: Of the program, if the file says it.
        file_sha256: Of the file.
        assumed: What the file does not say, and was assumed.
    """

    program: Literal["keras"]
    version: Annotated[str, Field(max_length=100)] | None
    file_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    assumed: tuple[Annotated[str, Field(max_length=500)], ...] = ()


class ModelCard(_Part):
    """All a model file says about itself; no path, no name of a case.

    Attributes:
        format_version: Of the file: 1 of a single net, 2 of several, 3 of an imported one.
        members: Nets whose probabilities are averaged.
        weights_sha256: Of the weights' names, shapes and bytes.
        plan: What is needed to preprocess, build the net and decide.
        fingerprint: What the training data were like; None of an imported net.
        training: How the weights came about.
        imported: Where the net comes from; None where it was trained here.
        scores: What the evaluation found; None before it.
        software: Versions of what it was made with.
    """

    format_version: Annotated[int, Field(ge=1, le=FORMAT_VERSION)] = OF_ONE_NET
    members: Annotated[int, Field(ge=1, le=MAXIMUM_MEMBERS)] = 1
    weights_sha256: Shown
    plan: Plan
    fingerprint: Fingerprint | None
    training: TrainingFacts
    imported: Imported | None = None
    scores: Scores | None = None
    software: dict[Shown, Shown]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        of_ours = OF_ONE_NET if self.members == 1 else OF_SEVERAL
        expected = of_ours if self.imported is None else IMPORTED
        if self.format_version != expected or (self.imported is not None and self.members != 1):
            raise ValueError(
                f"format_version is {self.format_version}, members {self.members}: a file of one net has the "
                f"format {OF_ONE_NET}, of several {OF_SEVERAL}, of an imported one {IMPORTED}"
            )
        missing = [name for name in _KNOWN_OF_OURS if getattr(self.training, name) is None]
        if self.fingerprint is None:
            missing.append("fingerprint")
        if missing and self.imported is None:
            raise ValueError(f"only an imported net may leave open its {', '.join(missing)}")
        if fault := members_error(self.plan, self.members):
            raise ValueError(fault)
        return self

    @model_serializer(mode="wrap")
    def _as_older_programs_know_it(self, serialized: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """All fields but those that an older format does not know and a file of it does not need."""
        values: dict[str, Any] = serialized(self)
        if self.members == 1:
            values.pop("members", None)
        if self.imported is None:
            values.pop("imported", None)
        if not self.training.unknown_images:
            values.get("training", {}).pop("unknown_images", None)
        if not self.training.structures:
            values.get("training", {}).pop("structures", None)
        return values

    @property
    def unknown_images(self) -> bool:
        """Whether the model may have learned from images that are not known, also before it was ours."""
        training = self.training
        from_elsewhere = self.imported is not None or training.encoder_sha256 is not None
        return from_elsewhere or training.unknown_images


def together(members: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The weights of several nets as a file holds them; of one as they are."""
    if len(members) == 1:
        return members[0]
    return {f"member.{at}.{name}": each for at, net in enumerate(members) for name, each in net.items()}


def apart(weights: dict[str, Tensor], members: int) -> tuple[dict[str, Tensor], ...]:
    """The weights of each net of a file that holds so many."""
    if members == 1:
        return (weights,)
    prefixes = [f"member.{at}." for at in range(members)]
    return tuple(
        {name.removeprefix(prefix): each for name, each in weights.items() if name.startswith(prefix)}
        for prefix in prefixes
    )


def model_path(path: Path) -> Path:
    """The model file that `path`, a file, a run folder or a MONAI bundle, stands for.

    Raises:
        UsageError: There is nothing at `path`.
        ModelFileError: It is a folder without a model.
    """
    if path.is_dir():
        inside = path / MODEL_NAME
        if (path / BUNDLED_MODEL).is_file():
            return path / BUNDLED_MODEL
        if not inside.is_file():
            unfinished = (path / "plan.yaml").is_file()
            run = path.parent.parent if path.parent.name == "folds" else path
            hint = (
                f" Its training is not finished: delineate train --resume {shlex.quote(str(run))}"
                if unfinished
                else ""
            )
            raise ModelFileError(f"{path} holds no {MODEL_NAME}.{hint}")
        return inside
    if not path.exists():
        raise UsageError(f"There is no model at {path}. Give a model file or a run folder.")
    return path


def weights_sha256(weights: dict[str, Tensor]) -> str:
    """A hash of names, types, shapes and values, independent of the order."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def save_model(path: Path, card: ModelCard, weights: dict[str, Tensor]) -> None:
    """Write a model file, whole or not at all; the same card and weights give the same bytes.

    Raises:
        OutputError: The place cannot be written.
    """
    from safetensors.torch import save  # noqa: PLC0415  heavy

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    content = save(tensors, metadata={ENTRY: card.model_dump_json()})
    write_with(path, lambda stream: stream.write(content))


def read_card(path: Path) -> ModelCard:
    """Read what a model file says about itself, without its weights.

    Raises:
        ModelFileError: It cannot be read, is no model file of ours, or its parts contradict each other.
    """
    return _read_header(path)[0]


def load_model(path: Path) -> tuple[ModelCard, dict[str, Tensor]]:
    """Read a model file.

    Returns:
        The card, and the weights as the plan's network names them, of several nets as `together` does.

    Raises:
        ModelFileError: It cannot be read, is no model file of ours, is damaged, or holds weights that are
            not numbers.
    """
    card, entries = _read_header(path)
    _check_shapes(path, card, entries)
    import torch  # noqa: PLC0415  heavy
    from safetensors import SafetensorError  # noqa: PLC0415  heavy
    from safetensors.torch import load_file  # noqa: PLC0415  heavy

    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path} is damaged: {error}. Copy it again, or train anew.") from error
    if not all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()):
        raise ModelFileError(f"{path} holds weights that are not numbers; it cannot predict anything.")
    if weights_sha256(weights) != card.weights_sha256:
        raise ModelFileError(
            f"{path} is damaged: its weights are not those it was saved with. Copy it again."
        )
    return card, weights


def _read_header(path: Path) -> tuple[ModelCard, dict[str, Any]]:
    """The card and the tensors' entries (name → dtype, shape, data_offsets), checked."""
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            start = stream.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= length <= min(MAXIMUM_HEADER_BYTES, size - 8):
                raise ModelFileError(f"{path} is not a Delineate model file, or is cut off.")
            text = stream.read(length)
    except OSError as error:
        raise ModelFileError(f"The model {path} cannot be read: {error.strerror or error}.") from error
    try:
        header = json.loads(text)
        description = header.pop("__metadata__")[ENTRY]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelFileError(f"{path} is not a Delineate model file.") from error
    card = card_of(path, description)
    _check_length(path, header, size - 8 - length)
    return card, header


def card_of(path: Path, description: str) -> ModelCard:
    """What the text that a file carries says of its model.

    Raises:
        ModelFileError: It is no description of a model, or its parts contradict each other.
    """
    try:
        described = json.loads(description)
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelFileError(f"{path} is not a Delineate model file.") from error
    version = described.get("format_version") if isinstance(described, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ModelFileError(
            f"{path} was made by a newer Delineate: its format is {version}, this one's {FORMAT_VERSION}. "
            "Install a newer one."
        )
    try:
        return ModelCard.model_validate_json(description)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))[:100] or "all of it"
        raise ModelFileError(
            f"{path} has a description that cannot be used: {place}: {first['msg']}."
        ) from error


def _check_length(path: Path, entries: dict[str, Any], found: int) -> None:
    """Compare the bytes behind the header with those that the tensors' entries speak of."""
    try:
        ends = [entry["data_offsets"][1] for entry in entries.values()]
        expected = max(ends, default=0)
        missing = expected - found
    except (KeyError, IndexError, TypeError) as error:
        raise ModelFileError(f"{path} is damaged: its table of weights cannot be read.") from error
    if missing > 0:
        raise ModelFileError(
            f"{path} is damaged: it is cut off, its last {missing} bytes are missing. "
            "Copy it again, or train anew."
        )
    if missing < 0:
        raise ModelFileError(
            f"{path} is damaged: it has {-missing} bytes too many. Copy it again, or train anew."
        )


def _check_shapes(path: Path, card: ModelCard, entries: dict[str, Any]) -> None:
    """Compare the tensors' entries with the networks of the plan, built without memory for their weights."""
    import torch  # noqa: PLC0415  heavy

    from delineate.networks.unet import UNet  # noqa: PLC0415  imports torch

    types = {torch.float32: "F32", torch.int64: "I64"}
    with torch.device("meta"):  # shapes alone; the card has seen to it that there are not too many
        network = UNet(card.plan.network).state_dict()
    whole = together([network] * card.members)
    expected = {name: (types[tensor.dtype], tuple(tensor.shape)) for name, tensor in whole.items()}
    try:
        found = {name: (entry["dtype"], tuple(entry["shape"])) for name, entry in entries.items()}
    except (KeyError, TypeError) as error:
        raise ModelFileError(f"{path} is damaged: its table of weights cannot be read.") from error
    if found != expected:
        raise ModelFileError(f"{path} is damaged: its weights do not fit the network it describes.")
