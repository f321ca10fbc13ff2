from __future__ import annotations

import pytest

from napari_landmark.progress import Cancelled, CancelToken


def test_a_token_stops_work_once_it_is_set():
    token = CancelToken()
    token.raise_if_cancelled()
    assert not token.cancelled
    token.cancel()
    assert token.cancelled
    with pytest.raises(Cancelled):
        token.raise_if_cancelled()
