"""What the program writes is what the published schemas promise, and what they refuse is wrong."""

from __future__ import annotations

import csv
import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from napari_landmark.backend.job_file import write_job
from napari_landmark.backend.jobs.detect import DetectJob
from napari_landmark.backend.jobs.register_pair import RegisterPairJob
from napari_landmark.backend.jobs.register_train import RegisterTrainJob
from napari_landmark.backend.jobs.suggest import SuggestJob
from napari_landmark.backend.jobs.train import TrainJob
from napari_landmark.data.curves import Curve
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import write_landmarks
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.links import Link
from napari_landmark.data.measurement_language.schema_file import SchemaFile
from napari_landmark.data.schemas.file_schema import SCHEMA_NAMES, file_schema
from napari_landmark.data.sides import Mirroring, Sides
from napari_landmark.data.study.image_facts import ImageDecision, ImageFacts, write_facts
from napari_landmark.data.study.study import Study
from napari_landmark.measurement.presets.preset import PRESET_NAMES, preset

GOLDEN = [path / "study" for path in sorted((Path(__file__).parents[1] / "study").glob("golden_*"))]
A, B = Path("a"), Path("b")


def check(name, content):
    """Refuses (jsonschema.ValidationError) what the schema does not promise."""
    if isinstance(content, Path):
        content = json.loads(content.read_text(encoding="utf-8"))
    schema = file_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(content)


def check_table(name, path):
    """A CSV file has the columns of a Table Schema, each cell of its type and within its limits."""
    schema = file_schema(name)
    fields = {field["name"]: field for field in schema["fields"]}
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    for row in rows:
        assert {
            name for name, field in fields.items() if field.get("constraints", {}).get("required")
        } <= row.keys()
        for title, text in row.items():
            if title not in fields:
                continue
            field, limits = fields[title], fields[title].get("constraints", {})
            assert text or not limits.get("required")
            if not text:
                continue
            if field["type"] == "number":
                assert (
                    limits.get("minimum", float("-inf")) <= float(text) <= limits.get("maximum", float("inf"))
                )
            if field["type"] == "boolean":
                assert text in (*field["trueValues"], *field["falseValues"])
            assert text in limits.get("enum", [text]), title
    keys = [tuple(row[key] for key in schema["primaryKey"]) for row in rows]
    assert len(set(keys)) == len(keys)
    return rows, fields


def test_every_schema_is_listed():
    folder = files("napari_landmark.data.schemas")
    found = {path.name for path in folder.iterdir() if path.name.endswith(".json")}
    assert found == {f"{name}.schema.json" for name in SCHEMA_NAMES}


def test_an_unknown_schema_is_refused():
    with pytest.raises(InputError, match="known are study"):
        file_schema("../study")


@pytest.fixture
def rich_study(tmp_path):
    """A study with everything that its file can hold."""
    schema = preset("cephalometric").landmarks
    first, second = schema.names[:2]
    study = Study.create(
        tmp_path / "study", schema=schema, images=tmp_path, template="é.png", spacing=(0.5, 0.25),
        extra=[tmp_path / "other.png"], measurements=preset("cephalometric").measurements,
    )  # fmt: skip
    study.update(sides=Sides(Mirroring.SWAPPED, ((first, second),)))
    return study


def test_studies(rich_study, study, tmp_path):
    plain = Study.create(tmp_path / "plain", schema=LandmarkSchema(("tip", "base")))
    for one in (rich_study, study, plain):
        check("study", one.folder / "study.json")


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda path: path.parent.name)
def test_files_of_released_versions(folder):
    check("study", folder / "study.json")
    for sidecar in folder.glob("models/*/model.json"):
        check("volume-model" if folder.parent.name.endswith("_volumes") else "landmark-model", sidecar)
    for sidecar in folder.glob("registration/*/model.json"):
        check("registration-model", sidecar)
    for table in (*folder.glob("annotations/**/*.csv"), *folder.glob("predictions/*.csv")):
        check_table("landmarks-table", table)
    for table in folder.glob("images.csv"):
        check_table("images-table", table)
    for name in ("job", "measurements"):
        for path in folder.parent.glob(f"files/{name}.json"):
            check(name, path)


def test_landmark_models(study):
    (sidecar,) = study.folder.glob("models/*/model.json")
    check("landmark-model", sidecar)


def test_registration_models(cohort, phantoms, tmp_path):
    from napari_landmark.registration.options import RegistrationOptions
    from napari_landmark.registration.training.train import train_registration

    known = {phantom.image.name: phantom.labels for phantom in phantoms[:1]}
    train_registration(cohort, known, options=RegistrationOptions(device="cpu", steps=1), folder=tmp_path)
    check("registration-model", tmp_path / "model.json")


