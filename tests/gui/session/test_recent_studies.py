"""Studies that were opened last."""

from __future__ import annotations

import pytest

from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.study.study import Study
from napari_landmark.gui.session.recent_studies import _file, recent_studies, remember_study


@pytest.fixture
def studies(tmp_path):
    made = [tmp_path / f"s{number}" for number in range(10)]
    for folder in made:
        Study.create(folder, schema=LandmarkSchema(("a",)), images=tmp_path)
    return made


def test_the_newest_first_and_each_once(studies):
    assert recent_studies() == []
    for folder in (*studies[:3], studies[0]):
        remember_study(folder)
    assert recent_studies() == [studies[0], studies[2], studies[1]]


def test_a_few_that_are_there(studies):
    for folder in studies:
        remember_study(folder)
    assert recent_studies() == studies[:1:-1]
    (studies[9] / "study.json").unlink()
    assert recent_studies()[0] == studies[8]


@pytest.mark.parametrize("content", ["", "[]", '{"studies": 3}', '{"studies": [1, null]}'])
def test_a_damaged_list_is_begun_anew(studies, content):
    _file().parent.mkdir(parents=True, exist_ok=True)
    _file().write_text(content)
    assert recent_studies() == []
    remember_study(studies[0])
    assert recent_studies() == [studies[0]]
