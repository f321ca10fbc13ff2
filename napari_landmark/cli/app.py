"""Names and options of the commands; each command calls one function of a module of `cli`."""

from __future__ import annotations

import logging
import math
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import Annotated, Protocol, runtime_checkable

import typer

from napari_landmark.cli.convert_help import ConvertCommand
from napari_landmark.cli.wording import word
from napari_landmark.data.errors import InputError
from napari_landmark.data.sides import Mirroring
from napari_landmark.learning.out_of_memory import is_out_of_memory
from napari_landmark.progress import Cancelled

_DEBUG = "NAPARI_LANDMARK_DEBUG"

app = typer.Typer(
    help="Landmarks on a whole cohort of medical images from one annotated image.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _length(value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise typer.BadParameter(f"{value:g}: give millimetres per pixel, a number above 0")
    return value


register_app = typer.Typer(
    help="Registration with emphasis on the regions that matter.", rich_markup_mode=None
)
app.add_typer(register_app, name="register")

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps")]
Spacing = Annotated[
    float | None,
    typer.Option(metavar="MM", help="Millimetres per pixel, instead of the files' own", callback=_length),
]
Seed = Annotated[
    int,
    typer.Option(
        help="Same seed, same processor: same result; graphics cards round in another order each time"
    ),
]

FullHash = Annotated[
    bool,
    typer.Option(
        "--full-hash", help="Record a hash over every byte of the images, not only over both ends of each"
    ),
]

RegionWeights = Annotated[
    list[str] | None,
    typer.Option(
        "--region-weight",
        metavar="LABEL=W",
        help="How much a label counts, 1 if not given; repeat it for several",
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(metavar="N", help="Optimisation steps on each pair; 0 keeps the model's result"),
]


@app.command()
def train(
    out: Annotated[Path, typer.Option(metavar="STUDY", help="Study folder to create, or to train again")],
    images: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the cohort's images")] = None,
    template: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="The annotated image, or folder of a DICOM series; repeat it for several"
        ),
    ] = None,
    landmarks: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Its landmarks: image,landmark,x,y[,z]")
    ] = None,
    spacing: Spacing = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            metavar="M", help="Time of the training; on a slow machine up to 4 times as long, to learn enough"
        ),
    ] = None,
    device: Device = "auto",
    seed: Seed = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training")] = False,
    full_hash: FullHash = False,
    mirrored: Annotated[
        Mirroring | None,
        typer.Option(help="Names in mirror images: the same, those of the other side, or never mirrored"),
    ] = None,
) -> None:
    """Learn a cohort from one annotated image."""
    from napari_landmark.cli.train import run_train

    run_train(
        out=out,
        images=images,
        templates=template or [],
        landmarks=landmarks,
        spacing=spacing,
        minutes=minutes,
        device=device,
        seed=seed,
        resume=resume,
        full_hash=full_hash,
        mirrored=mirrored,
    )


@app.command()
def detect(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="A trained study")],
    images: Annotated[Path, typer.Option(metavar="DIR", help="Folder of images")],
    out: Annotated[Path, typer.Option(metavar="CSV", help="Where to write the landmarks")],
    heatmaps: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to write heatmaps")] = None,
    device: Device = "auto",
    spacing: Spacing = None,
    full_hash: FullHash = False,
) -> None:
    """Find the landmarks in every image of a folder."""
    from napari_landmark.cli.detect import run_detect

    run_detect(
        study,
        images=images,
        out=out,
        heatmaps=heatmaps,
        device=device,
        spacing=spacing,
        full_hash=full_hash,
    )


