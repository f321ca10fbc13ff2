from __future__ import annotations

import threading

import numpy as np
import pytest
import SimpleITK as sitk

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import read_image
from napari_landmark.data.images.itk_file import quiet_itk


@pytest.fixture(params=[True, False])
def shown(request):
    """The setting of the program before."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(request.param)
    yield request.param
    sitk.ProcessObject.SetGlobalWarningDisplay(before)


def test_warnings_of_itk_are_as_they_were_after_reading(tmp_path, shown):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((8, 9), np.uint8)), str(tmp_path / "a.nrrd"))
    read_image(tmp_path / "a.nrrd")
    assert sitk.ProcessObject.GetGlobalWarningDisplay() == shown
    (tmp_path / "a.nrrd").write_bytes((tmp_path / "a.nrrd").read_bytes()[:-5])
    with pytest.raises(InputError):
        read_image(tmp_path / "a.nrrd")
    assert sitk.ProcessObject.GetGlobalWarningDisplay() == shown


def test_they_come_back_with_the_last_thread(shown):
    entered, leave = threading.Event(), threading.Event()

    def other():
        with quiet_itk():
            entered.set()
            leave.wait(20)

    thread = threading.Thread(target=other)
    with quiet_itk():
        thread.start()
        entered.wait(20)
    assert not sitk.ProcessObject.GetGlobalWarningDisplay()
    leave.set()
    thread.join()
    assert sitk.ProcessObject.GetGlobalWarningDisplay() == shown
