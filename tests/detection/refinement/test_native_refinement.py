"""Refinement on native pixels of images that are larger than the working grid."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from napari_landmark.data.cohort.working_grid import fit_canvas_transform
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.detection.embedding.template_matching import Template
from napari_landmark.detection.refinement import local_refinement
from napari_landmark.detection.refinement.native_refinement import (
    LARGEST_ZOOM,
    build_native_refiner,
    native_zoom,
    read_native,
    refine_on_native_pixels,
)

ZOOM = {2: 4, 3: 2}
SHIFTS = {2: [(0, 0), (5, -7), (2.3, -1.6)], 3: [(0, 0, 0), (3, -4, 2), (1.4, -2.3, 0.7)]}
NATIVE = {2: (256, 192), 3: (48, 64, 48)}
WINDOWS = {2: 64, 3: 48}


class LargeCohort:
    """Native images of one texture, shifted, on a working grid that is several times coarser."""

    def __init__(self, texture, zoom):
        self.texture, self.shape = texture, texture.canvas
        self.canvas = tuple(size // zoom for size in self.shape)
        self.names = tuple(f"{number}.png" for number in range(len(texture)))

    def geometry(self, number):
        return Geometry(self.shape)

    def canvas_transform(self, number):
        return fit_canvas_transform(self.geometry(number), self.canvas)

    def read(self, number):
        return MedicalImage(self.texture.images[number], Geometry(self.shape), self.names[number])

    def truth(self, number):
        return self.canvas_transform(number).to_working(self.texture.truth[number])


@pytest.fixture(autouse=True)
def _few_copies(monkeypatch):
    monkeypatch.setattr(local_refinement, "_COPIES", 4)  # for the sake of time


@pytest.fixture(params=[2, 3], ids=["2-D", "3-D"])
def world(request, textured_cohort):
    return LargeCohort(textured_cohort(SHIFTS[request.param], NATIVE[request.param]), ZOOM[request.param])


@pytest.fixture
def network(world, pixel_patch_embedding):
    dims = len(world.canvas)
    return pixel_patch_embedding(dims, WINDOWS[dims])


def native_errors(world, number, working):
    """Distances in native pixels along each axis."""
    return np.abs(world.canvas_transform(number).to_native(working) - world.texture.truth[number])


class TestRefining:
    @pytest.mark.parametrize("number", [1, 2], ids=["whole pixels", "parts of pixels"])
    def test_to_a_fraction_of_a_native_pixel(self, world, network, cpu, number):
        native = build_native_refiner(network, world, [Template(0, world.truth(0))], cpu)
        rng = np.random.default_rng(number)
        away = rng.uniform(-1, 1, world.truth(number).shape) * 3 / native.zoom  # three native pixels at most
        expected = world.truth(number) + away
        found = refine_on_native_pixels(
            native, world.read(number), world.canvas_transform(number), expected, cpu
        )
        assert native_errors(world, number, expected).mean() > 1
        assert native_errors(world, number, found.positions).mean() < 0.5
        assert (found.consensus > 0.5).all()

    def test_what_no_template_shows_stays(self, world, network, cpu):
        known = world.truth(0)
        known[1] = np.nan
        native = build_native_refiner(network, world, [Template(0, known)], cpu)
        expected = world.truth(1) + 0.4
        found = refine_on_native_pixels(native, world.read(1), world.canvas_transform(1), expected, cpu)
        np.testing.assert_allclose(found.positions[1], expected[1], atol=1e-4)
        assert found.consensus[1] == 0

    def test_far_outside_of_the_image(self, world, network, cpu):
        native = build_native_refiner(network, world, [Template(0, world.truth(0))], cpu)
        expected = np.full_like(world.truth(1), 1e5)
        found = refine_on_native_pixels(native, world.read(1), world.canvas_transform(1), expected, cpu)
        assert np.isfinite(found.positions).all()


class TestZoom:
    def test_where_the_working_grid_is_native_there_is_none(self):
        assert native_zoom([1.0, 1.0, 0.5]) is None
        assert native_zoom([1.6]) is None

    def test_the_median_of_the_templates(self):
        assert native_zoom([1.0, 4.0, 5.0]) == 4

    def test_of_enormous_images(self):
        assert native_zoom([40.0]) == LARGEST_ZOOM

    def test_an_image_of_fewer_pixels_is_not_suited(self, world, network, cpu):
        native = build_native_refiner(network, world, [Template(0, world.truth(0))], cpu)
        assert native.suits(world.canvas_transform(1))
        small = fit_canvas_transform(Geometry(tuple(size // 2 for size in world.shape)), world.canvas)
        assert not native.suits(small)


class TestTemplates:
    def test_native_images_need_no_second_look(self, world, network, cpu):
        world.canvas = world.shape
        assert build_native_refiner(network, world, [Template(0, world.truth(0))], cpu) is None

    def test_of_much_lower_resolution_than_most_are_left_out(self, world, network, cpu, monkeypatch):
        honest = world.geometry
        small = Geometry(tuple(size // 2 for size in world.shape))
        monkeypatch.setattr(world, "geometry", lambda number: small if number == 2 else honest(number))
        templates = [Template(number, world.truth(number)) for number in range(2)]
        native = build_native_refiner(network, world, [*templates, Template(2, world.truth(0))], cpu)
        assert native.zoom == pytest.approx(world.canvas_transform(0).scale)
        assert len(native.refiner.descriptors.offsets) == 2

    def test_that_cannot_be_read_any_more_are_named(self, world, network, cpu, monkeypatch, caplog):
        honest = world.read

        def read(number):
            if number == 0:
                raise InputError("0.png: there is no such file")
            return honest(number)

        monkeypatch.setattr(world, "read", read)
        templates = [Template(number, world.truth(number)) for number in range(2)]
        with caplog.at_level(logging.WARNING):
            native = build_native_refiner(network, world, templates, cpu)
            assert build_native_refiner(network, world, templates[:1], cpu) is None
        assert len(native.refiner.descriptors.offsets) == 1
        assert "0.png: only its cached pixels are used" in caplog.text

    def test_a_file_that_holds_another_image_by_now(self, world, monkeypatch, caplog):
        monkeypatch.setattr(world, "geometry", lambda number: Geometry(world.canvas))
        assert read_native(world, 0) is None
        assert "0.png: only its cached pixels are used, its file has changed" in caplog.text
