"""Draw the pictures of the page on reports: ``python docs/make_report_pictures.py``.

The films are schematic drawings of lateral cephalograms with made-up proportions, nobody's; their landmarks are those
of the preset ``cephalometric``, with errors drawn from the expected ones. The report is the program's own.
"""

# ruff: noqa: RUF005  "+" moves a point

from __future__ import annotations

import argparse
from datetime import date
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from scipy.interpolate import splev, splprep
from scipy.ndimage import gaussian_filter

from napari_landmark.data.geometry import Geometry, SpacingSource
from napari_landmark.data.landmarks import Landmark, LandmarkSet, Status
from napari_landmark.data.study.image_facts import ImageFacts
from napari_landmark.measurement.measured_input import MeasuredInput
from napari_landmark.measurement.presets.preset import preset
from napari_landmark.measurement.report import make_report
from napari_landmark.measurement.report_pdf import draw_pages

DOCS = Path(__file__).parent
_SHAPE = (860, 760)  # pixels
_SPACING = 0.25  # mm
_ERROR = 1.2  # mm, mean radial
_FILMS = 24
# Landmarks in the order of the preset, x and y in pixels of the mean face.
_FACE = (
    (300, 260), (528, 236), (500, 338), (262, 352), (520, 486), (512, 612), (518, 676), (488, 716), (508, 702),
    (312, 606), (536, 556), (547, 560), (585, 528), (576, 590), (570, 470), (556, 682), (356, 458), (540, 456),
    (276, 402),
)  # fmt: skip


