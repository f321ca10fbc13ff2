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
from napari_landmark.shape.configurations import LengthUnit, MissingLandmarks

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
hosts_app = typer.Typer(help="Other machines that jobs can run on, through ssh.", rich_markup_mode=None)
app.add_typer(hosts_app, name="hosts")
jobs_app = typer.Typer(help="Jobs on other machines.", rich_markup_mode=None)
app.add_typer(jobs_app, name="jobs")
model_app = typer.Typer(help="Pass trained models on, as one file with checksums.", rich_markup_mode=None)
app.add_typer(model_app, name="model")

Device = Annotated[str, typer.Option(help="auto, cpu, cuda (cuda:1 is the second card) or mps")]
Executor = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Use the workers of a dask scheduler: dask://HOST:PORT"),
]
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

Heatmaps = Annotated[Path | None, typer.Option(metavar="DIR", help="Where to write heatmaps")]

FullHash = Annotated[
    bool,
    typer.Option(
        "--full-hash", help="Record a hash over every byte of the images, not only over both ends of each"
    ),
]

On = Annotated[
    str | None, typer.Option("--on", metavar="NAME", help="Host that computes; `hosts add` makes one")
]
Yes = Annotated[bool, typer.Option("--yes", help="Send more than 2 GB to the host, too")]

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

WorkingSize = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Longest side of the grid without a model; less is faster: volumes take seconds with 128",
    ),
]
AnyRotation = Annotated[
    bool | None,
    typer.Option(
        "--any-rotation/--upright", help="Search all rotations, or none; without it those of volumes only"
    ),
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
    update: Annotated[
        bool,
        typer.Option("--update", help="Go on from the last model with the corrections made since: minutes"),
    ] = False,
    full_hash: FullHash = False,
    mirrored: Annotated[
        Mirroring | None,
        typer.Option(help="Names in mirror images: the same, those of the other side, or never mirrored"),
    ] = None,
    on: On = None,
    yes: Yes = False,
    reduced: Annotated[
        bool,
        typer.Option("--reduced", help="Send the host images at working resolution: less, but less exact"),
    ] = False,
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
        update=update,
        full_hash=full_hash,
        mirrored=mirrored,
        on=on,
        confirmed=yes,
        reduced=reduced,
    )


@app.command()
def detect(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="A trained study")],
    images: Annotated[Path, typer.Option(metavar="DIR", help="Folder of images")],
    out: Annotated[Path, typer.Option(metavar="CSV", help="Where to write the landmarks")],
    heatmaps: Heatmaps = None,
    device: Device = "auto",
    spacing: Spacing = None,
    full_hash: FullHash = False,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Work on one of N parts, I from 0 to N-1, as a job array does; `merge` joins them",
        ),
    ] = None,
    executor: Executor = None,
    on: On = None,
    yes: Yes = False,
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
        shard=shard,
        executor=executor,
        on=on,
        confirmed=yes,
    )


@app.command()
def merge(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="The study of the shards")],
    images: Annotated[Path, typer.Option(metavar="DIR", help="Their folder of images")],
    out: Annotated[Path, typer.Option(metavar="CSV", help="Their --out")],
    shards: Annotated[int, typer.Option(metavar="N", help="Number of shards")],
    heatmaps: Heatmaps = None,
    spacing: Spacing = None,
    full_hash: FullHash = False,
) -> None:
    """Join the shards of a detection into one table."""
    from napari_landmark.cli.merge import run_merge

    run_merge(
        study,
        images=images,
        out=out,
        shards=shards,
        heatmaps=heatmaps,
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
    template: Annotated[
        Path | None,
        typer.Option(
            metavar="IMAGE",
            help="Image of the truth: errors are also told across its contours and along them",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> None:
    """Compare predicted landmarks with the truth."""
    from napari_landmark.cli.evaluate import run_evaluate

    run_evaluate(predicted, truth, spacing=spacing, radii=radii, template=template, as_json=as_json)


@app.command()
def suggest(
    images: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the cohort's images")] = None,
    study: Annotated[
        Path | None,
        typer.Option(metavar="STUDY", help="A trained study: which of its images to correct next, instead"),
    ] = None,
    count: Annotated[int, typer.Option(metavar="N", help="How many images to name")] = 5,
    minutes: Annotated[
        float | None, typer.Option(metavar="M", help="Of learning (volumes: at most), 10 if not given")
    ] = None,
    device: Device = "auto",
    seed: Seed = 0,
    spacing: Spacing = None,
) -> None:
    """Suggest images to annotate: those whose points are matched most consistently in the others.

    Of volumes those that represent the shapes of the cohort.
    """
    from napari_landmark.cli.suggest import run_suggest, run_suggest_corrections

    if study is not None:
        run_suggest_corrections(study=study, images=images, count=count, spacing=spacing)
        return
    run_suggest(images=images, count=count, minutes=minutes, device=device, seed=seed, spacing=spacing)


@app.command(cls=ConvertCommand)
def convert(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN...", help="Landmark files, several become one; or a study", show_default=False
        ),
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
    """Turn landmark files, or the landmarks of a study, into another format, by the ends of their names."""
    from napari_landmark.cli.convert import run_convert

    run_convert(sources, out, images=images, spacing=spacing, names=names)


@app.command()
def measure(
    source: Annotated[
        Path, typer.Argument(metavar="STUDY|FILE", help="A study, or a file of landmarks", show_default=False)
    ],
    schema: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Schema file, study.json or name of a preset; that of the study if not given"
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="CSV", help="Where to write the values")] = None,
    wide: Annotated[bool, typer.Option("--wide", help="One row for each image")] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write a report, .pdf or .html")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the images, for their spacing and the report"),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Image of the report; repeat it for several, all if not given"),
    ] = None,
    spacing: Spacing = None,
    reader_error: Annotated[
        float | None,
        typer.Option(metavar="MM", help="Mean error of landmarks that persons placed", min=0.0),
    ] = None,
) -> None:
    """Measure angles, distances and ratios between landmarks, each with its error."""
    from napari_landmark.cli.measure import run_measure

    run_measure(
        source,
        schema=schema,
        out=out,
        wide=wide,
        report=report,
        images=images,
        image=image or [],
        spacing=spacing,
        reader_error=reader_error,
    )


