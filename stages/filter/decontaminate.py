"""Pictures of evaluation sets, by digest and by perceptual hash."""

import hashlib
from dataclasses import dataclass

import fsspec
import numpy as np

from stages.filter.looks import perceptual_hash, whole
from stages.pictures import decode


@dataclass(frozen=True)
class EvaluationPictures:
    sha256: tuple[str, ...]
    perceptual_hash: np.ndarray


def evaluation_pictures(path: str) -> EvaluationPictures:
    system, top = fsspec.core.url_to_fs(path)
    digests, hashes = [], []
    for name in sorted(system.find(top)):
        data = system.cat_file(name)
        digests.append(hashlib.sha256(data).hexdigest())
        hashes.append(perceptual_hash(whole(decode(data))))
    return EvaluationPictures(tuple(digests), np.array(hashes, np.uint64))
