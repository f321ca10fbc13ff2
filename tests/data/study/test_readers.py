from __future__ import annotations

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.data.study.lock import ANNOTATING, StudyLock
from napari_landmark.data.study.readers import ReaderStudy, check_reader, is_read, readers, start_reading
from napari_landmark.data.study.schema_migration import change_schema
from napari_landmark.data.study.study import Study

SCHEMA = LandmarkSchema(("tip", "base"))
IMAGES = [f"{n}.png" for n in range(12)]


def marks(x: float, status: Status = Status.PLACED) -> LandmarkSet:
    return LandmarkSet(SCHEMA, [Landmark("tip", (1.0, x), status), Landmark("base", status=Status.MISSING)])


@pytest.fixture
def study(tmp_path) -> Study:
    study = Study.create(tmp_path / "study", schema=SCHEMA)
    for number, image in enumerate(IMAGES):
        study.save_annotations(image, marks(number))
    study.save_predictions("0.png", marks(50, Status.PREDICTED))
    return study


def test_a_reading_shows_no_earlier_landmarks(study):
    reading = start_reading(study, "Anna", images=IMAGES)
    assert reading.annotations() == {}
    assert reading.predictions() == {}
    assert reading.load_annotations("0.png").ndim is None
    assert reading.load_predictions("0.png").ndim is None
    assert reading.result("0.png").ndim is None
    assert list(reading.recorded_annotations()) == list(reading.recorded_predictions()) == []


def test_a_reading_is_kept_beside_the_annotations_of_the_study(study):
    before = {path.name: path.read_bytes() for path in (study.folder / "annotations").glob("*.csv")}
    reading = start_reading(study, "Anna Ä.", images=IMAGES)
    reading.save_annotations("3.png", marks(99))
    after = {path.name: path.read_bytes() for path in (study.folder / "annotations").glob("*.csv")}
    assert after == before
    again = Study.open(study.folder)
    assert again.load_annotations("3.png")["tip"].position == (1.0, 3.0)
    assert again.annotations().keys() == set(IMAGES)  # as a version that knows no readers sees it
    found = readers(again)
    assert list(found) == ["Anna Ä."]
    assert found["Anna Ä."].load_annotations("3.png")["tip"].position == (1.0, 99.0)
    assert found["Anna Ä."].n_read == 1


def test_the_order_is_shuffled_seeded_and_kept(study, tmp_path):
    order = start_reading(study, "Anna", images=IMAGES, seed=1).plan.images
    assert sorted(order) == sorted(IMAGES)
    assert list(order) != IMAGES
    resumed = start_reading(Study.open(study.folder), "Anna", images=IMAGES[:2], seed=7)
    assert resumed.plan.images == order
    same = start_reading(study, "Ben", images=IMAGES[::-1], seed=1)
    assert same.plan.images == order
    assert start_reading(study, "Cem", images=IMAGES, seed=2).plan.images != order
    few = start_reading(study, "Dora", images=IMAGES, count=4, seed=1)
    assert few.plan.images == order[:4]


def test_images_that_were_left_out_are_not_read(study):
    study.decide("5.png", ImageDecision.LEFT_OUT)
    assert "5.png" not in start_reading(study, "Anna", images=IMAGES).plan.images


def test_a_finished_reading_is_not_changed(study):
    reading = start_reading(study, "Anna", images=IMAGES)
    reading.save_annotations("3.png", marks(99))
    reading.finish()
    with pytest.raises(InputError, match="is finished"):
        reading.save_annotations("3.png", marks(1))
    with pytest.raises(InputError, match="choose another name, such as 'Anna 2'"):
        start_reading(study, "Anna", images=IMAGES)
    with pytest.raises(InputError, match="choose another name"):
        start_reading(study, "anna", images=IMAGES)  # one folder, on some systems
    assert readers(study)["Anna"].load_annotations("3.png")["tip"].position == (1.0, 99.0)