@app.command()
def agree(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="A B...", help="Landmark files, one a reader; or a study with several", show_default=False
        ),
    ],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for tables and figures")] = None,
    names: Annotated[
        str | None, typer.Option(metavar="A,B", help="Names of the readers, those of the files if not given")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the images, for millimetres")
    ] = None,
    spacing: Spacing = None,
    model: Annotated[
        bool, typer.Option("--model", help="The predictions of the study as one more reader")
    ] = False,
    schema: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Measurements to compare, as of measure; those of the study if not given"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> None:
    """Agreement of readers: bias, Dahlberg's error, 95% ellipses, ICC, Bland-Altman plots."""
    from napari_landmark.cli.agree import run_agree

    run_agree(
        sources,
        out,
        names=names,
        images=images,
        spacing=spacing,
        model=model,
        schema=schema,
        as_json=as_json,
    )


@app.command()
def shape(
    source: Annotated[Path, typer.Argument(metavar="STUDY|FILE", help="A study, or a landmark file")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for tables and figures")],
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the images, for millimetres")
    ] = None,
    spacing: Spacing = None,
    unit: Annotated[
        LengthUnit | None, typer.Option(help="Force a unit; shapes of images of unknown spacing need px")
    ] = None,
    missing: Annotated[
        MissingLandmarks, typer.Option(help="Images with missing landmarks: leave out, or estimate these")
    ] = MissingLandmarks.LEAVE_OUT,
    without: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Leave a landmark aside; repeat it for several")
    ] = None,
    manual: Annotated[
        bool, typer.Option("--manual", help="Only landmarks that a person placed, no predictions")
    ] = False,
    reflect: Annotated[
        bool, typer.Option("--reflect", help="Let mirror images be reflected, as left and right wings")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> None:
    """Procrustes coordinates, sizes, principal components, and odd or exchanged landmarks."""
    from napari_landmark.cli.shape import run_shape

    run_shape(
        source,
        out,
        images=images,
        spacing=spacing,
        unit=unit,
        missing=missing,
        without=without or [],
        manual_only=manual,
        reflections=reflect,
        as_json=as_json,
    )


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
    working_size: WorkingSize = None,
    any_rotation: AnyRotation = None,
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
        working_size=working_size,
        any_rotation=any_rotation,
        region_weights=region_weight or [],
    )


@register_app.command("cohort")
def register_cohort(
    images: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the images")],
    fixed: Annotated[
        str, typer.Option(metavar="NAME", help="Image among them to which the others are registered")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results, one folder an image")],
    model: Annotated[Path | None, typer.Option(metavar="MODEL", help="What register train wrote")] = None,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of label maps of some of them, called like the images"),
    ] = None,
    landmarks: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Landmarks of some of them, which guide and are warped")
    ] = None,
    spacing: Spacing = None,
    device: Device = "auto",
    steps: Steps = None,
    region_weight: RegionWeights = None,
) -> None:
    """Register all images of a folder to one of them."""
    from napari_landmark.cli.register_cohort import run_register_cohort

    run_register_cohort(
        images=images,
        fixed=fixed,
        out=out,
        model=model,
        labels=labels,
        landmarks=landmarks,
        spacing=spacing,
        device=device,
        steps=steps,
        region_weights=region_weight or [],
    )


