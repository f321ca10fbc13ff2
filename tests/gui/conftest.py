"""Small studies of drawn hands, so that a whole training takes seconds."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("napari")

from napari.components import ViewerModel

from napari_landmark.backend.machines import WORKERS
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.study import Study
from napari_landmark.gui import mark_preferences
from napari_landmark.gui.layers.layer_manager import LayerManager
from napari_landmark.gui.layers.viewer_session import get_layer_manager, get_session
from napari_landmark.gui.preferences import Preferences
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.widgets.landmarks_dock import LandmarksDock
from napari_landmark.synthetic import hand_phantom

from .pairs import FIXED_CENTRE, SHIFT, SIDE, blob, shifted
from .volumes import volume_study, volume_viewer  # noqa: F401 (fixtures)

NAMES = ("thumb_tip", "index_tip", "middle_tip", "capitate")
DOWNSAMPLING = 4


@pytest.fixture(scope="session")
def hands(tmp_path_factory) -> tuple[Path, dict[str, np.ndarray]]:
    """A folder of small pictures and where their landmarks are."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("hands")
    truth = {}
    for seed in range(4):
        phantom = hand_phantom(seed)
        name = phantom.image.name
        Image.fromarray(np.ascontiguousarray(phantom.image.array[::DOWNSAMPLING, ::DOWNSAMPLING])).save(
            folder / name
        )
        truth[name] = np.array([phantom.landmarks[n].position for n in NAMES]) / DOWNSAMPLING
    return folder, truth


@pytest.fixture(autouse=True)
def preferences(monkeypatch, tmp_path_factory) -> Preferences:
    """Work that is small and leaves nothing behind."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("NAPARI_LANDMARK_CACHE", str(cache))
    jobs = tmp_path_factory.mktemp("jobs")
    jobs.chmod(0o700)
    monkeypatch.setenv("NAPARI_LANDMARK_JOBS", str(jobs))
    monkeypatch.setenv("NAPARI_LANDMARK_CONFIG", str(cache / "config"))
    monkeypatch.setenv(WORKERS, "thread")  # a process takes seconds to import torch
    chosen = Preferences("cpu", 128, cache)
    monkeypatch.setattr(Preferences, "read", classmethod(lambda cls: chosen))
    monkeypatch.setattr(mark_preferences, "_section", lambda: None)  # neither read nor write the user's
    return chosen


@pytest.fixture
def truth(hands) -> dict[str, np.ndarray]:
    return hands[1]


@pytest.fixture
def study(hands, tmp_path) -> Study:
    schema = LandmarkSchema(NAMES, definitions=("Tip of the thumb.", "", "", ""))
    return Study.create(tmp_path / "study", schema=schema, images=hands[0])


@pytest.fixture
def cohort(hands, preferences) -> Cohort:
    return Cohort.from_folder(hands[0], working_size=128, cache_dir=preferences.cache)


@pytest.fixture
def session(study, cohort) -> Session:
    """A session without a viewer."""
    session = Session()
    session.open(study, cohort)
    yield session
    session.close()


@pytest.fixture
def viewer(study, cohort) -> ViewerModel:
    """A viewer without a window, in which the study is open."""
    viewer = ViewerModel()
    get_session(viewer).open(study, cohort)
    yield viewer
    get_session(viewer).close()


@pytest.fixture
def layer_manager(viewer) -> LayerManager:
    return get_layer_manager(viewer)


@pytest.fixture
def stage_steps(monkeypatch):
    """Sets the steps of all stages of the trainings that follow."""
    from napari_landmark.detection.training import options

    def choose(*steps: int) -> None:
        monkeypatch.setattr(
            options,
            "default_options",
            lambda device, *, seed=0, minutes=None: options.TrainingOptions(None, "cpu", seed, *steps),
        )

    return choose


def predict(
    session: Session,
    name: str,
    positions: np.ndarray,
    *,
    error: float = 2.0,
    image_state: ImageState | None = None,
    further: Sequence[np.ndarray] = (),
) -> None:
    """Put a model's landmarks into the study and the session; `further` are positions of further subjects."""
    marks = LandmarkSet.from_array(
        session.schema,
        positions,
        Status.PREDICTED,
        np.linspace(0.3, 0.9, len(positions)),
        np.full(len(positions), error),
    )
    marks = LandmarkSet(marks.schema, marks.values(), image_state=image_state)
    subjects = [
        LandmarkSet(
            session.schema,
            LandmarkSet.from_array(session.schema, found, Status.PREDICTED).values(),
            image_state=image_state,
        )
        for found in further
    ]
    session.study.save_predictions(name, marks, session.geometry(name), further_subjects=subjects)
    session.load_predictions({name: marks})


def on_disk(session: Session, image: str = "") -> LandmarkSet:
    """The annotation of an image in the study's files."""
    return Study.open(session.study.folder).load_annotations(image or session.current_image)


def docked(viewer, name):
    """Dock and widget of an entry of the menu; of the dock with all steps, the widget of the step."""
    dock, widget = viewer.window.add_plugin_dock_widget("napari-landmark", name, tabify=True)
    return dock, widget.widget if isinstance(widget, LandmarksDock) else widget


@pytest.fixture
def messages(session) -> list[tuple[str, str]]:
    heard: list[tuple[str, str]] = []
    session.message.connect(lambda kind, text: heard.append((kind, text)))
    session._heard = heard  # psygnal keeps no strong reference to what only a lambda holds
    return heard


@pytest.fixture
def pair_viewer() -> ViewerModel:
    """Two images as other readers open them: one mirrored and shifted, one in micrometres."""
    viewer = ViewerModel()
    affine = np.diag([-0.5, 0.25, 1.0])
    affine[:2, 2] = (40, 7)
    viewer.add_image(blob(FIXED_CENTRE), name="first", affine=affine, units=("mm", "mm"))
    viewer.add_image(
        blob(FIXED_CENTRE + SHIFT), name="second", scale=(500, 250), units=("um", "um"), translate=(900, 0)
    )
    yield viewer
    get_session(viewer).close()


@pytest.fixture
def labelled(pair_viewer) -> ViewerModel:
    """With labels and points of both."""
    from napari_landmark.gui.layers.registration_layers import same_place

    first, second = pair_viewer.layers["first"], pair_viewer.layers["second"]
    for layer, centre in ((first, FIXED_CENTRE), (second, FIXED_CENTRE + SHIFT)):
        pair_viewer.add_labels(
            (blob(centre) > 80).astype(np.uint8) * 3, name=f"labels of {layer.name}", **same_place(layer)
        )
        pair_viewer.add_points(
            [centre, centre + SIDE],
            name=f"points of {layer.name}",
            features={"name": ["middle", "side"]},
            **same_place(layer),
        )
    return pair_viewer


@pytest.fixture
def known_registration(monkeypatch):
    """A registration that finds the right transform at once, or waits for the event."""
    from napari_landmark.registration.pairwise import register as pair
    from napari_landmark.registration.result import Registration

    asked, go = {}, threading.Event()
    go.set()

    def register_pair(fixed, moving, *, cancel, **how):
        asked.update(how)
        while not go.wait(0.01) and not cancel.cancelled:
            pass
        return Registration(shifted(fixed.geometry, moving.geometry), 1.0, {"similarity": 0.1})

    monkeypatch.setattr(pair, "register_pair", register_pair)
    return asked, go
