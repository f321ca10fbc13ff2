"""Registration by this package and by other programs, on the same pairs in one run.

    python benchmarks/registration.py phantoms
    python benchmarks/registration.py chest --data DIR --minutes 15 --record
    python benchmarks/registration.py chest --data DIR --ablation

Sets: `phantoms` (synthetic hands of sample_data), and under --data DIR `chest_lungs/images` and `masks`,
`cephalograms/images` and `landmarks.csv` (ISBI 2015), `mouse_ct/images` and `landmarks.csv`, `brains/images`,
`labels` and `landmarks.csv`. The pairs and the labelled images follow from a fixed seed and are printed. SimpleITK and
elastix are compared with, for volumes ANTs, greedy and dipy, too. Transforms found by them are kept under --cache DIR
and not computed again; --retime K computes the first K of them anew to time them on an idle machine.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import tempfile
import time
from pathlib import Path

import numpy as np
from registration_baselines import (
    BASELINES,
    VERSION,
    Baseline,
    limit_threads,
    many_initializations,
    volume_baselines,
)
from registration_measures import PairMeasures, as_json, measure, summary
from registration_own import OwnMethods, Register
from registration_pairs import PAIR_SETS, PairSet

from napari_landmark.registration.transform.grids import world_geometry
from napari_landmark.registration.transform.transform import Transform

RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> None:
    arguments = parse_arguments()
    if arguments.threads:
        limit_threads(arguments.threads)
    data = PAIR_SETS[arguments.set](arguments.data, arguments.pairs)
    print(data.describe(), flush=True)
    rows: dict[str, list[PairMeasures]] = {}
    failures: dict[str, list[str]] = {}
    if not arguments.ablation:
        for name, baseline in baselines_for(data).items():
            if wanted(name, arguments.methods):
                rows[name], failures[name] = run_baseline(name, baseline, data, arguments)
    with tempfile.TemporaryDirectory() as scratch:
        own = OwnMethods(data, arguments, Path(scratch))
        for name, register in (own.ablations() if arguments.ablation else own.methods()).items():
            if wanted(name, arguments.methods):
                rows[name] = run_own(name, register, data)
    text = table(data, rows)
    print("\n" + text)
    for name, reasons in failures.items():
        for reason in reasons:
            print(f"{name}: {reason}")
    if arguments.json:
        arguments.json.write_text(json.dumps(as_object(data, rows, failures), indent=1) + "\n")
    if arguments.record:
        heading = f"Registration, {data.name}" + (", ablations" if arguments.ablation else "")
        heading += f", {arguments.steps} steps" if arguments.steps else ""
        body = f"`{command(arguments)}`\n\n{note(data, own.notes)}\n\n{text}"
        RESULTS.write_text(with_section(RESULTS.read_text(), heading, body))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", choices=PAIR_SETS)
    parser.add_argument("--data", type=Path, default=Path(), help="folder of the data sets")
    parser.add_argument("--pairs", type=int, default=30, help="how many pairs, 30 if there are as many")
    parser.add_argument(
        "--baseline-pairs", type=int, metavar="N", help="only the first N of them by SimpleITK and elastix"
    )
    parser.add_argument("--methods", help="only those whose names match this regular expression")
    parser.add_argument("--labels", type=int, default=5, help="number of labelled training images")
    parser.add_argument("--minutes", type=float, help="of each training; the package's default without it")
    parser.add_argument("--steps", type=int, help="of each training, instead of minutes")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0, help="of the trainings")
    parser.add_argument("--threads", type=int, help="of SimpleITK and elastix; all cores without it")
    parser.add_argument("--cache", type=Path, help="keep the transforms of SimpleITK and elastix here")
    parser.add_argument("--models", type=Path, help="keep trained models here, and use those that are there")
    parser.add_argument(
        "--retime", type=int, default=0, metavar="K", help="compute the first K transforms anew"
    )
    parser.add_argument(
        "--ablation", action="store_true", help="fewer labels, and terms of the loss left out"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--record", action="store_true", help=f"write the table to {RESULTS.name}")
    return parser.parse_args()


def wanted(name: str, words: str | None) -> bool:
    return words is None or re.search(words, name, re.IGNORECASE) is not None


def baselines_for(data: PairSet) -> dict[str, Baseline]:
    """Methods to compare with, as far as they are installed: ``pip install itk-elastix antspyx picsl-greedy dipy``."""
    found = dict(BASELINES)
    if data.image(data.pairs[0][0]).geometry.ndim == 3:
        found |= many_initializations() if data.any_rotation else volume_baselines()
    if importlib.util.find_spec("itk") is None:
        print("elastix is left out: pip install itk-elastix")
        return {name: baseline for name, baseline in found.items() if "elastix" not in name}
    return found


def run_baseline(
    name: str, baseline: Baseline, data: PairSet, arguments: argparse.Namespace
) -> tuple[list[PairMeasures], list[str]]:
    """Register all pairs by SimpleITK or elastix, or read their transforms from the cache."""
    cache = arguments.cache and name != "identity" and arguments.cache / data.name / f"{slug(name)}-{VERSION}"
    measures, failures = [], []
    for number, pair in enumerate(data.pairs[: arguments.baseline_pairs]):
        fixed, moving = (data.image(image) for image in pair)
        kept = cache and cache / f"{slug(pair[0])}__{slug(pair[1])}.npz"
        fresh = number < arguments.retime or not (kept and kept.exists())
        if fresh:
            started = time.perf_counter()
            try:
                field = baseline(fixed, moving)
            except RuntimeError as error:
                failures.append(f"{pair[1]} on {pair[0]}: {str(error).strip().splitlines()[-1]}")
                continue
            seconds = time.perf_counter() - started
            if kept:
                kept.parent.mkdir(parents=True, exist_ok=True)
                np.savez(kept, field=field, seconds=seconds)
        else:
            with np.load(kept) as stored:
                field, seconds = stored["field"], float(stored["seconds"])
        transform = Transform(fixed.geometry, moving.geometry, world_geometry(fixed.geometry), field)
        measures.append(measure(data, pair, transform, seconds, fresh=fresh))
        print_pair(name, measures[-1], number, data)
    return measures, failures


def run_own(name: str, register: Register, data: PairSet) -> list[PairMeasures]:
    """Register all pairs by this package."""
    measures = []
    for number, pair in enumerate(data.pairs):
        found = register(*pair)
        measures.append(measure(data, pair, found.transform, found.seconds))
        print_pair(name, measures[-1], number, data)
    return measures


def print_pair(name: str, row: PairMeasures, number: int, data: PairSet) -> None:
    parts = [f"{name} {number + 1}/{len(data.pairs)} {row.moving} on {row.fixed}:"]
    if row.mean_dice is not None:
        parts.append(f"Dice {row.mean_dice:.3f}")
    if row.errors:
        parts.append(f"TRE {np.mean(row.errors):.2f}")
    parts.append(f"folding {row.folding:.2f}% {row.seconds:.1f} s" + ("" if row.fresh else " (kept)"))
    print("  ".join(parts), flush=True)


def table(data: PairSet, rows: dict[str, list[PairMeasures]]) -> str:
    """A Markdown table of the means."""
    unit = "mm" if data.image(data.pairs[0][0]).geometry.has_spacing else "px"
    results = {name: summary(measures, data.groups) for name, measures in rows.items() if measures}
    columns: list[tuple[str, str, str]] = [
        ("Dice", "dice", "{:.3f}"),
        *((name, f"dice {name}", "{:.3f}") for name in data.groups),
        ("worst pair", "dice_worst", "{:.3f}"),
        (f"TRE {unit}", "tre", "{:.2f}"),
        ("median", "tre_median", "{:.2f}"),
        ("lost %", "lost_percent", "{:.1f}"),
        ("folding %", "folding_percent", "{:.3f}"),
        ("s/pair", "seconds_per_pair", "{:.2f}"),
    ]
    columns = [column for column in columns if any(r[column[1]] is not None for r in results.values())]
    lines = [
        "| | " + " | ".join(title for title, _, _ in columns) + " | pairs |",
        "|---|" + "---|" * (len(columns) + 1),
    ]
    for name, result in results.items():
        cells = ["" if result[key] is None else form.format(result[key]) for _, key, form in columns]
        if not result["seconds_of_this_run"]:
            cells[-1] = f"({cells[-1]})"
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {result['n_pairs']} |")
    return "\n".join(lines)


def note(data: PairSet, trainings: list[str]) -> str:
    """Notes below the table."""
    parts = [f"{len(data.pairs)} pairs."]
    if data.landmarks:
        parts.append(
            "TRE (target registration error): landmarks of the moving image mapped to the fixed one; lost: those that "
            "no point of the fixed image is mapped to, measured in the moving image instead."
        )
    return "\n".join((*parts, *trainings, "Seconds in brackets were measured earlier, on busy cores."))


def as_object(
    data: PairSet, rows: dict[str, list[PairMeasures]], failures: dict[str, list[str]]
) -> dict[str, object]:
    return {
        "set": data.name,
        "pairs": data.pairs,
        "labelled": data.labelled,
        "methods": {
            name: {
                **summary(measures, data.groups),
                "failures": failures.get(name, []),
                "by_pair": as_json(measures),
            }
            for name, measures in rows.items()
            if measures
        },
    }


def command(arguments: argparse.Namespace) -> str:
    """Command that repeats the run, without the paths of folders."""
    parts = [f"python benchmarks/registration.py {arguments.set}"]
    for option in ("labels", "minutes", "steps", "pairs", "baseline_pairs", "seed", "methods"):
        value = getattr(arguments, option)
        if value is not None:
            name = option.replace("_", "-")
            parts.append(f"--{name} {value}")
    return " ".join(parts + ["--ablation"] * arguments.ablation)


def with_section(text: str, heading: str, body: str) -> str:
    """A Markdown text with the section of this heading replaced, or added at the end."""
    section = f"## {heading}\n\n{body.strip()}\n"
    pattern = re.compile(rf"^## {re.escape(heading)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    if pattern.search(text):
        return pattern.sub(lambda found: section + ("\n" if found.end() < len(text) else ""), text)
    return text.rstrip("\n") + "\n\n" + section


def slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)


if __name__ == "__main__":
    main()