@register_app.command("labels")
def register_labels(
    images: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the images")],
    labels: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder of label maps of a few of them, called like the images"),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the label maps of the others")],
    model: Annotated[Path | None, typer.Option(metavar="MODEL", help="What register train wrote")] = None,
    spacing: Spacing = None,
    device: Device = "auto",
    steps: Steps = None,
    working_size: WorkingSize = None,
    any_rotation: AnyRotation = None,
    check: Annotated[
        bool,
        typer.Option(help="Label the labelled images by one another, too, to tell the expected overlap"),
    ] = True,
) -> None:
    """Carry the label maps of a few images of a folder to all others."""
    from napari_landmark.cli.register_labels import run_register_labels

    run_register_labels(
        images=images,
        labels=labels,
        out=out,
        model=model,
        spacing=spacing,
        device=device,
        steps=steps,
        working_size=working_size,
        any_rotation=any_rotation,
        check=check,
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
    executor: Executor = None,
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
        executor=executor,
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
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Resample the images of a folder, for what comes later")
    ] = None,
    spacing: Spacing = None,
    executor: Executor = None,
) -> None:
    """List, remove or make caches of resampled images."""
    from napari_landmark.cli.cache import run_cache, run_make_cache

    if images is not None and not (remove_unused or clear):
        run_make_cache(images, spacing=spacing, executor=executor)
        return
    if images is not None or spacing is not None or executor is not None:
        raise InputError("a cache is made with --images DIR alone, and listed or removed without it")
    run_cache(remove_unused=remove_unused, clear=clear)


@model_app.command("export")
def model_export(
    source: Annotated[
        Path, typer.Argument(metavar="STUDY|MODEL", help="A study, or the folder of one model")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The archive; ends in .model.zip")],
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Model of the study, such as 002; the default if not given"),
    ] = None,
) -> None:
    """Write a model into one file, without names of images."""
    from napari_landmark.cli.model import run_export

    run_export(source, out=out, name=name)


@model_app.command("import")
def model_import(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="What model export wrote")],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            help="Study that gets the landmark model, created if missing; a new folder for a registration model",
        ),
    ],
) -> None:
    """Check an archive and take its model over."""
    from napari_landmark.cli.model import run_import

    run_import(archive, out=out)


@hosts_app.command("list")
def hosts_list() -> None:
    """List the known hosts."""
    from napari_landmark.cli.hosts import run_list_hosts

    run_list_hosts()


@hosts_app.command("add")
def hosts_add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the host for you")],
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="HOST, USER@HOST, or an entry of OpenSSH's configuration")
    ],
    command: Annotated[
        str, typer.Option(metavar="CMD", help="What starts napari-landmark there")
    ] = "napari-landmark",
    folder: Annotated[
        str, typer.Option(metavar="DIR", help="Folder for jobs there")
    ] = "~/.napari-landmark-jobs",
    start: Annotated[
        str,
        typer.Option(
            metavar="CMD", help="Hands the worker to a queue, such as: sbatch --parsable --wrap {line}"
        ),
    ] = "",
    stop: Annotated[
        str, typer.Option(metavar="CMD", help="Takes a job out of the queue, such as: scancel {id}")
    ] = "",
    path: Annotated[
        list[str] | None,
        typer.Option(metavar="HERE=THERE", help="Folder of images that is on both machines; repeat it"),
    ] = None,
    ssh_config: Annotated[str, typer.Option(metavar="FILE", help="Options of ssh, instead of your own")] = "",
) -> None:
    """Add a host, or replace the one of that name."""
    from napari_landmark.cli.hosts import run_add_host

    run_add_host(
        name,
        address,
        command=command,
        folder=folder,
        start=start,
        stop=stop,
        paths=path or [],
        ssh_config=ssh_config,
    )


@hosts_app.command("remove")
def hosts_remove(name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Forget a host."""
    from napari_landmark.cli.hosts import run_remove_host

    run_remove_host(name)


@hosts_app.command("test")
def hosts_test(name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Ask a host for its version, device, free memory and free disk."""
    from napari_landmark.cli.hosts import run_test_host

    run_test_host(name)


@jobs_app.command("list")
def jobs_list() -> None:
    """List the jobs that you started on other machines."""
    from napari_landmark.cli.jobs import run_list_jobs

    run_list_jobs()


@jobs_app.command("follow")
def jobs_follow(job: Annotated[str, typer.Argument(metavar="JOB")]) -> None:
    """Show how a job goes on, and take its results over in the end."""
    from napari_landmark.cli.jobs import run_follow

    run_follow(job)


@jobs_app.command("stop")
def jobs_stop(
    job: Annotated[str, typer.Argument(metavar="JOB")],
    kill: Annotated[bool, typer.Option("--kill", help="At once, without a result")] = False,
) -> None:
    """Ask a job for a usable result as soon as possible."""
    from napari_landmark.cli.jobs import run_stop_job

    run_stop_job(job, kill=kill)


@jobs_app.command("remove")
def jobs_remove(job: Annotated[str, typer.Argument(metavar="JOB")]) -> None:
    """Remove a job that does not run, with its results if they were not taken over."""
    from napari_landmark.cli.jobs import run_remove_job

    run_remove_job(job)


@app.command("host-service", hidden=True)
def host_service() -> None:
    """Answer one request on standard input; what ssh starts on a host."""
    from napari_landmark.backend.host_service import serve

    serve(sys.stdin.buffer, sys.stdout.buffer)


@app.command()
def work(
    folder: Annotated[Path, typer.Argument(metavar="JOBDIR", help="Folder of a job, with its job.json")],
) -> None:
    """Do the job that a folder describes; the other commands start this where they run elsewhere."""
    from napari_landmark.cli.work import run_work

    run_work(folder)


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
