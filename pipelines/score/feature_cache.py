"""Features kept on disk while an evaluation runs: an interrupted one goes on where it stopped.

An entry is what one network makes of one batch of files at one blur radius. Its name is a hash of
all that decides it: the files' contents, the network's weights, the resize, the programs.
"""

import hashlib
import json
import logging
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool
from safetensors import SafetensorError
from safetensors.numpy import load, save

from pipelines.score.picture_files import PictureFiles
from pipelines.score.score_file import programs
from schemas.folder import Folder
from stages.features import FeatureExtractor, Seen

LOG = logging.getLogger(__name__)


class SeenFiles(NamedTuple):
    """What a network makes of some files: None if none of them is a picture."""

    readable: Bool[np.ndarray, " files"]
    seen: Seen | None  # of the readable ones


def cache_key(extractor: FeatureExtractor, files: PictureFiles, radius: float) -> str:
    """Return the name under which the features of these files are kept."""
    what = [
        extractor.network.sha256,
        extractor.resize.model_dump(),
        extractor.convention,
        extractor.device,
        programs(),
        files.side,
        float(radius),
        files.digests,
    ]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class FeatureCache:
    """A folder of features."""

    folder: Folder

    def get(self, key: str) -> SeenFiles | None:
        """Return an entry; None if it is not there, or damaged, which is logged."""
        if not self.folder.exists(_file(key)):
            return None
        with self.folder.open(_file(key)) as file:
            data = file.read()
        try:
            found = load(data)
        except SafetensorError as error:
            LOG.warning("%s/%s is damaged (%s): computed again", self.folder.url, _file(key), error)
            return None
        seen = Seen(found["features"], found.get("probabilities")) if "features" in found else None
        return SeenFiles(found["readable"].astype(bool), seen)

    def put(self, key: str, files: SeenFiles) -> None:
        found = {"readable": files.readable.astype(np.uint8)}
        if files.seen is not None:
            found["features"] = files.seen.features
            if files.seen.probabilities is not None:
                found["probabilities"] = files.seen.probabilities
        self.folder.commit(_file(key), save(found))


def _file(key: str) -> str:
    return f"{key[:2]}/{key}.safetensors"