@app.command()
def evaluate(
    predicted: Annotated[Path, typer.Argument(metavar="PREDICTED.csv")],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH.csv")],
    spacing: Spacing = None,
    radii: Annotated[
        str, typer.Option(help="Radii of the detection rate, in mm (pixels without spacing)")
    ] = "2,2.5,3,4",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> None:
    """Compare predicted landmarks with the truth."""
    from napari_landmark.cli.evaluate import run_evaluate

    run_evaluate(predicted, truth, spacing=spacing, radii=radii, as_json=as_json)


@app.command()
def suggest(
    images: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the cohort's images")],
    count: Annotated[int, typer.Option(metavar="N", help="How many images to name")] = 5,
    minutes: Annotated[float | None, typer.Option(metavar="M", help="Of learning, 10 if not given")] = None,
    device: Device = "auto",
    seed: Seed = 0,
    spacing: Spacing = None,
) -> None:
    """Suggest images to annotate: those whose points are matched most consistently in the others."""
    from napari_landmark.cli.suggest import run_suggest

    run_suggest(images=images, count=count, minutes=minutes, device=device, seed=seed, spacing=spacing)


@app.command(cls=ConvertCommand)
def convert(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="IN...", help="Landmark files; several become one", show_default=False),
    ],
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="The result: WRITABLE. With {image} in its name there is one file for each image",
        ),
    ],
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the images; needed for NEEDS_IMAGES, and to write WRITING_NEEDS_IMAGES",
        ),
    ] = None,
    spacing: Spacing = None,
    names: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Landmark file or study with the names, for formats without (NAMELESS)"
        ),
    ] = None,
) -> None:
    """Turn landmark files into another format, by the ends of their names."""
    from napari_landmark.cli.convert import run_convert

    run_convert(sources, out, images=images, spacing=spacing, names=names)


@register_app.command("train")
def register_train(
    images: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the cohort's images")],
    labels: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder of label maps, called like the images; a few are enough"),
    ],
    out: Annotated[Path, typer.Option(metavar="MODEL", help="Folder for the model")],
    spacing: Spacing = None,
    minutes: Annotated[
        float | None, typer.Option(metavar="M", help="Wall-clock budget of the training")
    ] = None,
    device: Device = "auto",
    seed: Seed = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training")] = False,
    region_weight: RegionWeights = None,
    full_hash: FullHash = False,
) -> None:
    """Learn to register any two images of a cohort from a few label maps."""
    from napari_landmark.cli.register_train import run_register_train

    run_register_train(
        images=images,
        labels=labels,
        out=out,
        spacing=spacing,
        minutes=minutes,
        device=device,
        seed=seed,
        resume=resume,
        region_weights=region_weight or [],
        full_hash=full_hash,
    )


@register_app.command("pair")
def register_pair(
    fixed: Annotated[Path, typer.Option(metavar="FILE", help="Image that stays as it is")],
    moving: Annotated[Path, typer.Option(metavar="FILE", help="Image that is registered to it")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results")],
    model: Annotated[Path | None, typer.Option(metavar="MODEL", help="What register train wrote")] = None,
    fixed_labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Label map of the fixed image")
    ] = None,
    moving_labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Label map of the moving image")
    ] = None,
    fixed_landmarks: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Landmarks of the fixed image, which guide the registration"),
    ] = None,
    moving_landmarks: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Landmarks of the moving image, to be warped")
    ] = None,
    spacing: Spacing = None,
    device: Device = "auto",
    steps: Steps = None,
    region_weight: RegionWeights = None,
) -> None:
    """Register one image to another, with a model or without."""
    from napari_landmark.cli.register_pair import run_register_pair

    run_register_pair(
        fixed=fixed,
        moving=moving,
        out=out,
        model=model,
        fixed_labels=fixed_labels,
        moving_labels=moving_labels,
        fixed_landmarks=fixed_landmarks,
        moving_landmarks=moving_landmarks,
        spacing=spacing,
        device=device,
        steps=steps,
        region_weights=region_weight or [],
    )