def draw_film(points: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A schematic lateral film (860, 760) around landmarks (19, 2) in x, y."""
    (
        sella, nasion, orbitale, porion, a, b, pogonion, menton, gnathion, gonion, lower, upper, upper_lip, lower_lip,
        subnasale, chin, pns, ans, articulare,
    ) = points  # fmt: skip
    figure = Figure(figsize=(_SHAPE[1] / 100, _SHAPE[0] / 100), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), facecolor="black")
    axes.set_xlim(0, _SHAPE[1])
    axes.set_ylim(_SHAPE[0], 0)

    def fill(way: list, grey: float, *, closed: bool = True) -> None:
        axes.fill(*_smooth(way, closed), color=(grey,) * 3, linewidth=0)

    def line(way: list, grey: float, width: float, *, closed: bool = False) -> None:
        axes.plot(*_smooth(way, closed), color=(grey,) * 3, linewidth=width, solid_capstyle="round")

    vault = [
        nasion + (6, -14),
        nasion + (-30, -120),
        (370, 42),
        (200, 60),
        (90, 170),
        (80, 300),
        (150, 400),
        porion + (-30, 20),
    ]
    skin = [
        (40, 860), (70, 560), (46, 360), (60, 150), (200, 26), (390, 14), nasion + (8, -130), nasion + (24, -30),
        nasion + (22, 14), (nasion + subnasale) / 2 + (52, 30), subnasale + (40, -34), subnasale + (4, -6), upper_lip,
        (upper_lip + lower_lip) / 2 + (-14, 0), lower_lip, (lower_lip + chin) / 2 + (-20, 0), chin, menton + (24, 40),
        (400, 770), (390, 860),
    ]  # fmt: skip
    fill(skin, 0.20)
    fill([*vault, sella + (-60, 40), sella + (0, 14), sella + (60, -10)], 0.34)
    line(vault, 0.80, 7)
    line(
        [vault[-1], porion + (20, 30), articulare + (12, -16), sella + (-36, 30), sella + (-16, -16)], 0.75, 5
    )
    line(
        [sella + (-16, -16), sella + (-15, 10), sella + (0, 17), sella + (15, 10), sella + (16, -14)], 0.92, 3
    )
    line([sella + (16, -14), (sella + nasion) / 2 + (0, -16), nasion + (-16, -16), nasion], 0.75, 4)
    line(
        [nasion + (-34, 10), orbitale + (-50, -50), orbitale + (-34, -10), orbitale, orbitale + (16, -16)],
        0.78,
        3,
    )
    line([nasion, nasion + (22, 40), nasion + (34, 76)], 0.70, 3)
    fill(
        [pns, (pns + ans) / 2 + (0, -4), ans, a, upper + (-14, -60), upper + (-70, -40), pns + (40, 40)], 0.52
    )
    line([pns, (pns + ans) / 2 + (0, 3), ans, ans + (-12, 10), a, upper + (-10, -46)], 0.85, 2.5)
    ramus = [articulare + (4, -30), articulare, gonion + (-12, -60), gonion, (gonion + menton) / 2 + (-16, 12), menton,
             gnathion, pogonion, b, lower + (-24, 34), lower + (-130, 40), gonion + (90, -130),
             articulare + (84, -20)]  # fmt: skip
    fill(ramus, 0.50)
    line([articulare + (24, -36), *ramus[:10]], 0.88, 3)
    for tip, root in ((upper, upper + (-34, -82)), (lower, lower + (-34, 80))):
        across = np.array([(tip - root)[1], -(tip - root)[0]]) / np.linalg.norm(tip - root) * 9
        fill([tip, (tip + root) / 2 + across, root, (tip + root) / 2 - across], 0.95)
    for number in range(5):
        middle = (upper + lower) / 2 + (-52 - 30 * number, -2)
        for sign in (-1, 1):
            crown = [
                middle + (-13, 2 * sign),
                middle + (13, 2 * sign),
                middle + (10, 40 * sign),
                middle + (-10, 40 * sign),
            ]
            fill(crown, 0.80)
    for number in range(5):
        middle = articulare + (-60 - 6 * number, 60 + 70 * number)
        fill([middle + (-34, -24), middle + (30, -26), middle + (34, 22), middle + (-30, 26)], 0.55)
    axes.add_patch(_ring(porion + (-2, 12)))
    canvas.draw()
    grey = np.asarray(canvas.buffer_rgba())[..., 0].astype(np.float64)
    noise = np.random.default_rng(0).normal(0, 3, grey.shape)
    return np.clip(gaussian_filter(grey, 2.2) + noise, 0, 255).astype(np.uint8)


def _smooth(way: list, closed: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates x and y of a spline through points."""
    points = np.array([np.asarray(point, dtype=float) for point in way])
    points = np.concatenate([points, points[:1]]) if closed else points
    spline, _ = splprep(points.T, s=0, per=closed, k=min(3, len(points) - 1))
    x, y = splev(np.linspace(0, 1, 300), spline)
    return x, y


def _ring(middle: NDArray[np.float64]) -> object:
    from matplotlib.patches import Circle

    return Circle(tuple(middle), 11, fill=False, edgecolor=(0.9,) * 3, linewidth=3)


def cohort(folder: Path) -> MeasuredInput:
    """Films of several faces in a folder, and their landmarks as a model would predict them."""
    schema, rng = preset("cephalometric"), np.random.default_rng(5)
    landmarks, geometries, files, facts = {}, {}, {}, {}
    sigma = _ERROR / _SPACING / np.sqrt(np.pi / 2)
    for number in range(_FILMS):
        name = f"film_{number + 1:02}.png"
        face = np.array(_FACE, dtype=float)
        growth = np.zeros_like(face)
        growth[[5, 6, 7, 8, 10, 13, 15]] += rng.normal(0, (9, 6))  # the chin is in front or behind
        growth[9] += rng.normal(0, (5, 8))
        face += growth + rng.normal(0, 2.5, face.shape)
        found = face + rng.normal(0, sigma, face.shape)
        marks = [
            Landmark(one, (float(y), float(x)), Status.PREDICTED, expected_error=_ERROR / _SPACING)
            for one, (x, y) in zip(schema.landmarks.names, found, strict=True)
        ]
        if number == 3:
            marks = [mark for mark in marks if mark.name != "Orbitale"]
        landmarks[name] = LandmarkSet(schema.landmarks, marks)
        geometries[name] = Geometry(_SHAPE, (_SPACING,) * 2, spacing_source=SpacingSource.USER)
        files[name] = folder / name
        if number == 3:
            Image.fromarray(draw_film(face)).save(files[name])
            facts[name] = ImageFacts(
                None, "drawn", "", {"age": "24", "sex": "f", "date": date(2026, 3, 2).isoformat()}
            )
    return MeasuredInput(landmarks, schema.landmarks, schema.measurements, geometries, files, facts)


def main() -> None:
    """Write report-cohort.png, report-film.png and report-values.png."""
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=DOCS / "images")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    names = iter(("report-cohort", None, "report-film", "report-values"))

    def save(page: Figure) -> None:
        if name := next(names, None):
            content = BytesIO()
            page.savefig(content, format="png", dpi=90)
            picture = Image.open(content).convert("RGB")
            picture.quantize(256, method=Image.Quantize.FASTOCTREE).save(out / f"{name}.png", optimize=True)

    with tempfile.TemporaryDirectory() as folder:
        source = cohort(Path(folder))
        report = make_report(
            source, source.measure(), title="Drawn films", model="drawn landmarks", images=["film_04.png"]
        )
        draw_pages(report, save)


if __name__ == "__main__":
    main()
