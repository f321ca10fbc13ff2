import json

import numpy as np
import pytest

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.working_grid import fit_canvas_transform
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats import read_landmarks
from napari_landmark.data.geometry import Geometry
from napari_landmark.learning.device import choose_device
from napari_landmark.progress import CancelToken
from napari_landmark.registration.losses import LossWeights
from napari_landmark.registration.model import RegistrationModel
from napari_landmark.registration.options import PairOptions, RegistrationOptions
from napari_landmark.registration.pairwise.register import register_pair
from napari_landmark.registration.training.dataset import RegistrationDataset, label_probabilities
from napari_landmark.registration.training.train import CHECKPOINT, train_registration
from napari_landmark.synthetic import hand_phantom

FEW = RegistrationOptions(device="cpu", steps=6)


@pytest.fixture
def labels(phantoms):
    return {phantom.image.name: phantom.labels for phantom in phantoms[:2]}


@pytest.fixture(scope="module")
def trained(cohort, phantoms, tmp_path_factory):
    folder = tmp_path_factory.mktemp("registration")
    labels = {phantom.image.name: phantom.labels for phantom in phantoms[:2]}
    return train_registration(cohort, labels, options=FEW, folder=folder), folder


class TestLabelledCohort:
    def test_shares_lie_where_the_labels_are(self, cohort, phantoms):
        phantom = phantoms[0]
        found = RegistrationDataset(cohort, {phantom.image.name: phantom.labels}, choose_device("cpu"))
        number = cohort.index(phantom.image.name)
        shares = found.regions(number)
        assert found.labels == tuple(np.unique(phantom.labels)[1:])
        assert found.labelled == (number,)
        assert found.regions(cohort.index(phantoms[1].image.name)) is None
        canvas_transform = cohort.canvas_transform(number)
        for row, label in enumerate(found.labels, 1):
            centre = np.argwhere(phantom.labels == label).mean(0)
            cells = np.argwhere(shares[row].numpy() > 0)
            weights = shares[row].numpy()[tuple(cells.T)]
            native = canvas_transform.to_native(
                (np.average(cells, axis=0, weights=weights)[None] + 0.5) * 2 - 0.5
            )
            assert np.linalg.norm(native[0] - centre) < 0.5

    def test_shares_add_up(self, phantoms, cohort):
        canvas_transform = cohort.canvas_transform(0)
        shares = label_probabilities(phantoms[0].labels, [1, 2, 3], canvas_transform)
        assert float(shares.min()) >= 0
        assert float(shares.sum(0).max()) == pytest.approx(1, abs=1e-5)

    def test_small_regions_of_large_images_keep_their_area(self):
        labels = np.zeros((1500, 1200), np.uint8)
        labels[701:704, :] = 1  # three rows, much thinner than a pixel of the grid
        labels[300:305, 411:416] = 2
        canvas_transform = fit_canvas_transform(Geometry(labels.shape), (192, 192))
        shares = label_probabilities(labels, [1, 2], canvas_transform).numpy()
        cell = (2 * canvas_transform.scale) ** 2  # native pixels
        inside = 1200 / (
            2 * canvas_transform.scale
        )  # cells across; the rest of the canvas repeats the border
        first = round((96 - inside) / 2) + 2
        rows = shares[1][:, first : first + 10].sum(0) * 2 * canvas_transform.scale
        np.testing.assert_allclose(rows, 3, rtol=0.02)
        assert shares[2].sum() * cell == pytest.approx(25, rel=0.02)

    def test_landmarks_lie_on_the_grid(self, cohort, data):
        truth = read_landmarks(data / "truth.csv")
        found = RegistrationDataset(cohort, {}, choose_device("cpu"), landmarks=truth)
        positions, trust = found.landmarks([0])
        name = cohort.names[0]
        back = cohort.canvas_transform(0).to_native((positions[0].numpy() + 0.5) * 2 - 0.5)
        np.testing.assert_allclose(back, truth[name].positions(), atol=1e-3)
        assert float(trust.min()) == 1

    def test_labels_of_another_size_are_refused(self, cohort):
        with pytest.raises(InputError, match=cohort.names[0]):
            RegistrationDataset(cohort, {cohort.names[0]: np.zeros((5, 5), int)}, choose_device("cpu"))


