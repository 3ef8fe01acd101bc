"""A U-Net that Keras trained as a model of ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from delineate.errors import UsageError
from delineate.files import as_path, free_path
from delineate.image import LabelSet
from delineate.jobs.reporter import Reporter
from delineate.jobs.software import software_versions
from delineate.model_file import IMPORTED, Imported, ModelCard, TrainingFacts, save_model, weights_sha256
from delineate.plan import USUAL_THRESHOLD, Plan
from delineate.planner.imported import Intake, plan_imported
from delineate.pretrained.keras import Hints, ImportedNet, read_keras
from delineate.pretrained.keras.mapping import with_channels_reversed

PixelRange = Literal["0..1", "0..255", "-1..1"]
_FROM_SHARES: dict[str, tuple[float, float]] = {"0..1": (1, 0), "0..255": (255, 0), "-1..1": (2, -1)}
MAXIMUM_NAME = 200


@dataclass(frozen=True)
class KerasWishes:
    """What a file of Keras does not say.

    Attributes:
        labels: Names of the labels, the background left out.
        size: `(height, width)` that images had in training.
        pixels: The range that 8-bit pixels were brought to before they went in.
        threshold: With one label: the least probability that is foreground.
        logits: Whether the net's outputs, without an activation, are logits.
        skips_first: Of a file without a graph: whether skipped channels come before enlarged ones.
        bgr: Whether three channels are blue, green and red.
    """

    labels: tuple[str, ...] | None = None
    size: tuple[int, int] | None = None
    pixels: PixelRange | None = None
    threshold: float = USUAL_THRESHOLD
    logits: bool = False
    skips_first: bool = False
    bgr: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise UsageError(f"The threshold {self.threshold:g} is out of range: give one between 0 and 1.")
        if self.pixels is not None and self.pixels not in get_args(PixelRange):
            ranges = ", ".join(get_args(PixelRange))
            raise UsageError(f"There is no range {self.pixels!r}. Give one of {ranges}.")


def import_keras(
    file: str | Path, out: str | Path, *, wishes: KerasWishes | None = None, reporter: Reporter | None = None
) -> ModelCard:
    """Bring a U-Net that Keras saved into a model file of ours; TensorFlow is not needed, nothing is run.

    Args:
        file: `.keras`, `.h5` or `.weights.h5`.
        out: The model file to be, ending in `.safetensors`.
        wishes: What the file does not say.
        reporter: Told what was assumed.

    Returns:
        What the model file says about itself.

    Raises:
        UsageError: There is no such file, it leaves open what an option decides, or `out` ends otherwise.
        ModelFileError: It is damaged, or no U-Net that ours can be.
        OutputError: There is something at `out`, or it cannot be written.
    """
    wishes, reporter, path = wishes or KerasWishes(), reporter or Reporter(), as_path(file)
    target = free_path(as_path(out), ".safetensors")
    net = read_keras(path, Hints(skip_first=wishes.skips_first))
    _refuse_pointless(path, net, wishes)
    plan, assumed = _planned(path, net, wishes)
    weights = with_channels_reversed(net.weights) if wishes.bgr else net.weights
    card = ModelCard(
        format_version=IMPORTED,
        weights_sha256=weights_sha256(weights),
        plan=plan,
        fingerprint=None,
        training=TrainingFacts(cases=None, steps=None, seconds=None, precision="fp32", seed=None),
        imported=Imported(program="keras", version=net.version, file_sha256=net.sha256, assumed=assumed),
        software=software_versions(),
    )
    save_model(target, card, weights)
    for each in assumed:
        reporter.say(f"Assumed: {each}.")
    return card


def _refuse_pointless(path: Path, net: ImportedNet, wishes: KerasWishes) -> None:
    """Options that say what the file says itself, or that mean nothing for this net."""
    found = net.found
    if wishes.skips_first and net.has_graph:
        raise UsageError(f"{path} has a graph, which says the order of channels: omit --skips-first.")
    if wishes.size is not None and found.size not in (None, wishes.size):
        raise UsageError(f"{path} says its own size, {_by(found.size)}: omit --size.")
    if wishes.bgr and found.channels != 3:
        raise UsageError(f"{path} takes images of {found.channels} channel(s): --bgr is for three.")
    if wishes.logits and found.output in ("sigmoid", "softmax"):
        raise UsageError(f"{path} ends in a {found.output}, which gives no logits: omit --logits.")


def _planned(path: Path, net: ImportedNet, wishes: KerasWishes) -> tuple[Plan, tuple[str, ...]]:
    """The plan, and what was assumed without the file's or the user's word."""
    found, assumed = net.found, _assumed_of_graph(net, wishes)
    if found.output == "linear" and not wishes.logits:
        raise UsageError(
            f"{path} ends without an activation. If its outputs are logits (a loss with from_logits=True), "
            "say so: --logits. Else it is no net that segments."
        )
    size = wishes.size or found.size
    if size is None:
        raise UsageError(f"{path} does not say the size of the training's images: give --size HEIGHTxWIDTH.")
    pixels: str | None = wishes.pixels or ("0..255" if found.takes == "0..255" else None)
    if pixels is None:
        if found.takes == "unclear":
            raise UsageError(
                f"{path} changes the image's values by its first layers, and does not say which range they "
                "start from. Give it: --range 0..1 if pixels were divided by 255, --range 0..255 if not."
            )
        pixels = "0..1"
        assumed.append("8-bit pixels go in divided by 255, as in the widely copied script (else --range)")
    if found.channels == 3 and not wishes.bgr:
        assumed.append("the three channels are red, green and blue (--bgr if OpenCV read the images)")
    gain, offset = _FROM_SHARES[pixels]
    order = slice(None, None, -1 if wishes.bgr else 1)
    intake = Intake(
        size,
        tuple(float(each) for each in (found.gain * gain)[order]),
        tuple(float(each) for each in (found.gain * offset + found.offset)[order]),
    )
    labels = _labels(path, net, wishes, assumed)
    if len(labels) > 1 and wishes.threshold != USUAL_THRESHOLD:
        raise UsageError(f"{path} has {len(labels)} labels, of which the likeliest wins: omit --threshold.")
    return plan_imported(net.settings, intake, labels, wishes.threshold), tuple(assumed)


def _assumed_of_graph(net: ImportedNet, wishes: KerasWishes) -> list[str]:
    if net.has_graph:
        return []
    outputs = len(net.found.head.bias)
    activation = "a sigmoid" if outputs == 1 else f"a softmax of {outputs}"
    assumed = [f"the layers are joined as in the widely copied script, with ReLU, and end in {activation}"]
    if not wishes.skips_first:
        assumed.append("enlarged channels come before skipped ones (else give --skips-first)")
    if any(each.norm is not None for block in net.found.down for each in block):
        assumed.append("normalizations come before the ReLU and have Keras's usual epsilon, 0.001")
    return assumed


def _labels(path: Path, net: ImportedNet, wishes: KerasWishes, assumed: list[str]) -> tuple[str, ...]:
    outputs = len(net.found.head.bias)
    count = max(1, outputs - 1)
    if outputs > 1:
        assumed.append("the first of the outputs is the background's")
    if wishes.labels is None:
        names = ("foreground",) if count == 1 else tuple(f"label {at}" for at in range(1, count + 1))
        assumed.append(
            f"the label{'s are' if count > 1 else ' is'} called {_few(names)} (else give --labels)"
        )
        return names
    if len(wishes.labels) != count:
        raise UsageError(
            f"{path} finds {count} label(s), and {len(wishes.labels)} are named by --labels. Leave the "
            "background out."
        )
    try:
        LabelSet.of(*wishes.labels)
    except ValueError as error:
        raise UsageError(f"--labels: {error}.") from error
    if any(len(name) > MAXIMUM_NAME or not name.isprintable() for name in wishes.labels):
        raise UsageError("--labels: names are of letters that can be printed, 200 at most.")
    return wishes.labels


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) < 5 else f"{names[0]}, {names[1]}, … {names[-1]}"


def _by(size: tuple[int, int] | None) -> str:
    return "any" if size is None else f"{size[0]}x{size[1]}"
