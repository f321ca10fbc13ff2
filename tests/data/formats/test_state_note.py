from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.data.formats.state_note import StateNote
from napari_landmark.data.landmarks import Landmark, Status

NOTE = StateNote(Status.PREDICTED, 0.25, 1.5, (1.0, -2.5))
fractions = st.floats(0, 1).map(lambda value: round(value, 6))
notes = st.builds(
    StateNote,
    st.sampled_from((Status.PREDICTED, Status.CORRECTED, Status.PLACED)),
    st.none() | fractions,
    st.none() | fractions,
    st.none() | st.tuples(fractions, fractions, fractions),
)


def test_only_what_the_position_does_not_say_is_noted():
    assert StateNote.of(Landmark("a", (1, 2), "placed"), (2, 1)) is None
    assert StateNote.of(Landmark("a", None, "missing"), None) is None
    assert StateNote.of(Landmark("a", (1, 2), "corrected"), (2, 1)) == StateNote(Status.CORRECTED, at=(2, 1))


@given(notes, st.sampled_from(("", "tip of the nose", "see [1]", "ends in ]")))
def test_text_round_trip(note, words):
    assert StateNote.split_text(f"{words} {note.to_text()}") == (words, note)


@given(notes)
def test_json_round_trip(note):
    assert StateNote.from_json(json.loads(json.dumps(note.to_json()))) == note


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a [note]",
        "[predicted; confidence high]",
        "[predicted; confidence 7]",
        "[predicted; at x]",
        "[predicted",
        "[missing; confidence 2]",
    ],
)
def test_words_of_a_person_stay_words(text):
    assert StateNote.split_text(text) == (text, None)


@pytest.mark.parametrize(
    "data",
    [None, [], "predicted", {}, {"status": []}, {"status": "odd"}, {"status": "predicted", "at": 3}],
)
def test_json_of_something_else(data):
    assert StateNote.from_json(data) is None


class TestWhetherItHolds:
    def test_where_the_point_still_is(self):
        found = NOTE.landmark("a", (5, 6), (1.0, -2.5004), Status.PLACED)
        assert found == Landmark("a", (5, 6), Status.PREDICTED, 0.25, 1.5)

    def test_where_a_person_moved_it(self):
        assert NOTE.landmark("a", (5, 6), (1.0, -2.4), Status.PLACED) == Landmark(
            "a", (5, 6), Status.CORRECTED
        )

    def test_where_a_person_took_it_away(self):
        assert NOTE.landmark("a", None, None, Status.MISSING) == Landmark("a", None, Status.MISSING)

    def test_huge_numbers(self):
        note = StateNote(Status.PREDICTED, at=(1e308, -1e308))
        assert note.landmark("a", (1, 2), (-1e308, 1e308), Status.PLACED).status is Status.CORRECTED