class TestTraining:
    def test_reports_its_terms(self, trained):
        model, _ = trained
        assert {"similarity", "dice", "bending", "jacobian"} <= set(model.record["terms"])
        assert model.record["history"]["steps"] == 6
        assert not model.record["cancelled"]

    def test_a_stored_model_answers_alike(self, trained, phantoms):
        model, folder = trained
        again = RegistrationModel.load(folder, device=choose_device("cpu"))
        first, second = phantoms[2].image, phantoms[3].image
        points = phantoms[2].landmarks.positions()
        np.testing.assert_allclose(
            model.register(first, second).transform.to_moving(points),
            again.register(first, second).transform.to_moving(points),
            atol=1e-3,  # sums are taken in another order after loading
        )
        assert again.labels == model.labels
        assert not (folder / CHECKPOINT).exists()

    def test_without_labels(self, cohort, phantoms):
        model = train_registration(cohort, {}, options=FEW)
        assert model.segmenter is None
        assert "dice" not in model.record["terms"]
        found = model.register(phantoms[0].image, phantoms[1].image)
        assert found.fixed_regions is None

    @pytest.mark.parametrize("changes", [{"warped_labels": True}])
    def test_other_ways(self, cohort, labels, changes):
        options = RegistrationOptions(device="cpu", steps=5, **changes)
        assert train_registration(cohort, labels, options=options).record["history"]["steps"] == 5

    def test_a_term_can_be_switched_off(self, cohort, labels):
        options = RegistrationOptions(device="cpu", steps=6, weights=LossWeights(dice=0, jacobian=0))
        assert set(train_registration(cohort, labels, options=options).record["terms"]) == {
            "similarity",
            "bending",
        }

    def test_landmarks_guide(self, cohort, data):
        truth = read_landmarks(data / "truth.csv")
        model = train_registration(cohort, {}, options=FEW, landmarks=truth)
        assert "landmarks" in model.record["terms"]

    def test_a_landmark_unknown_in_some_images_does_not_stop_the_learning(self, cohort, data):
        truth = dict(list(read_landmarks(data / "truth.csv").items())[:2])  # the other two have none
        model = train_registration(cohort, {}, options=FEW, landmarks=truth)
        head = model.network.velocity_head.bias.detach().numpy()
        assert np.isfinite(head).all()
        assert abs(head).max() > 0  # it starts at zero: steps with gradients that are not finite are left out

    def test_nothing_to_learn_from(self, cohort, labels):
        nothing = RegistrationOptions(device="cpu", steps=2, weights=LossWeights(similarity=0))
        with pytest.raises(InputError, match="nothing is left to learn from"):
            train_registration(cohort, {}, options=nothing)

    def test_other_labels_are_not_gone_on_with(self, cohort, labels, tmp_path):
        cancel = CancelToken()
        cancel.cancel()
        train_registration(cohort, labels, options=FEW, folder=tmp_path / "model", cancel=cancel)
        before = (tmp_path / "model" / "run.json").read_text()
        others = {name: array + 10 * (array > 0) for name, array in labels.items()}
        with pytest.raises(InputError, match="labels have changed"):
            train_registration(cohort, others, options=FEW, folder=tmp_path / "model", resume=True)
        assert (tmp_path / "model" / "run.json").read_text() == before

    def test_small_volumes(self, tmp_path, drawn):
        import SimpleITK as sitk

        for number in range(2):
            image = sitk.GetImageFromArray(drawn.texture((24, 28, 32), seed=number))
            sitk.WriteImage(image, str(tmp_path / f"{number}.nrrd"))
        cohort = Cohort.from_folder(tmp_path, working_size=64)
        options = RegistrationOptions(device="cpu", steps=1)
        model = train_registration(cohort, {}, options=options)
        found = model.register(cohort.read(0), cohort.read(1))
        assert found.transform.displacement.shape[-1] == 3

    def test_the_same_seed_gives_the_same_model(self, cohort, labels):
        options = RegistrationOptions(device="cpu", steps=3)
        first, second = (train_registration(cohort, labels, options=options) for _ in range(2))
        for a, b in zip(first.network.parameters(), second.network.parameters(), strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), atol=1e-6)

    def test_a_cancelled_training_can_be_resumed(self, cohort, labels, tmp_path):
        cancel = CancelToken()
        cancel.cancel()
        folder = tmp_path / "model"
        early = train_registration(cohort, labels, options=FEW, folder=folder, cancel=cancel)
        assert early.record["cancelled"]
        assert RegistrationModel.load(folder).record["cancelled"]
        done = train_registration(cohort, labels, options=FEW, folder=folder, resume=True)
        assert done.record["history"]["steps"] == 6
        assert not (folder / CHECKPOINT).exists()

    def test_a_resumed_training_keeps_its_options(self, cohort, labels, tmp_path):
        cancel = CancelToken()
        cancel.cancel()
        first = RegistrationOptions(device="cpu", steps=3, seed=5, weights=LossWeights(roi=1.5))
        train_registration(cohort, labels, options=first, folder=tmp_path, cancel=cancel)
        done = train_registration(cohort, labels, options=FEW, folder=tmp_path, resume=True)
        assert done.record["options"]["seed"] == 5
        assert done.record["options"]["steps"] == 3
        assert done.weights.roi == 1.5

    def test_coarse_scales_count_in_the_beginning_only(self, cohort, labels, monkeypatch):
        from napari_landmark.registration.training.train import trainer

        honest, seen = trainer.loss_terms, []

        def spy(*given, coarse):
            seen.append(coarse)
            return honest(*given, coarse=coarse)

        monkeypatch.setattr(trainer, "loss_terms", spy)
        train_registration(cohort, labels, options=RegistrationOptions(device="cpu", steps=10))
        assert seen == [True] * 4 + [False] * 4  # from 20% to 60%, and after that

    def test_a_new_training_does_not_leave_the_checkpoint_of_an_old_one(self, cohort, labels, tmp_path):
        cancel = CancelToken()
        cancel.cancel()
        train_registration(cohort, labels, options=FEW, folder=tmp_path, cancel=cancel)
        old = (tmp_path / "checkpoint.safetensors").read_bytes()

        class Killed(Exception):
            pass

        def die(event):
            raise Killed

        with pytest.raises(Killed):
            train_registration(cohort, labels, options=FEW, folder=tmp_path, progress=die)
        left = tmp_path / "checkpoint.safetensors"
        assert not left.exists() or left.read_bytes() != old

    @pytest.mark.parametrize("what", ["images have label maps", "landmarks guide"])
    def test_other_guidance_is_not_gone_on_with(self, cohort, labels, data, tmp_path, what):
        cancel = CancelToken()
        cancel.cancel()
        truth = read_landmarks(data / "truth.csv")
        train_registration(cohort, labels, options=FEW, landmarks=truth, folder=tmp_path, cancel=cancel)
        others = labels if "landmarks" in what else {cohort.names[-1]: next(iter(labels.values()))}
        marks = None if "landmarks" in what else truth
        with pytest.raises(InputError, match=what):
            train_registration(cohort, others, options=FEW, landmarks=marks, folder=tmp_path, resume=True)

    def test_minutes_that_are_over_are_refused(self, cohort, labels, tmp_path):
        cancel = CancelToken()
        cancel.cancel()
        train_registration(cohort, labels, options=FEW, folder=tmp_path, cancel=cancel)
        model = json.loads((tmp_path / "model.json").read_text())
        model["training"]["history"]["seconds"] = 120
        (tmp_path / "model.json").write_text(json.dumps(model))
        more = RegistrationOptions(minutes=1.5, device="cpu")
        with pytest.raises(InputError, match=r"took 2\.0 already"):
            train_registration(cohort, labels, options=more, folder=tmp_path, resume=True)
        assert (tmp_path / "checkpoint.safetensors").exists()

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "[]",
            "{}",
            '{"options": 3}',
            '{"options": {"steps": 2, "weights": {"roi": -1}}}',
            "STEPS",
            "SEED",
        ],
    )
    def test_a_spoiled_record_is_named(self, cohort, labels, tmp_path, content):
        cancel = CancelToken()
        cancel.cancel()
        train_registration(cohort, labels, options=FEW, folder=tmp_path, cancel=cancel)
        path = tmp_path / "run.json"
        if content == "STEPS":
            record = json.loads(path.read_text())
            record["options"]["steps"] = "8"
            content = json.dumps(record)
        path.write_text(content)
        with pytest.raises(InputError, match=r"run\.json.*start without --resume"):
            train_registration(cohort, labels, options=FEW, folder=tmp_path, resume=True)

    def test_nothing_to_resume(self, cohort, labels, tmp_path):
        with pytest.raises(InputError, match="resume"):
            train_registration(cohort, labels, options=FEW, folder=tmp_path, resume=True)

    def test_a_single_image_is_refused(self, tmp_path, phantoms):
        from PIL import Image

        Image.fromarray(phantoms[0].image.array).save(tmp_path / "one.png")
        with pytest.raises(InputError, match="two"):
            train_registration(Cohort.from_folder(tmp_path), {}, options=FEW)


