"""Exchange of landmark models between studies, as archives."""

from __future__ import annotations

from pathlib import Path

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.study.lock import TRAINING, StudyLock
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.serialization import read_model
from napari_landmark.detection.model.store import new_folder
from napari_landmark.detection.model.volume_model_files import VOLUME_FORMAT, read_volume_model
from napari_landmark.learning.device import choose_device
from napari_landmark.learning.model_archive import place, unpacked
from napari_landmark.learning.model_files import stated_format


def import_model(archive: str | Path, folder: str | Path) -> Path:
    """Add the landmark model of an archive to a study, as its newest model.

    Parameters
    ----------
    archive : str or Path
        File that `learning.model_archive.write_archive` wrote.
    folder : str or Path
        Folder of a study; where it holds none, one is made with the landmarks of the model.

    Returns
    -------
    Path
        Folder of the model in the study.

    Raises
    ------
    InputError
        The archive cannot be read or is damaged, the study has other landmarks, or another program trains
        it. Nothing changed then.
    """
    archive, folder = Path(archive), Path(folder)
    exists = Study.exists(folder)
    if not exists and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is not empty and holds no study: choose a study, or a new folder")
    study = Study.open(folder) if exists else None
    # Beside the study until all was checked, so that no half of a study is left.
    with unpacked(archive, folder if exists else folder.absolute().parent) as files:
        schema = _checked_schema(files)
        if study is None:
            study = Study.create(folder, schema=schema)
        else:
            _check_landmarks(study, schema)
        with StudyLock(study.folder, TRAINING):
            target = new_folder(study)
            target.rmdir()
            place(files, target)
    study.log({"event": "model imported", "model": target.name, "archive": archive.name})
    return target


def _checked_schema(folder: Path) -> LandmarkSchema:
    """Landmarks of the model in a folder; InputError where the model cannot be read."""
    read = read_volume_model if stated_format(folder) == VOLUME_FORMAT.name else read_model
    return read(folder, device=choose_device("cpu")).schema


def _check_landmarks(study: Study, schema: LandmarkSchema) -> None:
    for names, others, owner in (
        (schema.names, study.schema.names, "study"),
        (study.schema.names, schema.names, "model"),
    ):
        if lacking := [name for name in names if name not in others]:
            raise InputError(
                f"{study.folder}: the {owner} lacks the landmark {lacking[0]!r} of the "
                f"{'model' if owner == 'study' else 'study'}: import the model into a new folder"
            )
