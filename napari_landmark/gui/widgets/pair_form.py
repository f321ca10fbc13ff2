"""Form of the step Register: layers of the pair, weights of the regions, registration model."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from magicgui.widgets import CheckBox, ComboBox
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QFormLayout, QSizePolicy

from napari_landmark.gui.controls import note
from napari_landmark.gui.layers.layer_manager import LayerManager
from napari_landmark.gui.layers.pair_inputs import ChosenLayers, can_be_registered
from napari_landmark.gui.listener import Listener
from napari_landmark.gui.session.registration_models import RegistrationModelInfo
from napari_landmark.gui.widgets.region_weights import RegionWeights

NO_MODEL, FROM_FOLDER = "None: from these two alone", "From a folder…"
_ROWS = (
    ("fixed", "Fixed image", Image, "Stays as it is; the moving image is warped onto it"),
    ("moving", "Moving image", Image, "Is warped onto the fixed image"),
    ("fixed_labels", "Its labels", Labels, "Regions of the fixed image, such as bones"),
    ("moving_labels", "Its labels", Labels, "The same regions of the moving image, with the same numbers"),
    ("fixed_points", "Its points", Points, "Points of the fixed image"),
    (
        "moving_points",
        "Its points",
        Points,
        "The same points of the moving image: by their names, or by their order",
    ),
)
_SAMPLES, _MOST_LABELS = 4_000_000, 65
_ORDER = ("fixed", "fixed_labels", "fixed_points", "moving", "moving_labels", "moving_points")


class PairForm(Listener):
    """Combo boxes that follow the layers of the viewer, table of region weights, and choice of the model."""

    changed = Signal()
    """Emitted when another layer or model is chosen."""

    def __init__(self, viewer: ViewerModel, layer_manager: LayerManager, session: Any) -> None:
        super().__init__(session)
        self._viewer, self._layer_manager = viewer, layer_manager
        self._folders: dict[str, Path] = {}
        self._weights_of: dict[Path, Mapping[int, float]] = {}
        self._listed: list[int] | None = None
        self._are_labels: weakref.WeakKeyDictionary[Layer, bool] = weakref.WeakKeyDictionary()
        self.boxes = {
            key: ComboBox(label=label, choices=_Choices(self, kind), nullable=True, tooltip=tip)
            for key, label, kind, tip in _ROWS
        }
        self.guide = CheckBox(
            value=True,
            text="Points guide the registration",
            tooltip="Off: their distance only measures the registration",
        )
        self.model = ComboBox(
            label="Model",
            choices=[NO_MODEL, FROM_FOLDER],
            tooltip="Trained on images of this kind, see below",
        )
        self.weights = RegionWeights()
        self.needed = note()
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for key in _ORDER:
            form.addRow(self.boxes[key].label, self.boxes[key].native)
        form.addRow(self.guide.native)
        form.addRow("Model", self.model.native)
        form.addRow(self.needed)
        form.addRow(self.weights)
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
            self.listen(event, self._on_layers)
        for signal in (session.study_changed, session.models_changed):
            self.listen(signal, self.offer_models)
        for box in self.boxes.values():
            box.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # long names
            box.changed.connect(self._on_chosen)
        self.model.changed.connect(self._on_model)
        self._on_layers()
        self.offer_models()

    def chosen(self) -> ChosenLayers:
        """Layers that are selected now."""
        return ChosenLayers(**{key: box.value for key, box in self.boxes.items()})

    def choose(self, layers: ChosenLayers) -> None:
        """Select layers; nothing is selected where there is none."""
        for key, box in self.boxes.items():
            with box.changed.blocked():
                box.value = getattr(layers, key)
        self._on_chosen()

    @property
    def model_folder(self) -> Path | None:
        """Folder of the selected model; None without one."""
        return self._folders.get(self.model.value)

    def _region_weights(self) -> Mapping[int, float]:
        """Weights of the labels that the selected model was trained with; empty without a model."""
        return {} if self.model_folder is None else self._weights_of[self.model_folder]

    def candidates(self, kind: type[Layer]) -> list[tuple[str, Layer]]:
        """Names and layers of a kind that can be selected; layers that show a result are left out.

        A label map that was opened as an image counts as labels, too.
        """
        found = [
            layer
            for layer in self._viewer.layers
            if (isinstance(layer, kind) or (kind is Labels and self._is_label_map(layer)))
            and layer.ndim in (2, 3)
            and not self._layer_manager.registration.owns(layer)
            and not self._layer_manager.heatmaps.owns(layer)
            and (kind is not Image or can_be_registered(layer))
            and (kind is not Points or layer.editable)
        ]
        return [(layer.name, layer) for layer in found]

    def _is_label_map(self, layer: Layer) -> bool:
        """Whether an image has few values, all of them whole numbers, 0 among them."""
        if layer not in self._are_labels:
            suits = can_be_registered(layer) and not layer.rgb and np.issubdtype(layer.data.dtype, np.integer)
            self._are_labels[layer] = suits and 0 in _labels_in(layer.data)
        return self._are_labels[layer]

    def offer_models(self, *, choose: Path | None = None) -> None:
        """List the models; `choose` is the folder of the one to select."""
        models = {_title(model): model.folder for model in self.session.models.registration_models}
        others = {name: path for name, path in self._folders.items() if path not in models.values()}
        others = {name: path for name, path in others.items() if not name.startswith("Model ")}
        self._folders = {**models, **others}
        for model in self.session.models.registration_models:
            self._weights_of[model.folder] = model.region_weights
        value = self.model.value
        with self.model.changed.blocked():
            self.model.choices = [NO_MODEL, *self._folders, FROM_FOLDER]
            names = [name for name, path in self._folders.items() if path == choose]
            kept = value if value in self._folders else NO_MODEL
            self.model.value = names[0] if names else kept
        self.weights.start_from(self._region_weights())

    def take_folder(self, folder: Path) -> None:
        """Select a model by its folder."""
        if folder not in self._folders.values():
            self._folders[f"{folder.name} ({folder.parent})"] = folder
            self._weights_of[folder] = RegistrationModelInfo.read(folder).region_weights
        self.offer_models(choose=folder)

    def _on_layers(self, event: Any = None) -> None:
        for box in self.boxes.values():
            with box.changed.blocked():
                box.reset_choices()
        fixed, moving = self.boxes["fixed"], self.boxes["moving"]
        for box, other in ((fixed, moving), (moving, fixed)):
            if box.value is None:
                free = [layer for _, layer in self.candidates(Image) if layer is not other.value]
                with box.changed.blocked():
                    box.value = free[0] if free else None
        self._on_chosen()

    def _on_chosen(self, value: Any = None) -> None:
        layers = [self.boxes[key].value for key in ("fixed_labels", "moving_labels")]
        maps = [layer.data for layer in layers if layer is not None]
        if [id(map_) for map_ in maps] != self._listed:  # layers come and go more often than labels
            self._listed = [id(map_) for map_ in maps]
            self.weights.show_labels(set().union(*(_labels_in(map_) for map_ in maps)))
        for row, key in (("fixed_labels", "fixed"), ("moving_labels", "moving")):
            self.boxes[row].enabled = self.boxes[key].value is not None
        points = [self.boxes[key].value for key in ("fixed_points", "moving_points")]
        self.guide.visible = None not in points
        self._say_what_is_needed()
        self.changed.emit()

    def _say_what_is_needed(self) -> None:
        """Say that labels of one image alone do nothing without a model."""
        given = [self.boxes[key].value is not None for key in ("fixed_labels", "moving_labels")]
        alone = any(given) and not all(given) and self.model_folder is None
        other = "moving" if given[0] else "fixed"
        self.needed.setText(
            f"Labels of the {other} image are needed, too: those of one image alone guide nothing without a model."
            if alone
            else ""
        )
        self.needed.setVisible(alone)
        self.weights.setVisible(bool(self.weights.labels) and not alone)

    def _on_model(self, value: str) -> None:
        if value == FROM_FOLDER:
            with self.model.changed.blocked():
                self.model.value = NO_MODEL
            chosen = QFileDialog.getExistingDirectory(self, "Choose the folder of a registration model")
            if chosen:
                self.take_folder(Path(chosen))
        self.weights.start_from(self._region_weights())
        self._say_what_is_needed()
        self.changed.emit()


def _title(model: RegistrationModelInfo) -> str:
    name = f"Model {model.folder.name} of this study"
    return f"{name} (stopped early)" if model.stopped_early else name


def _labels_in(array: Any) -> set[int]:
    """Labels of a label map, from a sample where it is large; empty where the values are no label map."""
    step = max(1, int((array.size / _SAMPLES) ** (1 / array.ndim)))
    found = {int(label) for label in np.unique(np.asarray(array[(slice(None, None, step),) * array.ndim]))}
    return found if len(found) <= _MOST_LABELS else set()


class _Choices:
    """Choices of a combo box: layers of one kind. Refers weakly to the form, so that it can be deleted."""

    def __init__(self, form: PairForm, kind: type[Layer]) -> None:
        self._form, self._kind = weakref.ref(form), kind

    def __call__(self, widget: Any) -> list[tuple[str, Layer]]:
        form = self._form()
        return [] if form is None else form.candidates(self._kind)
