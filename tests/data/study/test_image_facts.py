from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.study.image_facts import ImageDecision, ImageFacts, read_facts, write_facts
from napari_landmark.data.study.study import Study


@pytest.fixture
def study(tmp_path):
    return Study.create(tmp_path / "study", schema=LandmarkSchema(("A",)))


def test_decisions_are_kept_and_taken_back(study):
    study.decide("a.png", ImageDecision.CONFIRMED)
    study.decide("b.png", ImageDecision.LEFT_OUT)
    study.decide("c.png", ImageDecision.DONE)
    assert study.decisions() == {
        "a.png": ImageDecision.CONFIRMED,
        "b.png": ImageDecision.LEFT_OUT,
        "c.png": ImageDecision.DONE,
    }
    study.decide("a.png", None)
    assert list(Study.open(study.folder).decisions()) == ["b.png", "c.png"]


def test_a_name_with_accents_taken_apart_is_the_same_image(study):
    study.decide("u\u0308.png", ImageDecision.CONFIRMED)
    assert study.decisions() == {"\u00fc.png": ImageDecision.CONFIRMED}


def test_a_decision_keeps_all_other_cells(study):
    study.set_facts("a.png", ImageFacts(None, "ruler hidden", "MK", {"age": "12", "group": "x, y"}))
    study.set_facts("b.png", ImageFacts(more={"sex": "female"}))
    study.decide("a.png", ImageDecision.LEFT_OUT)
    study.decide("a.png", None)
    facts = study.facts()
    assert facts["a.png"] == ImageFacts(None, "ruler hidden", "MK", {"age": "12", "group": "x, y", "sex": ""})
    assert facts["b.png"].sex == "f"
    assert facts["b.png"].value("AGE") == ""


cells = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=12).map(str.strip)
titles = (
    st.text("abcXYZ= -+@", min_size=1, max_size=6)
    .map(str.strip)
    .filter(lambda title: title and title[0] != "'")
)


@given(
    st.dictionaries(
        cells.filter(lambda name: bool(name.strip())).filter(lambda name: name.isascii()),
        st.builds(ImageFacts, st.sampled_from([None, *ImageDecision]), cells, cells),
        min_size=1,
        max_size=4,
    ),
    st.lists(titles, unique_by=str.lower, max_size=3),
    cells,
)
def test_any_text_comes_back(tmp_path_factory, facts, columns, cell):
    folder = tmp_path_factory.mktemp("facts")
    more = dict.fromkeys(columns, cell)
    facts = {name: ImageFacts(one.decision, one.remark, one.reader, more) for name, one in facts.items()}
    write_facts(folder, facts)
    assert read_facts(folder) == facts


def test_a_table_of_a_spreadsheet_is_read(study):
    (study.folder / "images.csv").write_text(
        "\ufeffSex;Image;State;Note\nM;a.png;Leave out;first\n;b.png;;\n", encoding="utf-8"
    )
    facts = study.facts()
    assert facts["a.png"].decision is ImageDecision.LEFT_OUT
    assert facts["a.png"].sex == "m"
    assert facts["a.png"].more == {"Sex": "M", "Note": "first"}
    assert not facts["b.png"]
    study.decide("b.png", ImageDecision.DONE)  # written anew with all its columns
    assert Study.open(study.folder).facts()["a.png"] == facts["a.png"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name,state\na.png,use\n", "has no column 'image'"),
        ("image,age,Age\na.png,1,2\n", "column 'age' is there twice"),
        ("image,state\na.png,maybe\n", "line 2: a.png: the state is 'maybe': expected use, leave out, done"),
        ("image\na.png\na.png\n", "line 3: image 'a.png' is there twice"),
        ("image,age\n,12\n", "line 2: the column 'image' is empty"),
        ("image,age\na.png,12,13\n", "line 2: has 3 cells and the titles are 2"),
        ('image,age\n"a.png,12\n', "is not a readable row"),
    ],
)
def test_tables_that_cannot_be_used_are_told_with_the_line(study, text, expected):
    (study.folder / "images.csv").write_text(text)
    with pytest.raises(InputError, match=r"images\.csv") as caught:
        study.facts()
    assert expected in str(caught.value)


def test_other_encodings_are_refused(study):
    (study.folder / "images.csv").write_bytes("image,remark\na.png,schräg\n".encode("latin-1"))
    with pytest.raises(InputError, match="is not UTF-8 text"):
        study.facts()


def test_decisions_of_earlier_versions_move_into_the_table(study):
    earlier = study.folder / "decisions.json"
    earlier.write_text(json.dumps({"version": 1, "images": {"a.png": "left_out", "b.png": "confirmed"}}))
    (study.folder / "images.csv").write_text(
        "image,mirrored,rotation_degrees,scale,inverted\na.png,no,0,1,no\n"  # poses, as a training wrote them
    )
    assert study.decisions() == {"a.png": ImageDecision.LEFT_OUT, "b.png": ImageDecision.CONFIRMED}
    study.decide("c.png", ImageDecision.DONE)
    assert list(study.decisions()) == ["a.png", "b.png", "c.png"]
    assert not earlier.exists()


@pytest.mark.parametrize("text", ["{", '{"version": 1, "images": {"a.png": "maybe"}}', '{"version": 1}'])
def test_damaged_decisions_of_earlier_versions_are_refused(study, text):
    (study.folder / "decisions.json").write_text(text)
    with pytest.raises(InputError, match=r"decisions\.json"):
        study.decisions()


@pytest.mark.parametrize("title", ["state", " Remark", "", "a\nb"])
def test_titles_of_its_own_are_refused(title):
    with pytest.raises(InputError, match="a column"):
        ImageFacts(more={title: "x"})