@register_app.command("evaluate")
def register_evaluate(
    model: Annotated[Path, typer.Option(metavar="MODEL", help="What register train wrote")],
    images: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the images")],
    pairs: Annotated[Path, typer.Option(metavar="CSV", help="Pairs of images: fixed,moving")],
    labels: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of their label maps, called like the images")
    ] = None,
    landmarks: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Their landmarks: image,landmark,x,y[,z]")
    ] = None,
    spacing: Spacing = None,
    device: Device = "auto",
    steps: Steps = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> None:
    """Register pairs with a model and compare them by label maps and landmarks."""
    from napari_landmark.cli.register_evaluate import run_register_evaluate

    run_register_evaluate(
        model=model,
        images=images,
        pairs=pairs,
        labels=labels,
        landmarks=landmarks,
        spacing=spacing,
        device=device,
        steps=steps,
        as_json=as_json,
    )


@app.command()
def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to put the study and the pictures")] = Path(
        "napari_landmark_demo"
    ),
    device: Device = "auto",
    minutes: Annotated[
        float | None,
        typer.Option(metavar="M", help="Time of the training, 3 if not given; longer on a slow machine"),
    ] = None,
    volumes: Annotated[
        bool, typer.Option("--volumes", help="CT of heads in any pose, not radiographs")
    ] = False,
) -> None:
    """Run the whole job on the sample data: train, detect, evaluate."""
    from napari_landmark.cli.demo import run_demo

    run_demo(out, device=device, minutes=minutes, volumes=volumes)


@app.command()
def cache(
    remove_unused: Annotated[
        bool,
        typer.Option(
            "--remove-unused", help="Remove those whose images are gone, and those not used for 30 days"
        ),
    ] = False,
    clear: Annotated[bool, typer.Option("--clear", help="Remove all that no program uses now")] = False,
) -> None:
    """List or remove the caches of resampled images."""
    from napari_landmark.cli.cache import run_cache

    run_cache(remove_unused=remove_unused, clear=clear)


@app.command()
def info() -> None:
    """Versions, device, cores and cache."""
    from napari_landmark.cli.info import run_info

    run_info()


def main(arguments: list[str] | None = None) -> int:
    """Entry point: failures become one line on standard error and exit status 2, unexpected ones 1.

    With NAPARI_LANDMARK_DEBUG=1 in the environment the traceback of an unexpected failure precedes the line.
    """
    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.WARNING)
    warnings.filterwarnings("ignore", module="torch")
    given = sys.argv[1:] if arguments is None else arguments
    try:
        code = app(args=given, standalone_mode=False) if given else _help()
    except InputError as error:
        code = _fail(word(error))
    except (typer.Abort, KeyboardInterrupt, Cancelled):
        typer.echo("stopped", err=True)
        code = 130
    except OSError as error:  # a full disk, a folder without permission
        _trace_if_asked()
        code = _fail(f"{error.filename or 'file system'}: {error.strerror or error}")
    except Exception as error:
        if isinstance(error, _UsageError):
            code = _fail(error.format_message())
        else:
            _fail(_unexpected(error))
            code = 1
    code = code if isinstance(code, int) else 0
    if arguments is None:
        sys.exit(code)
    return code


@runtime_checkable
class _UsageError(Protocol):
    """A mistake in the command line: an exception of click, which some versions of typer include."""

    def format_message(self) -> str:
        """The mistake in one line."""


def _unexpected(error: Exception) -> str:
    """One line on an error that no message foresees."""
    _trace_if_asked()
    kind = type(error).__name__
    if is_out_of_memory(error):
        where = "this machine" if isinstance(error, MemoryError) else "the graphics card"
        return f"the memory of {where} is used up: close other programs, or use --device cpu"
    return f"unexpected error: {kind}: {error}; {_DEBUG}=1 in the environment shows where"


def _trace_if_asked() -> None:
    if os.environ.get(_DEBUG, "0") not in ("", "0"):
        traceback.print_exc()


def _help() -> int:
    app(args=["--help"], standalone_mode=False)
    return 2


def _fail(message: str) -> int:
    typer.echo(f"napari-landmark: {' '.join(message.split())}", err=True)
    return 2
