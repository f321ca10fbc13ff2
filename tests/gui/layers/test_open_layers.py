"""Images of layers that become the images of a study."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Image

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import read_image
from napari_landmark.gui.layers.open_layers import export_layers, open_images

from ..pairs import FIXED_CENTRE, blob


def taken_for(file, array, **attributes):
    """Folder of the study of one open layer."""
    viewer = ViewerModel()
    viewer.add_image(array, metadata={"napari_landmark": {"file": str(file)}}, **attributes)
    return open_images(viewer).folder


def write_nrrd(path, array, spacing):
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing[::-1])
    sitk.WriteImage(image, str(path))
    return path


def test_colours_become_luminance(tmp_path):
    array = np.zeros((20, 16, 3), np.uint8)
    array[..., 1] = 100
    (name,) = export_layers([Image(array, name="a/b", rgb=True)], tmp_path)
    assert name == "a_b.tif"
    assert read_image(tmp_path / name).array[0, 0] == 72  # Rec. 709


def test_rotated_layers_keep_their_world_and_sheared_ones_are_refused(tmp_path):
    how = {"scale": (0.5, 0.25), "units": ("mm", "mm"), "translate": (3, 4)}
    turned = Image(blob(FIXED_CENTRE), name="turned", rotate=30, **how)
    (name,) = export_layers([turned], tmp_path / "new")
    again = read_image(tmp_path / "new" / name)
    np.testing.assert_allclose(
        again.geometry.to_world([(10, 20)])[0], turned.data_to_world((10, 20)), atol=1e-6
    )
    sheared = Image(blob(FIXED_CENTRE), name="slanted", shear=[0.4], **how)
    with pytest.raises(InputError, match="slanted: is sheared"):
        export_layers([turned, sheared], tmp_path / "other")
    assert not (tmp_path / "other").exists()


class TestOwnFile:
    """A layer is its file only where positions in the one are positions in the other."""

    @pytest.mark.parametrize(
        "values",
        [
            blob(FIXED_CENTRE),
            blob(FIXED_CENTRE).astype(np.float32) / 200,
            (blob(FIXED_CENTRE) > 80).astype(np.uint8),
            blob(FIXED_CENTRE).astype(np.uint16) * 100,
        ],
        ids=["8 bits", "0 to 1", "binary", "16 bits"],
    )
    def test_a_mirrored_layer_is_not(self, tmp_path, values):
        file = tmp_path / "a.tif"
        tifffile.imwrite(file, values)
        assert taken_for(file, values) == tmp_path
        assert taken_for(file, values[::-1]) is None
        assert taken_for(file, values[:, ::-1]) is None

    def test_a_mirrored_faint_image_with_a_bright_speck_is_not(self, tmp_path):
        """Its two copies differ by less than the tolerance."""
        values = blob(FIXED_CENTRE).astype(np.float32)
        values[0, 0] = values[0, -1] = values[-1, 0] = values[-1, -1] = 1e6
        file = tmp_path / "a.tif"
        tifffile.imwrite(file, values)
        assert taken_for(file, values[::-1]) is None

    def test_a_transposed_square_is_not(self, tmp_path):
        values = blob((20, 40), (60, 60))
        file = tmp_path / "a.tif"
        tifffile.imwrite(file, values)
        assert taken_for(file, values.T) is None

    def test_a_colour_photograph_is(self, tmp_path):
        from PIL import Image as Picture

        values = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
        file = tmp_path / "a.png"
        Picture.fromarray(values).save(file)
        assert taken_for(file, values, rgb=True) == tmp_path

    def test_decoders_of_jpeg_may_differ_by_two_levels(self, tmp_path):
        values = blob(FIXED_CENTRE)
        file = tmp_path / "a.tif"
        tifffile.imwrite(file, values)
        noise = np.random.default_rng(0).integers(0, 3, values.shape, dtype=np.uint8)
        assert taken_for(file, values + noise) == tmp_path

    def test_a_symmetric_image_is_with_the_same_geometry_alone(self, tmp_path):
        values = blob((29.5, 39.5))
        np.testing.assert_array_equal(values, values[::-1])
        file = write_nrrd(tmp_path / "a.nrrd", values, (0.5, 0.25))
        millimetres = {"scale": (0.5, 0.25), "units": ("mm", "mm")}
        assert taken_for(file, values, **millimetres) == tmp_path
        assert taken_for(file, values, affine=np.diag([-1.0, 1.0, 1.0]), **millimetres) is None
        assert taken_for(file, values) is None

    def test_another_spacing_is_another_image(self, tmp_path):
        values = blob(FIXED_CENTRE)
        file = write_nrrd(tmp_path / "a.nrrd", values, (0.5, 0.25))
        assert taken_for(file, values, scale=(0.5, 0.25), units=("mm", "mm")) == tmp_path
        assert taken_for(file, values, scale=(0.25, 0.5), units=("mm", "mm")) is None
        assert taken_for(file, values) == tmp_path  # a reader that knows no spacing
