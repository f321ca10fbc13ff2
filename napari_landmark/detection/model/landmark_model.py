"""Trained landmark model: inference on one image."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.cohort.working_grid import CanvasTransform, fit_canvas_transform, resample
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.sides import Sides
from napari_landmark.detection.detector.detector import DetectorNetwork, detector_prior
from napari_landmark.detection.detector.patch_detector import PatchDetector, detect_in_patches
from napari_landmark.detection.embedding.embedding import Embedding
from napari_landmark.detection.embedding.template_matching import Descriptors, match_templates
from napari_landmark.detection.model.detection import Detection
from napari_landmark.detection.model.embedding_trials import EmbeddingTrials
from napari_landmark.detection.model.expected_positions import expected_positions
from napari_landmark.detection.model.judgement import UsualErrors, judge
from napari_landmark.detection.model.landmark_kriging import krige
from napari_landmark.detection.model.stated_errors import StatedErrors
from napari_landmark.detection.model.subjects import Box, find_beside, find_in_halves
from napari_landmark.detection.model.uncertainty import (
    detector_error,
    match_error,
    native_error,
    refinement_error,
)
from napari_landmark.detection.pose.candidates import ContentBounds
from napari_landmark.detection.pose.options import PoseOptions
from napari_landmark.detection.pose.search import Evaluate, PoseSearch, PoseTrial
from napari_landmark.detection.refinement.local_refinement import (
    LocalRefiner,
    embedding_prior,
    refine_positions,
)
from napari_landmark.detection.refinement.native_refinement import (
    NativeRefiner,
    read_native,
    refine_on_native_pixels,
)
from napari_landmark.learning.batches import downsample
from napari_landmark.learning.device import Device

_CLEARLY_LESS = 0.75  # of the expected error: another pose is taken
_MOST_OF_IMAGE = 0.75  # size of a subject relative to the image, up to which another one may be beside it
_CONFIRMED = 3  # poses that match best, in which all networks are tried


@dataclass(frozen=True)
class _Prediction:
    """Landmarks on the working grid, in the order of the schema; NaN where no template shows them.

    Parameters
    ----------
    positions : (n_landmarks, d) float array
    confidence, error : (n_landmarks,) float arrays
    heatmaps : (n_landmarks, *cells) float32 array or None
    stride : int
        Pixels per cell of the heatmaps.
    consensus : (n_landmarks,) float array
        0..1, of the local refinement; 1 without one.
    """

    positions: np.ndarray
    confidence: np.ndarray
    error: np.ndarray
    heatmaps: np.ndarray | None
    stride: int
    consensus: np.ndarray

    @property
    def mean_error(self) -> float:
        """Mean expected error; infinite without any."""
        known = self.error[np.isfinite(self.positions[:, 0]) & np.isfinite(self.error)]
        return float(known.mean()) if len(known) else math.inf


@dataclass(frozen=True)
class _CoarsePrediction:
    """Prediction of a network that sees the whole image, before refinement; lengths in pixels of the working grid.

    Parameters
    ----------
    positions : (n_landmarks, d) float array
    confidence, error : (n_landmarks,) float arrays
        Confidence (not clipped) and expected error.
    heatmaps : (n_landmarks, *cells) tensor or None
        Not normalised.
    stride : int
        Pixels per cell of the heatmaps.
    prior : float
        Standard deviation of the true positions around these.
    """

    positions: np.ndarray
    confidence: np.ndarray
    error: np.ndarray
    heatmaps: torch.Tensor | None
    stride: int
    prior: float


class LandmarkModel:
    """Embedding with the templates' descriptors and, after a complete training, local refiner and detector.

    Parameters
    ----------
    schema : LandmarkSchema
    canvas : tuple of int
        Shape of the working grid that the networks were trained on, in array axis order.
    embedding : Embedding
    descriptors : Descriptors
        Of the templates.
    detector : DetectorNetwork or None
        None after a training that was cancelled early: the templates are matched by the embedding instead.
    refiner : LocalRefiner or None
        None after a training that was cancelled early: predictions are not refined.
    native_refiner : NativeRefiner or None
        Refines once more on native pixels; None where the templates have about as many as the working grid.
    patch_detector : PatchDetector or None
        Detects once more in patches around the detector's positions; None in models of earlier versions, and after a
        training that was cancelled before.
    device : Device
    pose_options : PoseOptions or None
        None where the model was trained without poses, or too early: images are taken as they are.
    poses : mapping of str to Pose
        Known poses of the training images by name, upright ones left out.
    record : dict
        Options, device, templates, data fingerprint and versions of the training.
    usual_errors : UsualErrors or None
        Expected errors in the images of the training; without them images get no state, and no landmark is missing.
    stated_errors : StatedErrors or None
        Level of the errors in the cohort of the training; without it predictions state what their own signs tell, and
        no covariances.
    """

    def __init__(
        self,
        schema: LandmarkSchema,
        canvas: tuple[int, ...],
        embedding: Embedding,
        descriptors: Descriptors,
        detector: DetectorNetwork | None,
        *,
        refiner: LocalRefiner | None = None,
        native_refiner: NativeRefiner | None = None,
        patch_detector: PatchDetector | None = None,
        device: Device,
        pose_options: PoseOptions | None = None,
        poses: Mapping[str, Pose] | None = None,
        record: dict | None = None,
        usual_errors: UsualErrors | None = None,
        stated_errors: StatedErrors | None = None,
    ) -> None:
        self.schema, self.canvas, self.device = schema, tuple(canvas), device
        self.embedding = embedding.use_device(device).eval()
        self.descriptors, self.detector = descriptors, detector
        self.refiner, self.native_refiner = refiner, native_refiner
        self.patch_detector = patch_detector
        self.pose_options, self.poses = pose_options, dict(poses or {})
        self.record, self.usual_errors = record or {}, usual_errors
        self.stated_errors = stated_errors
        if detector is not None:
            detector.eval()

    def detect(self, image: MedicalImage, *, heatmaps: bool = False, pose: Pose | None = None) -> Detection:
        """Predict the landmarks of an image of any size, spacing and pose.

        Uniform borders are cut. Where the expected error is far above what is usual, other poses are tried, and that
        with the least error is taken.

        Parameters
        ----------
        heatmaps : bool
            Return heatmaps, too.
        pose : Pose, optional
            Known pose of the image, to be used as it is.

        Raises
        ------
        InputError
            The image has another number of dimensions than the cohort.
        """
        if image.geometry.ndim != len(self.canvas):
            kind = {2: "2-D images", 3: "volumes"}[len(self.canvas)]
            raise InputError(
                f"{image.name}: has {image.geometry.ndim} dimensions, the model was trained on {kind}"
            )
        return self._stated(self._detect_any(image, pose, heatmaps=heatmaps), image.geometry)

    def _detect_any(self, image: MedicalImage, pose: Pose | None, *, heatmaps: bool) -> Detection:
        """Predict as `detect`, with the errors that the signs of a prediction tell."""
        return self._told_apart(self._detect_whole(image, pose, heatmaps=heatmaps), image, heatmaps=heatmaps)

    def _detect_whole(
        self, image: MedicalImage, pose: Pose | None, *, heatmaps: bool, thorough: bool = True
    ) -> Detection:
        """Detect in an image as one subject, in the given or the best pose; of quarter turns only if not thorough."""
        if pose is not None:
            return self._judged(self._detect_posed(image, pose, heatmaps=heatmaps), image.geometry)
        upright = self._resample(image, None)
        bounds = self._bounds(image, upright)
        if bounds.is_cut:
            found = self._detect_posed(image, bounds.fit(np.eye(len(self.canvas))), heatmaps=heatmaps)
        else:
            canvas_transform = fit_canvas_transform(image.geometry, self.canvas)
            found = self.detect_working(upright, canvas_transform, native=image, heatmaps=heatmaps)
        found = self._in_better_pose(image, upright, found, bounds, heatmaps=heatmaps, thorough=thorough)
        return self._judged(found, image.geometry)

    def detect_in_cohort(self, cohort: Cohort, number: int, *, heatmaps: bool = False) -> Detection:
        """Predict the landmarks of image `number` of a cohort.

        The cached image is used where the cohort has the model's working grid and the image is drawn in its known
        pose. A cohort of another working size, or whose median proportions changed, is read from its files, and so
        are images refined on their native pixels.
        """
        found = self._detect_in_cohort(cohort, number, heatmaps=heatmaps)
        return self._stated(found, cohort.geometry(number))

    def _detect_in_cohort(self, cohort: Cohort, number: int, *, heatmaps: bool) -> Detection:
        """Predict as `detect_in_cohort`, with the errors that the signs of a prediction tell."""
        drawn, known = cohort.pose(number), self.poses.get(cohort.names[number])
        if tuple(cohort.canvas) != self.canvas or (known is not None and known != drawn):
            image = cohort.read(number)
            if known is not None:
                posed = self._detect_any(image, known, heatmaps=heatmaps)
                if not self._is_unusual(posed):  # else another image of that name
                    return posed
            return self._detect_any(image, None, heatmaps=heatmaps)
        working = cohort.working(number)
        geometry, upright = cohort.geometry(number), working if drawn.is_upright else None
        if self.pose_options is not None and ContentBounds.of_image(geometry, self.canvas, upright).is_cut:
            return self._detect_any(cohort.read(number), None, heatmaps=heatmaps)
        canvas_transform, finer = cohort.canvas_transform(number), self.native_refiner
        wanted = finer is not None and finer.suits(canvas_transform)
        native = read_native(cohort, number) if wanted else None
        found = self.detect_working(working, canvas_transform, native=native, heatmaps=heatmaps, pose=drawn)
        judged = self._judged(found, geometry)
        is_ordinary = not self._may_be_turned(geometry, found) and not _is_flagged(judged)
        if is_ordinary and self._frame(judged, geometry) is None:
            return judged
        original = native if wanted else read_native(cohort, number)
        if original is None:
            return judged
        upright = self._resample(original, None)
        bounds = self._bounds(original, upright)
        found = self._in_better_pose(original, upright, found, bounds, heatmaps=heatmaps)
        return self._told_apart(self._judged(found, geometry), original, heatmaps=heatmaps)

    def _stated(self, detection: Detection, geometry: Geometry) -> Detection:
        """A detection with the errors that predictions of this cohort have, their covariances, and kriged positions."""
        errors = self.stated_errors
        if errors is None:
            return detection
        transform = fit_canvas_transform(geometry, self.canvas, detection.pose)
        rows = self._rows(detection.pose)

        def state(marks: LandmarkSet) -> LandmarkSet:
            stated = errors.state(marks, transform.matrix, rows)
            if errors.shares is None or (self.patch_detector is not None and self.patch_detector.is_alone):
                return stated  # one that is alone has learned the shapes from more images than are templates
            found = stated.positions(len(self.canvas))
            noise = stated.covariances(len(self.canvas)) * errors.shares[rows][:, None, None]
            kriged = krige(self._template[rows], found, noise)
            first, last = np.minimum(found, -0.5), np.maximum(found, np.asarray(geometry.shape) - 0.5)
            inside = np.clip(kriged, first, last)  # none leaves the image
            return LandmarkSet(
                stated.schema,
                (
                    mark if mark.position is None else replace(mark, position=tuple(position))
                    for mark, position in zip(stated.values(), inside.tolist(), strict=True)
                ),
                image_state=stated.image_state,
            )

        return replace(
            detection,
            landmarks=state(detection.landmarks),
            subjects=tuple(map(state, detection.subjects)),
        )

    def _judged(self, detection: Detection, geometry: Geometry) -> Detection:
        """A detection with the state of the image, and without landmarks that it does not show."""
        return replace(detection, landmarks=self._judge(detection.landmarks, geometry, detection.pose))

    def _judge(self, landmarks: LandmarkSet, geometry: Geometry, pose: Pose) -> LandmarkSet:
        if self.usual_errors is None:
            return landmarks
        transform = fit_canvas_transform(geometry, self.canvas, pose)
        told = expected_positions(
            self._template[self._rows(pose)],
            transform.to_working(landmarks.positions(len(self.canvas))),
            landmarks.expected_errors() / transform.scale / self.usual_errors.landmarks,
            self.canvas,
        )
        return judge(
            landmarks,
            self.usual_errors,
            shape=geometry.shape,
            scale=transform.scale,
            expected=None if told is None else transform.to_native(told),
        )

    def _told_apart(self, detection: Detection, image: MedicalImage, *, heatmaps: bool) -> Detection:
        """The detection, or that of one of several subjects.

        They are looked for where the image is flagged, and where a subject fills a part of it only: beside it,
        and in both halves, since a strip beside a subject may cut into the next one.
        """

        def detect(part: MedicalImage) -> Detection:
            return self._detect_whole(part, None, heatmaps=heatmaps, thorough=False)

        if _is_flagged(detection):
            return find_in_halves(image, self.canvas, detect) or detection
        frame = self._frame(detection, image.geometry)
        if frame is None:
            return detection
        bounds = self._bounds(image, self._resample(image, None))
        upright = fit_canvas_transform(image.geometry, self.canvas)
        content = _box(upright.to_native(np.stack([bounds.low, bounds.high])))
        beside = find_beside(
            image, detection, frame=frame, content=content, canvas=self.canvas, detect=detect
        )
        return beside or find_in_halves(image, self.canvas, detect) or detection

    def _frame(self, detection: Detection, geometry: Geometry) -> Box | None:
        """Part of the image that is shown as the template is; None where that is most of the image."""
        if self.pose_options is None or len(self.canvas) != 2:
            return None
        trial = self._as_trial(geometry, detection)
        if trial.is_scattered(self._template, self.canvas):
            return None
        inner = trial.to_template(self._template, self.canvas)
        pose = detection.pose if inner is None else detection.pose.then(inner)
        if pose.scale > _MOST_OF_IMAGE:
            return None
        corners = np.array(list(itertools.product(*((-0.5, side - 0.5) for side in self.canvas))))
        return _box(fit_canvas_transform(geometry, self.canvas, pose).to_native(corners))

    def detect_working(
        self,
        pixels: np.ndarray,
        canvas_transform: CanvasTransform,
        *,
        native: MedicalImage | None = None,
        heatmaps: bool = False,
        pose: Pose | None = None,
    ) -> Detection:
        """Predict the landmarks of an image that was resampled to the working grid, without a judgement of it.

        Parameters
        ----------
        pixels : (*canvas) float32 array
            Intensities 0..1.
        canvas_transform : CanvasTransform
            From the working grid to the native image.
        native : MedicalImage, optional
            The native image; without it predictions are refined on the working grid alone.
        pose : Pose, optional
            In which the image was resampled; upright by default.
        """
        found = self._predict(pixels, heatmaps=heatmaps)
        working_error = found.mean_error  # comparable between images with and without native pixels
        if native is not None:
            found = self._on_native_pixels(found, native, canvas_transform)
        pose = pose or Pose.upright(len(self.canvas))
        if self.pose_options is not None:
            rows = self._rows(pose)
            found = replace(
                found,
                positions=found.positions[rows],
                confidence=found.confidence[rows],
                error=found.error[rows],
                heatmaps=None if found.heatmaps is None else found.heatmaps[rows],
            )
        landmarks = LandmarkSet.from_array(
            self.schema,
            canvas_transform.to_native(found.positions),
            status=Status.PREDICTED,
            confidence=found.confidence,
            expected_error=found.error * canvas_transform.scale,
        )
        stride = found.stride
        return Detection(
            landmarks,
            found.heatmaps,
            canvas_transform.matrix * stride,
            canvas_transform.matrix @ np.full(len(self.canvas), (stride - 1) / 2) + canvas_transform.offset,
            pose,
            working_error,
        )

    def locate(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions and consensus of the landmarks in an image on the working grid, in the template's pose.

        Parameters
        ----------
        pixels : (*canvas) float32 array
            Intensities 0..1.

        Returns
        -------
        positions : (n_landmarks, d) float array
            On the working grid; NaN where no template shows the landmark.
        consensus : (n_landmarks,) float array
            0..1, of the local refinement.
        """
        found = self._predict(pixels)
        return found.positions, found.consensus

    def _predict(self, pixels: np.ndarray, *, heatmaps: bool = False) -> _Prediction:
        """Predict the landmarks of the template on the working grid."""
        image = self.device.to(torch.from_numpy(np.ascontiguousarray(pixels))[None, None])
        if self.detector is None:
            coarse = self._match(image, heatmaps=heatmaps)
        else:
            coarse = self._detect(self.detector, image)
        positions, error = coarse.positions, coarse.error
        absent = self.descriptors.positions[..., 0].isnan().all(0).cpu().numpy()  # no template shows these
        consensus = np.where(absent, np.nan, 1.0)
        if self.refiner is not None:
            refined = refine_positions(self.refiner, pixels, positions, self.device, prior=coarse.prior)
            positions = refined.between(positions)
            consensus = np.where(absent, np.nan, refined.consensus)
            error = refinement_error(error, consensus=consensus, typical=self.refiner.typical)
        if self.patch_detector is not None:
            local = detect_in_patches(self.patch_detector, pixels, coarse.positions, self.device)
            beside = coarse.positions if self.patch_detector.is_alone else positions
            positions = (beside + local.positions) / 2
        return _Prediction(
            np.where(absent[:, None], np.nan, positions),
            np.clip(coarse.confidence, 0, 1),
            error,
            _normalised(coarse.heatmaps, absent) if heatmaps and coarse.heatmaps is not None else None,
            coarse.stride,
            consensus,
        )

    def _on_native_pixels(
        self, found: _Prediction, image: MedicalImage, canvas_transform: CanvasTransform
    ) -> _Prediction:
        """The prediction refined once more, where the image is larger than the working grid."""
        finer = self.native_refiner
        if finer is None or not finer.suits(canvas_transform):
            return found
        absent = np.isnan(found.positions[:, 0])
        expected = np.where(absent[:, None], 0.0, found.positions)
        refined = refine_on_native_pixels(finer, image, canvas_transform, expected, self.device)
        return replace(
            found,
            positions=np.where(absent[:, None], np.nan, refined.between(expected)),
            error=native_error(found.error, consensus=np.where(absent, np.nan, refined.consensus)),
        )

    def _resample(self, image: MedicalImage, pose: Pose | None) -> np.ndarray:
        return resample(image, fit_canvas_transform(image.geometry, self.canvas, pose))

    def _bounds(self, image: MedicalImage, upright: np.ndarray) -> ContentBounds:
        """Content of an image; a model that was trained without poses saw whole images only."""
        cut = None if self.pose_options is None else upright
        return ContentBounds.of_image(image.geometry, self.canvas, cut)

    def _detect_posed(self, image: MedicalImage, pose: Pose, *, heatmaps: bool) -> Detection:
        canvas_transform = fit_canvas_transform(image.geometry, self.canvas, pose)
        return self.detect_working(
            resample(image, canvas_transform), canvas_transform, native=image, heatmaps=heatmaps, pose=pose
        )

    def _is_unusual(self, found: Detection) -> bool:
        return self.pose_options is not None and self.pose_options.is_unusual(found.working_error)

    def _in_better_pose(
        self,
        image: MedicalImage,
        upright: np.ndarray,
        found: Detection,
        bounds: ContentBounds,
        *,
        heatmaps: bool,
        thorough: bool = True,
    ) -> Detection:
        """The detection, or that in another pose where its expected error is unusual and the other's clearly less."""
        options = self.pose_options
        if options is None or options.usual_error is None or not self._may_be_turned(image.geometry, found):
            return found

        def evaluate(pose: Pose) -> PoseTrial:
            tried = self._predict(self._resample(image, pose))
            return PoseTrial(pose, tried.mean_error, tried.positions, tried.error)

        every = (
            [bounds] if not bounds.is_cut else [bounds, ContentBounds.of_image(image.geometry, self.canvas)]
        )
        search = PoseSearch(evaluate, every, self._template, options.mirror)
        trial = self._as_trial(image.geometry, found)
        best = search.refined(trial)
        if options.is_unusual(best.error) and not self._shows_a_part(image.geometry, best):
            matched = replace(search, evaluate=self._matching(upright))
            candidates = matched.coarse()
            if thorough:
                candidates = matched.best(candidates, options.usual_match_error or 0.0)
            best = search.first_good(best, candidates[: _CONFIRMED if thorough else 1], options.usual_error)
        if not best.score < _CLEARLY_LESS * trial.score:
            return found
        return self._detect_posed(image, best.pose, heatmaps=heatmaps)

    def _matching(self, upright: np.ndarray) -> Evaluate:
        """Trials of poses by the embedding alone of an image on its upright working grid."""
        return EmbeddingTrials(upright, self.embedding, self.descriptors, self.device)

    @property
    def _template(self) -> np.ndarray:
        """Landmarks (n, d) of the first template on the working grid."""
        return self.descriptors.positions[0].cpu().numpy().astype(float)

    def _may_be_turned(self, geometry: Geometry, found: Detection) -> bool:
        """Whether expected error or positions tell of another pose."""
        if self.pose_options is None or self.pose_options.usual_error is None:
            return False
        if len(self.canvas) != 2:  # candidates of a volume are too many to try all of them
            return False
        trial = self._as_trial(geometry, found)
        if trial.is_off(self._template, self.canvas):
            return True
        return self._is_unusual(found) and not self._shows_a_part(geometry, trial)

    def _shows_a_part(self, geometry: Geometry, trial: PoseTrial) -> bool:
        """Whether the anatomy is found in a pose, and what raises the error are landmarks outside of the image."""
        if self.usual_errors is None:
            return False
        transform, rows = fit_canvas_transform(geometry, self.canvas, trial.pose), self._rows(trial.pose)
        found = LandmarkSet.from_array(
            self.schema,
            transform.to_native(trial.positions[rows]),
            status=Status.PREDICTED,
            expected_error=trial.errors[rows] * transform.scale,
        )
        return self._judge(found, geometry, trial.pose).image_state is ImageState.FOUND

    def _as_trial(self, geometry: Geometry, found: Detection) -> PoseTrial:
        """The landmarks of a detection on the working grid that they were found on."""
        canvas_transform = fit_canvas_transform(geometry, self.canvas, found.pose)
        rows = self._rows(found.pose)
        positions = canvas_transform.to_working(found.landmarks.positions(len(self.canvas)))[rows]
        errors = found.landmarks.expected_errors()[rows] / canvas_transform.scale
        return PoseTrial(found.pose, found.working_error, positions, errors)

    def _rows(self, pose: Pose) -> NDArray[np.int64]:
        """Rows of the template's landmarks in the order of the schema: sides are exchanged in a mirrored pose."""
        sides = Sides() if self.pose_options is None else self.pose_options.sides
        return sides.rows(self.schema.names, mirrored=pose.is_mirrored)

    def _match(self, image: torch.Tensor, *, heatmaps: bool) -> _CoarsePrediction:
        """Match the templates by the embedding in an image (1, 1, *canvas)."""
        maps = self.embedding.embed(image)
        positions, similarity, cycle, heat = match_templates(
            self.embedding, self.descriptors, maps, keep_heatmaps=heatmaps
        )
        error = match_error(similarity=similarity, cycle=cycle, canvas=self.canvas)
        stride = self.embedding.strides[-1]
        return _CoarsePrediction(positions, similarity, error, heat, stride, embedding_prior(self.embedding))

    def _detect(self, detector: DetectorNetwork, image: torch.Tensor) -> _CoarsePrediction:
        """Apply the detector to an image (1, 1, *canvas)."""
        config = detector.config
        votes = detector.vote(downsample(image, config.downsampling), self.device)
        error = detector_error(
            spread=votes.spread[0].cpu().numpy(), sigma=config.sigma * config.downsampling, canvas=self.canvas
        )
        return _CoarsePrediction(
            votes.positions[0].cpu().numpy(),
            votes.confidence[0].cpu().numpy(),
            error,
            votes.heatmaps[0],
            config.downsampling * config.finest_stride,
            detector_prior(detector),
        )

    def digest(self) -> str:
        """SHA-256 over names, grid, pose options, weights and descriptors: equal for models that predict the same."""
        total = hashlib.sha256(json.dumps([self.schema.names, self.canvas]).encode())
        if self.pose_options is not None:
            total.update(json.dumps(self.pose_options.to_json()).encode())
        networks = [self.embedding, self.detector, self.refiner.network if self.refiner else None]
        if self.patch_detector is not None:
            networks.append(self.patch_detector.network)
        parts: list[Mapping[str, torch.Tensor]] = [
            {} if network is None else network.state_dict() for network in networks
        ]
        parts.append({"positions": self.descriptors.positions})
        parts.append({f"vectors.{k}": vectors for k, vectors in enumerate(self.descriptors.vectors)})
        if self.refiner is not None:
            parts.append({f"close.{k}": v for k, v in enumerate(self.refiner.descriptors.vectors)})
        if self.native_refiner is not None:
            parts.append(
                {f"native.{k}": v for k, v in enumerate(self.native_refiner.refiner.descriptors.vectors)}
            )
        if self.usual_errors is not None:
            total.update(json.dumps(self.usual_errors.to_json()).encode())
        if self.stated_errors is not None:
            total.update(json.dumps(self.stated_errors.to_json()).encode())
        for tensors in parts:
            for name, value in sorted(tensors.items()):
                total.update(name.encode())
                total.update(value.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
        return total.hexdigest()


def _box(points: np.ndarray) -> Box:
    """Edges of the box around points (n, d)."""
    return points.min(0), points.max(0)


def _is_flagged(detection: Detection) -> bool:
    state = detection.landmarks.image_state
    return state is not None and state.is_flagged


def _normalised(heatmaps: torch.Tensor, absent: np.ndarray) -> np.ndarray:
    """Heatmaps (n_landmarks, *cells) with the peak of each at 1; zeros where the landmark is absent."""
    heatmaps = heatmaps.clone()
    heatmaps[torch.from_numpy(absent)] = 0
    peak = heatmaps.flatten(1).amax(1).clamp(min=1e-9)
    return (heatmaps / peak.view(-1, *[1] * (heatmaps.ndim - 1))).float().cpu().numpy()
