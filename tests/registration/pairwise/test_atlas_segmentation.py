"""Label maps of a few images are carried to another one."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.metrics import dice
from napari_landmark.progress import CancelToken
from napari_landmark.registration.options import PairOptions
from napari_landmark.registration.pairwise import atlas_segmentation
from napari_landmark.registration.pairwise.atlas_segmentation import Atlas, segment_by_atlases
from napari_landmark.synthetic import head_phantom

OPTIONS = PairOptions(device="cpu", working_size=128, steps=60)


def mean_dice(truth, found):
    return float(np.mean(list(dice(truth, found).values())))


def test_three_hands_label_a_fourth(phantoms):
    target, *others = phantoms
    atlases = [Atlas(phantom.image, phantom.labels) for phantom in others]
    fused = segment_by_atlases(target.image, atlases, options=OPTIONS)
    assert fused.labels.shape == target.labels.shape
    before = np.mean([mean_dice(target.labels, atlas.labels) for atlas in atlases])
    alone = np.mean(
        [
            mean_dice(target.labels, segment_by_atlases(target.image, [atlas], options=OPTIONS).labels)
            for atlas in atlases
        ]
    )
    assert mean_dice(target.labels, fused.labels) > alone > before
    inside = fused.labels > 0
    right = fused.labels == target.labels
    assert fused.agreement[inside & right].mean() > fused.agreement[inside & ~right].mean()


def test_a_head_labels_its_moved_copy():
    head = head_phantom(0, size=32)
    shift = (2, -2, 1)
    array, labels = (np.roll(values, shift, (0, 1, 2)) for values in (head.image.array, head.labels))
    moved = MedicalImage(array, head.image.geometry, "moved.nii.gz")
    options = PairOptions(device="cpu", working_size=64, any_rotation=False)
    fused = segment_by_atlases(moved, [Atlas(head.image, head.labels)], options=options)
    assert mean_dice(labels, fused.labels) > max(0.85, mean_dice(labels, head.labels) + 0.1)


def test_progress_counts_all_atlases_and_a_cancel_gives_nothing(phantoms):
    target, *others = phantoms
    atlases = [Atlas(phantom.image, phantom.labels) for phantom in others]
    events, cancel = [], CancelToken()

    def report(event):
        events.append(event)
        if event.step == 1:
            cancel.cancel()

    short = PairOptions(device="cpu", steps=5)
    assert segment_by_atlases(target.image, atlases, options=short, progress=report, cancel=cancel) is None
    assert {event.step for event in events} == {0, 1}
    fractions = [event.fraction for event in events]
    assert fractions == sorted(fractions)
    assert max(fractions) < 0.7


def test_the_grid_of_a_volume_is_that_of_atlases(monkeypatch):
    head = head_phantom(0, size=24)
    sizes = []

    def spy(fixed, moving, *, options, **others):
        sizes.append(options.working_size)
        raise InputError("enough")

    monkeypatch.setattr(atlas_segmentation, "register_pair", spy)
    for options in (PairOptions(), PairOptions(working_size=96)):
        with pytest.raises(InputError, match="enough"):
            segment_by_atlases(head.image, [Atlas(head.image, head.labels)], options=options)
    assert sizes == [256, 96]


def test_mistakes_are_told(phantoms):
    first = phantoms[0]
    with pytest.raises(InputError, match="no label map to carry to it"):
        segment_by_atlases(first.image, [])
    with pytest.raises(InputError, match="both must agree"):
        Atlas(first.image, first.labels[:-1])