def test_nothing_else_is_changed_through_a_reading(study):
    reading = start_reading(study, "Anna", images=IMAGES)
    for change in (
        lambda: reading.update(template="3.png"),
        lambda: reading.update(spacing=0.5),
        lambda: change_schema(reading, LandmarkSchema(("peak", "base")), renames={"tip": "peak"}),
        lambda: change_schema(reading, LandmarkSchema(("tip",))),
        lambda: reading.save_predictions("0.png", marks(1, Status.PREDICTED)),
        lambda: reading.save_all_predictions({"0.png": marks(1, Status.PREDICTED)}, {}),
        lambda: reading.decide("0.png", ImageDecision.CONFIRMED),
        lambda: start_reading(reading, "Ben", images=IMAGES),
    ):
        with pytest.raises(InputError, match="reading of Anna"):
            change()
    with pytest.raises(InputError, match="not an image of the reading"):
        reading.save_annotations("other.png", marks(1))
    again = Study.open(study.folder)
    assert again.template == "" and again.spacing is None and again.schema == SCHEMA
    assert again.load_predictions("0.png")["tip"].position == (1.0, 50.0)
    assert not again.decisions()


def test_renaming_reaches_the_readers(study):
    start_reading(study, "Anna", images=IMAGES).save_annotations("3.png", marks(99))
    change_schema(study, LandmarkSchema(("peak", "base")), renames={"tip": "peak"})
    again = Study.open(study.folder)
    assert again.load_annotations("3.png")["peak"].position == (1.0, 3.0)
    assert readers(again)["Anna"].load_annotations("3.png")["peak"].position == (1.0, 99.0)
    assert readers(again)["Anna"].plan.reader == "Anna"


def test_another_program_that_annotates_excludes_a_reading(study, monkeypatch):
    from napari_landmark.data.study import lock

    with StudyLock(study.folder, ANNOTATING):
        monkeypatch.setattr(lock, "_held", {})  # as another program sees it
        with pytest.raises(InputError, match="being annotated"):
            start_reading(study, "Anna", images=IMAGES)
    assert not (study.folder / "annotations" / "Anna").exists()


@pytest.mark.parametrize("name", ["", " a", "a\nb", "../study", ".hidden", "x.csv", "x.JSON", "y" * 61])
def test_names_that_are_no_folder_are_refused(name):
    with pytest.raises(InputError, match="reader"):
        check_reader(name)


@pytest.mark.parametrize("name", ["a/../../b", "a/b", "con", "Åsa", "Dr. Müller (2)"])
def test_any_other_name_has_a_folder_of_its_own(study, name):
    reading = start_reading(study, name, images=IMAGES)
    reading.save_annotations("3.png", marks(99))
    assert next(path.parent for path in study.folder.glob("annotations/*/3.png.csv")).parent == (
        study.folder / "annotations"
    )
    assert list(readers(study)) == [check_reader(name)]


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"version": 2}', '{"version": 1, "reader": 3, "images": []}']
)
def test_a_damaged_plan_is_named(study, content):
    start_reading(study, "Anna", images=IMAGES)
    path = study.folder / "annotations/Anna/reading.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"reading.json"):
        readers(study)


def test_a_folder_of_annotations_is_a_reader(study):
    """Such as one that another person's study was copied to."""
    reading = ReaderStudy(study, "Ben")
    reading.save_annotations("1.png", marks(4))
    assert not (study.folder / "annotations/Ben/reading.json").exists()
    assert readers(study)["Ben"].annotations().keys() == {"1.png"}
    with pytest.raises(InputError, match="has annotations in this study"):
        start_reading(study, "Ben", images=IMAGES)


def test_an_image_is_read_when_everything_is_decided():
    assert is_read(marks(1))
    assert not is_read(LandmarkSet(SCHEMA, [Landmark("tip", (1, 1), "placed")]))


@pytest.mark.parametrize(("images", "count", "words"), [([], None, "no image"), (IMAGES, 13, "1 to 12")])
def test_without_images_there_is_no_reading(study, images, count, words):
    with pytest.raises(InputError, match=words):
        start_reading(study, "Anna", images=images, count=count)
    assert not readers(study)
