"""`delineate train`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from delineate.choices import SPLIT_SEED, FourthAxis, Precision, Preset
from delineate.errors import UsageError

if TYPE_CHECKING:
    from delineate.formats import Reading

Log = Literal["tensorboard"]
LabelsOption = Annotated[
    str | None,
    typer.Option(help="What the mask values mean, for example '1=liver,2=tumour'.", metavar="VALUE=NAME,…"),
]
GroupOption = Annotated[
    str | None,
    typer.Option(
        help="Finds in a case's name what must not be split, such as the patient: '^([^_]+)'.",
        metavar="REGEX",
    ),
]
MegapixelsOption = Annotated[
    float | None,
    typer.Option(
        help="Millions of pixels that an image may have at most.",
        show_default="100 of a picture, 600 of a volume",
        metavar="MILLIONS",
    ),
]
_FOURTH_AXIS = "What a volume's fourth axis is: 'channels'; else it is refused."
FourthAxisOption = Annotated[FourthAxis | None, typer.Option(help=_FOURTH_AXIS, show_default="refuse")]
FourthAxisForModelOption = Annotated[
    FourthAxis | None, typer.Option(help=_FOURTH_AXIS, show_default="as in the training")
]
ResampleOption = Annotated[
    bool,
    typer.Option(
        "--resample-masks",
        help="Bring masks on another grid onto their image's, each pixel from the nearest.",
    ),
]
AnonymousOption = Annotated[
    bool,
    typer.Option(
        "--anonymous", help="Write codes in place of all names; private/names.csv says which is which."
    ),
]
ToleranceOption = Annotated[
    float | None,
    typer.Option(
        help="Of the surface Dice, in millimetres.",
        show_default="2 mm of volumes, 2 px of pictures",
        metavar="MM",
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        help="To compute with; fewer leave the machine free for other work.",
        show_default="as many as processors",
        metavar="N",
    ),
]


def reading(
    max_megapixels: float | None, fourth_axis: FourthAxis | None, *, resample_masks: bool = False
) -> Reading:
    """How files are to be read, by the options."""
    from delineate.formats import Reading  # noqa: PLC0415  quick --help

    if max_megapixels is not None and not max_megapixels > 0:
        raise UsageError(f"--max-megapixels {max_megapixels:g} lets nothing through: give a number above 0.")
    return Reading(max_megapixels, fourth_axis or "refuse", resample_masks)


RESUMING = frozenset({"data", "test", "resume", "threads"})  # what may be given beside --resume


def _refuse_beside_resume(context: typer.Context) -> None:
    """Refuse all options of a new run where one goes on.

    Raises:
        UsageError: Some are given; they are named.
    """
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name is not None
        and parameter.name not in RESUMING
        and (source := context.get_parameter_source(parameter.name)) is not None
        and source.name == "COMMANDLINE"  # by name, for newer versions of typer bring a click of their own
    ]
    if given:
        raise UsageError(
            f"--resume continues a run with its original settings: omit {', '.join(given)}. Give only the "
            "run's folder, plus DATA and --test if the data have moved, and --threads."
        )


def train(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Argument(help="Folder of images and masks, or a CSV table.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="New folder for the run.", show_default="runs/NAME")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="Time to train: 90s, 10m, 1h30m.", show_default="10m", metavar="TIME")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="How often each image is seen, instead of a budget.")
    ] = None,
    preset: Annotated[
        Preset | None,
        typer.Option(
            help="'auto' fits the data, 'classic' is the old Keras script's net.", show_default="auto"
        ),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(
            help="Another data set to be scored; all of DATA is then trained on.",
            metavar="DATA",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Random seed for weights, case order and augmentation.", show_default="0"),
    ] = None,
    plan: Annotated[Path | None, typer.Option(help="A plan.yaml to train by.", metavar="plan.yaml")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with a run that was stopped.", metavar="RUN")
    ] = None,
    splits: Annotated[
        Path | None, typer.Option(help="A splits.json: which case is in which part.", metavar="splits.json")
    ] = None,
    split_seed: Annotated[
        int | None,
        typer.Option(help="Random seed for drawing the held-out part.", show_default=str(SPLIT_SEED)),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            help="Cross-validation: so many nets, each scored on cases new to it, then one of all cases.",
            metavar="N",
        ),
    ] = None,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Make the nets of the folds the model, instead of one more.")
    ] = False,
    labels: LabelsOption = None,
    group_regex: GroupOption = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Number format to compute in.", show_default="what is fast here")
    ] = None,
    dims: Annotated[
        int | None,
        typer.Option(
            help="2 sees volumes slice by slice, 3 as volumes.", show_default="what suits them", min=2, max=3
        ),
    ] = None,
    left_right: Annotated[
        str | None,
        typer.Option(
            help="Labels that change places in the mirror: 'left lung=right lung'.", metavar="NAME=NAME,…"
        ),
    ] = None,
    fourth_axis: FourthAxisOption = None,
    resample_masks: ResampleOption = False,
    max_megapixels: MegapixelsOption = None,
    anonymous: AnonymousOption = False,
    tolerance: ToleranceOption = None,
    threads: ThreadsOption = None,
    log: Annotated[Log | None, typer.Option(help="Keep this log as well.")] = None,
    start_from: Annotated[
        Path | None,
        typer.Option("--from", help="A model or run whose net and weights to start from.", metavar="MODEL"),
    ] = None,
    encoder: Annotated[
        Path | None,
        typer.Option(help="Pretrained ResNet weights to begin from: .pth or .safetensors.", metavar="FILE"),
    ] = None,
) -> None:
    """Train a model on DATA and score it on a held-out part.

    Examples:

      delineate train data --budget 10m

      delineate train data --test other-hospital --group-regex '^([^_]+)'

      delineate train data --folds 5

      delineate train data --from runs/other

      delineate train --resume runs/data

      delineate train moved/data --resume runs/data
    """
    if resume is None and data is None:
        raise UsageError(
            "Give the data to train on (delineate train DATA) or a run to go on with (--resume RUN)."
        )
    if resume is not None:
        _refuse_beside_resume(context)
    from delineate.cli.console import ConsoleReporter, results, show_summary  # noqa: PLC0415  quick --help
    from delineate.jobs import training  # noqa: PLC0415  likewise

    with ConsoleReporter() as reporter:
        if resume is not None:
            run = training.resume(resume, data=data, test=test, threads=threads, reporter=reporter)
        else:
            assert data is not None  # noqa: S101  checked above
            run = training.train(
                data,
                out=out,
                budget=budget,
                epochs=epochs,
                preset=preset,
                test=test,
                seed=seed,
                plan=plan,
                splits=splits,
                split_seed=SPLIT_SEED if split_seed is None else split_seed,
                labels=labels,
                group_regex=group_regex,
                precision=precision,
                dims=cast(Literal[2, 3] | None, dims),
                left_right=left_right,
                reading=reading(max_megapixels, fourth_axis, resample_masks=resample_masks),
                anonymous=anonymous,
                tolerance_mm=tolerance,
                folds=folds,
                ensemble=ensemble,
                start_from=start_from,
                encoder=encoder,
                threads=threads,
                log=log,
                reporter=reporter,
            )
    console = results()
    if run.folds:
        console.print(
            f"\nCross-validation in {run.folds} folds, all cases together:",
            markup=False,
        )
    show_summary(console, run.evaluation.summary)
    if run.test is not None:
        console.print("\nThe final model on the test part:", markup=False)
        show_summary(console, run.test.summary)
        console.print(f"Report: {run.test.report}", markup=False, soft_wrap=True)
    console.print(f"Report: {run.evaluation.report}", markup=False, soft_wrap=True)
    console.print(f"Model:  {run.model_path}", markup=False, soft_wrap=True)
    console.print(
        f"Masks for new images: delineate predict {shlex.quote(str(run.folder))} IMAGES --out MASKS",
        markup=False,
        soft_wrap=True,
    )
