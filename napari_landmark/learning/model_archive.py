"""Archive of a model: the files of its folder in one file with checksums, to be passed on. Imported without torch."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.atomic import atomic_write, sync_folder, write_error
from napari_landmark.data.files.json_file import read_json_object
from napari_landmark.learning.model_card import MODEL_CARD

SUFFIX = ".model.zip"
"""Ending of the names of archives."""

_FORMAT, _VERSION = "napari-landmark model archive", 1
_MANIFEST, _SIDECAR = "manifest.json", "model.json"
_WEIGHTS = re.compile(r"(?!checkpoint)[a-z][a-z_]*\.safetensors")
_LARGEST_TEXT = 16 * 1024**2
_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest of a zip file: the same model gives the same bytes
_NAMES_OF_IMAGES = ("templates", "annotated", "labelled")  # in the record of a training, beside its poses


def write_archive(folder: Path, path: Path) -> str:
    """Write the model of a folder into one file, whole or not at all.

    Weights, sidecar and model card are kept. Names of images, which may be those of patients, are left out: the
    record of the training says how many templates there were, not which.

    Parameters
    ----------
    folder : Path
        Of a landmark model or a registration model.
    path : Path
        The archive, ending in `SUFFIX`.

    Returns
    -------
    str
        SHA-256 of the archive, in hexadecimal digits.

    Raises
    ------
    InputError
        The folder holds no model, or the archive has another ending or cannot be written.
    """
    if not path.name.endswith(SUFFIX):
        raise InputError(f"{path}: give a name that ends in {SUFFIX}")
    try:
        sidecar = read_json_object(folder / _SIDECAR)
        names = sorted(file.name for file in folder.iterdir() if _WEIGHTS.fullmatch(file.name))
        files = {name: (folder / name).read_bytes() for name in names}
        if (folder / MODEL_CARD).is_file():
            files[MODEL_CARD] = (folder / MODEL_CARD).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder}: holds no model: {_SIDECAR} is missing") from None
    except OSError as error:
        raise InputError(f"{error.filename or folder}: cannot be read ({error.strerror})") from error
    files[_SIDECAR] = _json_bytes(_without_names(sidecar))
    manifest = {
        "format": _FORMAT,
        "version": _VERSION,
        "files": {
            name: {"bytes": len(data), "sha256": _sha256(data)} for name, data in sorted(files.items())
        },
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {_MANIFEST: _json_bytes(manifest), **dict(sorted(files.items()))}.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), data)
    content = stream.getvalue()
    atomic_write(path, content)
    return _sha256(content)


@contextmanager
def unpacked(path: Path, beside: Path) -> Iterator[Path]:
    """Folder with the checked files of an archive, in `beside`; removed at the end unless it was renamed.

    Parameters
    ----------
    path : Path
        The archive.
    beside : Path
        Folder of the temporary one, on the file system that the model will be on; created if missing.

    Raises
    ------
    InputError
        The archive cannot be read, is of another kind or of a newer version, or a file in it is not what its checksum
        says; or a file cannot be written. Nothing is left behind.
    """
    try:
        beside.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=beside, prefix=".tmp-"))
    except OSError as error:
        raise write_error(beside, error) from error
    try:
        _unpack(path, folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def place(folder: Path, target: Path) -> None:
    """Rename an unpacked model to its place, which must be empty or missing; InputError where that fails."""
    try:
        folder.chmod(0o755)
        folder.rename(target)
    except OSError as error:
        raise write_error(target, error) from error
    sync_folder(target.parent)


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            if len(entries) != len(archive.infolist()):
                raise _damaged(path, "a file is in it twice")
            for name, listed in _manifest(path, archive, entries).items():
                entry = entries.get(name)
                if entry is None or entry.file_size != listed["bytes"]:
                    raise _damaged(path, f"{name} is missing or of another size")
                # Nothing is compressed: what is unpacked cannot be larger than the archive.
                with archive.open(entry) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target, 1024**2)
                with (folder / name).open("rb") as stream:
                    if hashlib.file_digest(stream, "sha256").hexdigest() != listed["sha256"]:
                        raise _damaged(path, f"{name} is not what its checksum says")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be unpacked ({error.strerror or error})") from error


def _manifest(
    path: Path, archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo]
) -> dict[str, dict[str, Any]]:
    """Size and checksum of each file by name, checked; what the archive holds beside them is not unpacked."""
    entry = entries.get(_MANIFEST)
    if any(one.compress_type != zipfile.ZIP_STORED or one.flag_bits & 1 for one in entries.values()):
        raise _damaged(path, "a file in it is compressed or encrypted")
    if entry is None or entry.file_size > _LARGEST_TEXT:
        raise InputError(f"{path}: is no archive of a model: choose a file that `model export` wrote")
    try:
        content = json.loads(archive.read(entry))
    except RecursionError as error:
        raise _damaged(path, "its manifest is nested too deeply") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise InputError(f"{path}: is no archive of a model: choose a file that `model export` wrote")
    if content.get("version") != _VERSION or isinstance(content["version"], bool):
        raise InputError(f"{path}: was written by a newer version of napari-landmark: update napari-landmark")
    files = content.get("files")
    if not isinstance(files, dict) or _SIDECAR not in files:
        raise _damaged(path, "its manifest lists no model")
    for name, listed in files.items():
        if not (_WEIGHTS.fullmatch(name) or name in (_SIDECAR, MODEL_CARD)):
            raise _damaged(path, f"it holds {name!r:.60}, which no model has")
        if not isinstance(listed, dict) or not {"bytes", "sha256"} <= listed.keys():
            raise _damaged(path, f"its manifest lacks the checksum of {name}")
    return files


def _without_names(sidecar: dict[str, Any]) -> dict[str, Any]:
    training = sidecar.get("training")
    if not isinstance(training, dict):
        return sidecar
    kept = {key: value for key, value in training.items() if key not in (*_NAMES_OF_IMAGES, "poses")}
    for key in _NAMES_OF_IMAGES:
        if isinstance(names := training.get(key), list):
            kept[f"{key}_count"] = len(names)
    return {**sidecar, "training": kept}


def _json_bytes(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(f"{path}: is damaged ({reason}): fetch it again")
