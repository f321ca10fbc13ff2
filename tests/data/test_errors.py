from __future__ import annotations

import pytest

from napari_landmark.data.errors import InputError, UnknownSpacingError


def test_message_is_one_line():
    assert str(InputError("a.nii: damaged\n  for a reason\n")) == "a.nii: damaged for a reason"


def test_spaces_in_file_names_stay():
    assert str(InputError("a  b.png: damaged")) == "a  b.png: damaged"


def test_unknown_spacing_is_an_input_error():
    with pytest.raises(InputError):
        raise UnknownSpacingError("no spacing")
