from __future__ import annotations

import unicodedata

import pytest

from napari_landmark.data.files.composed_name import composed_name, decomposed_name
from napari_landmark.data.files.file_stem import earlier_file_stem, file_stem

NAMES = ["Müller.png", "Åse_é.png", "이.png", "plain.png"]


@pytest.mark.parametrize("name", NAMES)
def test_one_form_for_both(name):
    for form in ("NFC", "NFD"):
        given = unicodedata.normalize(form, name)
        assert composed_name(given) == unicodedata.normalize("NFC", name)
        assert decomposed_name(given) == unicodedata.normalize("NFD", name)


@pytest.mark.parametrize("name", NAMES)
def test_one_file_for_both(name):
    composed, apart = composed_name(name), decomposed_name(name)
    assert file_stem(apart) == file_stem(composed)
    assert earlier_file_stem(apart) == earlier_file_stem(composed)
    assert (earlier_file_stem(name) == file_stem(name)) is (composed == apart)
