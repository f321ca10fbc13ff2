"""The image most like the others comes first, from unlabelled images alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.detection import template_selection as template
from napari_landmark.detection.embedding.embedding import Embedding, EmbeddingConfig
from napari_landmark.detection.template_selection import rank_images, suggest
from napari_landmark.learning.device import choose_device
from napari_landmark.progress import CancelToken


class BrightnessEmbedding(Embedding):
    """Vectors of the brightness around each cell: enough to match a copy, not something else."""

    def __init__(self) -> None:
        super().__init__(EmbeddingConfig(downsampling=1, finest_stride=4))

    def embed(self, images, device):
        maps = []
        for stride in self.strides:
            small = torch.nn.functional.avg_pool2d(images, stride)
            around = torch.nn.functional.unfold(small - 0.5, 3, padding=1).unflatten(2, small.shape[2:])
            maps.append(torch.nn.functional.normalize(around, dim=1))
        return maps


class TestRanking:
    def test_an_image_unlike_the_others_comes_last(self, tmp_path):
        from PIL import Image

        random = np.random.default_rng(0)
        common = random.integers(0, 255, (16, 16)).repeat(8, 0).repeat(8, 1)
        for number in range(5):
            noise = random.normal(0, 6, common.shape)
            Image.fromarray(np.clip(common + noise, 0, 255).astype(np.uint8)).save(tmp_path / f"{number}.png")
        stranger = random.integers(0, 255, (16, 16)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
        Image.fromarray(stranger).save(tmp_path / "stranger.png")
        ranked = rank_images(
            BrightnessEmbedding(),
            Cohort.from_folder(tmp_path),
            device=choose_device("cpu"),
            generator=torch.Generator().manual_seed(0),
        )
        assert ranked[-1].image == "stranger.png"
        assert ranked[-1].score < 0.7 * ranked[0].score
        assert all(0 <= suggestion.score <= 1 for suggestion in ranked)


class TestSuggest:
    def test_names_as_many_as_asked(self, cohort):
        found = suggest(cohort, count=2, minutes=0.02, device="cpu")
        assert len({suggestion.image for suggestion in found}) == 2
        assert {suggestion.image for suggestion in found} <= set(cohort.names)
        assert found[0].score >= found[1].score

    def test_a_large_cohort_is_sampled(self, cohort, monkeypatch):
        monkeypatch.setattr(template, "_CANDIDATES", 2)
        assert len(suggest(cohort, count=9, minutes=0.01, device="cpu")) == 2

    def test_one_image_is_no_choice(self, tmp_path, phantoms):
        from PIL import Image

        Image.fromarray(phantoms[0].image.array).save(tmp_path / "one.png")
        with pytest.raises(InputError, match="one usable image"):
            suggest(Cohort.from_folder(tmp_path))

    def test_cancelled_at_once(self, cohort):
        cancel = CancelToken()
        cancel.cancel()
        with pytest.raises(InputError, match="stopped"):
            suggest(cohort, device="cpu", cancel=cancel)