def test_volume_models(tmp_path):
    import numpy as np
    import torch

    from napari_landmark.detection.model.volume_model import TemplateAtlas, VolumeModel
    from napari_landmark.detection.model.volume_model_files import save_volume_model
    from napari_landmark.detection.volumes.atlas import Atlas
    from napari_landmark.detection.volumes.pyramid import Pyramid
    from napari_landmark.learning.device import choose_device

    grey = np.random.default_rng(0).random((32, 32, 32))
    atlas = Atlas.from_annotation(Pyramid(grey, 0.5), torch.tensor([[4.0, 5.0, 6.0], [8.0, 8.0, 8.0]]))
    model = VolumeModel(
        LandmarkSchema(("tip", "base")),
        (32, 32, 32),
        [TemplateAtlas.first(atlas, 0.95)],
        has_spacing=True,
        typical_spread=torch.full((2,), 0.5),
        device=choose_device("cpu"),
    )
    save_volume_model(model, tmp_path)
    check("volume-model", tmp_path / "model.json")


@pytest.mark.parametrize(
    "job",
    [
        TrainJob(study=A, images=B, minutes=2.5, steps={"self_steps": 3}),
        DetectJob(study=A, images=B, out=B / "x.csv", spacing=(0.5, 0.25), heatmaps=A),
        SuggestJob(images=A, extra=(B, A), spacing=0.2),
        RegisterPairJob(fixed=A, moving=B, out=A, steps=0, region_weights={"3": 2.0}),
        RegisterTrainJob(images=A, labels=B, out=A, resume=True),
    ],
    ids=lambda job: job.KIND,
)
def test_jobs(tmp_path, job):
    write_job(tmp_path, job)
    check("job", tmp_path / "job.json")


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_measurement_files(name, tmp_path):
    preset(name).write(tmp_path / "own.json")
    check("measurements", tmp_path / "own.json")
    check(
        "measurements",
        json.loads((files("napari_landmark.measurement.presets") / f"{name}.json").read_text()),
    )


def test_curves_and_links(tmp_path):
    curve = Curve("c", "a", "b", 2)
    landmarks = LandmarkSchema(tuple(curve.chain), links=(Link(("a", "b"), False, "edge"),), curves=(curve,))
    SchemaFile(landmarks).write(tmp_path / "own.json")
    check("measurements", tmp_path / "own.json")


def test_facts_of_images(tmp_path):
    facts = {
        "1.png": ImageFacts(ImageDecision.DONE, "blurred, a bit", "Anna", {"age": "12", "sex": "f"}),
        "2.png": ImageFacts(ImageDecision.LEFT_OUT),
        "3.png": ImageFacts(ImageDecision.CONFIRMED),
    }
    write_facts(tmp_path, facts)
    check_table("images-table", tmp_path / "images.csv")


def test_tables_of_landmarks(tmp_path):
    schema = LandmarkSchema(("a", "b", "c", "d"))
    marks = [
        Landmark("a", (1.0, 2.0), Status.PLACED, covered=True),
        Landmark("b", (3.0, 4.0), Status.PREDICTED, 0.5, 2.0, covariance=((2.0, 0.5), (0.5, 1.0))),
        Landmark("c", None, Status.PREDICTED_MISSING, 0.9),
        Landmark("d", None, Status.MISSING),
    ]
    path = tmp_path / "found.csv"
    write_landmarks(
        path, {"1.png": LandmarkSet(schema, marks)}, geometries={"1.png": Geometry((9, 9), (0.5, 0.5))}
    )
    rows, fields = check_table("landmarks-table", path)
    assert {"error_cov_xx_px2", "covered"} <= set(rows[0]) <= fields.keys()


def test_tables_of_landmarks_of_volumes(tmp_path):
    schema = LandmarkSchema(("a",))
    covariance = ((2.0, 0.5, 0.1), (0.5, 1.0, 0.2), (0.1, 0.2, 3.0))
    mark = Landmark("a", (1.0, 2.0, 3.0), Status.PREDICTED, 0.5, 2.0, covariance=covariance)
    path, geometry = tmp_path / "found.csv", Geometry((9, 9, 9), (0.5, 0.5, 0.5))
    write_landmarks(path, {"1.nii": LandmarkSet(schema, [mark])}, geometries={"1.nii": geometry})
    rows, fields = check_table("landmarks-table", path)
    assert {"z_mm", "error_cov_xz_px2"} <= set(rows[0]) <= fields.keys()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("study", {"version": 2}),
        ("study", {"spacing": 0}),
        ("study", {"spacing": "0.5"}),
        ("study", {"landmarks": ["tip"]}),
        ("study", {"template": None}),
        ("study", {"sides": {"mirrored": "left", "pairs": []}}),
        ("landmark-model", {"version": 6}),
        ("landmark-model", {"canvas": [64]}),
        ("landmark-model", {"embedding": None}),
        ("landmark-model", {"format": "napari-landmark volume model"}),
    ],
)
def test_wrong_values_are_refused(study, name, change):
    path = next(study.folder.glob("models/*/model.json")) if name != "study" else study.folder / "study.json"
    content = json.loads(path.read_text())
    check(name, content)
    with pytest.raises(jsonschema.ValidationError):
        check(name, content | change)


def test_a_job_without_what_it_needs_is_refused(tmp_path):
    write_job(tmp_path, SuggestJob(images=A))
    content = json.loads((tmp_path / "job.json").read_text())
    with pytest.raises(jsonschema.ValidationError):
        check("job", content | {"kind": "train"})