class TestModel:
    def test_zero_steps_take_its_word(self, trained, phantoms):
        model, _ = trained
        first, second = phantoms[2].image, phantoms[3].image
        points = phantoms[2].landmarks.positions()
        np.testing.assert_allclose(
            register_pair(first, second, model=model, options=PairOptions(steps=0)).transform.to_moving(
                points
            ),
            model.register(first, second).transform.to_moving(points),
            atol=1e-4,
        )

    def test_a_few_steps_do_not_make_it_worse(self, trained):
        model, _ = trained
        first, second = hand_phantom(8, size=(64, 64)), hand_phantom(9, size=(64, 64))
        found = register_pair(first.image, second.image, model=model, options=PairOptions(steps=25))
        plain = register_pair(first.image, second.image, model=model, options=PairOptions(steps=1))
        assert found.terms["similarity"] < plain.terms["similarity"]

    def test_a_pair_starts_from_the_weights_of_the_model(self, trained, tmp_path):
        """A term that the training left out is left out of the pair, too, unless the options say otherwise."""
        model, _ = trained
        assert model.weights == LossWeights()
        model.save(tmp_path)
        sidecar = json.loads((tmp_path / "model.json").read_text())
        sidecar["training"]["options"]["weights"] = {"bending": 0, "regions": {"1": 3}}
        (tmp_path / "model.json").write_text(json.dumps(sidecar))
        other = RegistrationModel.load(tmp_path)
        assert other.weights == LossWeights(bending=0, regions={1: 3})
        image = hand_phantom(8, size=(64, 64)).image
        found = register_pair(image, image, model=other, options=PairOptions(steps=1))
        assert "dice" in found.terms
        assert "bending" not in found.terms
        said = PairOptions(steps=1, weights=LossWeights(dice=0))
        assert set(register_pair(image, image, model=other, options=said).terms) >= {"similarity", "bending"}

    @pytest.mark.parametrize("record", [None, [], {}, {"options": None}, {"options": {"steps": 6}}])
    def test_a_record_without_weights(self, trained, tmp_path, record):
        model, _ = trained
        model.save(tmp_path)
        sidecar = json.loads((tmp_path / "model.json").read_text())
        (tmp_path / "model.json").write_text(json.dumps(sidecar | {"training": record}))
        assert RegistrationModel.load(tmp_path).weights == LossWeights()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                {"training": {"options": {"weights": {"dice": -1}}}},
                r"model.json: .*the weight dice.*train again",
            ),
            ({"format": "something"}, "not a registration model"),
            ({"version": 99}, "another version"),
            ({"canvas": None}, "not a complete model"),
            ({"labels": [1]}, "1 labels"),
        ],
    )
    def test_damaged_sidecars(self, trained, tmp_path, change, message):
        model, _ = trained
        model.save(tmp_path)
        sidecar = json.loads((tmp_path / "model.json").read_text())
        (tmp_path / "model.json").write_text(json.dumps(sidecar | change))
        with pytest.raises(InputError, match=message):
            RegistrationModel.load(tmp_path)

    def test_a_volume_is_refused(self, trained, phantoms, drawn):
        model, _ = trained
        volume = drawn.image(np.zeros((8, 8, 8), np.uint8), "volume.nrrd")
        with pytest.raises(InputError, match=r"volume.nrrd"):
            model.register(volume, volume)
