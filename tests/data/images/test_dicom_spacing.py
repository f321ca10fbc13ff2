"""Spacing of DICOM files, and the plane that it is about."""

from __future__ import annotations

import pytest

from napari_landmark.data.formats.registry import write_landmarks
from napari_landmark.data.images.image import read_geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet

from .dicom_files import SLOPE, save


class TestSpacing:
    """The attribute that counts, and the plane of its measure."""

    @pytest.mark.parametrize(
        ("tags", "spacing", "statement"),
        [
            ({}, None, "unknown"),
            ({"PixelSpacing": [0.3, 0.2]}, (0.3, 0.2), "file (projection, its plane is not said)"),
            ({"PixelSpacing": [0.3, 0.2], "Modality": "CT"}, (0.3, 0.2), "file"),
            (
                {"ImagerPixelSpacing": [0.3, 0.2], "PixelSpacing": [0.3, 0.2], "Modality": "CT"},
                (0.3, 0.2),
                "file",
            ),
            (
                {"ImagerPixelSpacing": [0.5, 0.5], "PixelSpacing": [0.3, 0.2], "Modality": "MR"},
                (0.3, 0.2),
                "file",
            ),
            ({"ImagerPixelSpacing": [0.15, 0.1]}, (0.15, 0.1), "file (detector plane)"),
            (
                {"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.2, 0.2]},
                (0.2, 0.2),
                "file (detector plane)",
            ),
            (
                {"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.16, 0.16]},
                (0.16, 0.16),
                "file (calibrated)",
            ),
            (
                {
                    "ImagerPixelSpacing": [0.2, 0.2],
                    "PixelSpacing": [0.2, 0.2],
                    "PixelSpacingCalibrationType": "FIDUCIAL",
                },
                (0.2, 0.2),
                "file (calibrated)",
            ),
            (
                {"ImagerPixelSpacing": [0.3, 0.6], "EstimatedRadiographicMagnificationFactor": 1.5},
                (0.2, 0.4),
                "file (detector plane / magnification 1.5)",
            ),
            (
                {
                    "ImagerPixelSpacing": [0.3, 0.3],
                    "PixelSpacing": [0.3, 0.3],
                    "EstimatedRadiographicMagnificationFactor": 1.5,
                },
                (0.2, 0.2),
                "file (detector plane / magnification 1.5)",
            ),
            (
                {"ImagerPixelSpacing": [0.3, 0.3], "EstimatedRadiographicMagnificationFactor": 0.01},
                (0.3, 0.3),
                "file (detector plane)",
            ),
            ({"NominalScannedPixelSpacing": [0.1, 0.1]}, (0.1, 0.1), "file (film plane)"),
            ({"PixelSpacing": [0, 0]}, None, "unknown"),
            (
                {"PixelSpacing": [-1, 1], "ImagerPixelSpacing": [0.1, 0.1]},
                (0.1, 0.1),
                "file (detector plane)",
            ),
        ],
    )
    def test_policy(self, tmp_path, tags, spacing, statement):
        geometry = read_geometry(save(tmp_path / "a.dcm", SLOPE, **tags))
        assert geometry.spacing == (None if spacing is None else pytest.approx(spacing))
        assert geometry.spacing_statement == statement

    def test_a_spacing_by_the_user_counts_more(self, tmp_path):
        path = save(tmp_path / "a.dcm", SLOPE, ImagerPixelSpacing=[0.15, 0.1])
        assert read_geometry(path, spacing=0.4).spacing_statement == "user"

    def test_it_is_stated_with_every_result(self, tmp_path):
        path = save(tmp_path / "a.dcm", SLOPE, ImagerPixelSpacing=[0.15, 0.1])
        marks = LandmarkSet.from_array(LandmarkSchema(("a",)), [[3, 4]])
        write_landmarks(tmp_path / "a.csv", {"a.dcm": marks}, geometries={"a.dcm": read_geometry(path)})
        assert (tmp_path / "a.csv").read_text().splitlines()[1].endswith("file (detector plane)")
