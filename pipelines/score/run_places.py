"""A run of ours as a place of pictures: what it drew, and the real pictures it held out.

The place is the root of the run, or the folder of one of its artifacts.
"""

from infra.folders import open_folder
from infra.nearby import SUMMARY
from infra.store import Store
from schemas.artifacts import CLEAN_PAIRS, SAMPLES, Artifact
from schemas.folder import Folder
from schemas.manifest import MANIFEST
from stages.data.parquet import validation_part

SAMPLE_TABLE = "table/"  # part of the samples artifact


def samples_of(place: str) -> Folder | None:
    """Return the drawings of a run; None if the place is no run's.

    Raises ArtifactMissing for a run that has drawn nothing yet.
    """
    folder = _artifact(place, SAMPLES)
    return folder if folder is not None and folder.list(SAMPLE_TABLE) else None


def drawings_of(place: str) -> str:
    """Return where a run's drawings lie; the place itself if it is no run's."""
    folder = samples_of(place)
    return place if folder is None else f"{folder.url}/{SAMPLE_TABLE}"


def held_out_of(place: str) -> str:
    """Return where a run's validation pictures lie; the place itself if it is no run's."""
    folder = _artifact(place, CLEAN_PAIRS)
    if folder is None or not folder.list("train/"):
        return place
    return f"{folder.url}/{validation_part(folder)}"


def _artifact(place: str, artifact: Artifact) -> Folder | None:
    folder = open_folder(place)
    if folder.exists(SUMMARY):
        return Store(place).newest(artifact)
    return folder if folder.exists(MANIFEST) else None
