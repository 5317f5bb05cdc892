"""How well the dVAE reconstructs: figures, and a few pictures to look at.

Paper: figure 1 shows originals above their reconstructions; it prints no PSNR. Ours is over whole
validation pictures with hard codes, as the field reports it for tokenizers.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from schemas.artifacts import CLEAN_PAIRS, TRAIN
from schemas.folder import Folder, Inputs
from schemas.run_report.models_part import ReconstructionFigures
from stages.data.parquet import Row, read_rows, validation_part
from stages.models.codebook import code_counts, codebook_health
from stages.models.dvae import Dvae
from stages.models.fidelity import Psnr, mean_colour
from stages.models.patch_kmeans import PatchKmeans
from stages.pictures import PictureError, Pixels, crop_centre, decode
from stages.pictures.tensors import from_tensor, to_tensor

TILE = 50  # pictures per forward pass
Tokenizer = Dvae | PatchKmeans


@dataclass(frozen=True)
class Captioned:
    """A validation picture, cropped to the training side, with its caption."""

    caption: str
    pixels: Pixels


@dataclass(frozen=True)
class Reconstructions:
    """Reconstructions of some pictures, with their errors and code counts."""

    pictures: int
    pixels: list[Pixels]  # the first few, in order
    code_counts: np.ndarray  # how often each code of the codebook occurred
    psnr_db: float
    mean_colour_psnr_db: float
    squared_errors: Sequence[float] = ()  # of each picture, a mean over its values

    def figures(self) -> ReconstructionFigures:
        """Return the numbers of the report."""
        health = codebook_health(torch.from_numpy(self.code_counts))
        return ReconstructionFigures(
            pictures=self.pictures,
            positions=int(self.code_counts.sum()),
            codes=len(self.code_counts),
            codes_used=health.used,
            perplexity=health.perplexity,
            psnr_db=self.psnr_db,
            mean_colour_psnr_db=self.mean_colour_psnr_db,
        )


def measured_pictures(inputs: Inputs, side: int, count: int) -> tuple[str, list[Captioned]]:
    """Return a split's name and its first `count` pictures, always the same; all, if fewer.

    The split is val; train where a small corpus left val empty. Rows lie in buckets by a hash of
    their group, so the first ones are a fair sample.
    """
    folder = inputs.folder(CLEAN_PAIRS)
    part = validation_part(folder)
    every = captioned(read_rows(folder, part, ["caption", "image"]), side)
    return part.rstrip("/"), list(islice(every, count))


def captioned_at(
    clean: Folder, side: int, places: Collection[int]
) -> Iterator[tuple[int, Captioned]]:
    """Yield the training pictures at these places that can be decoded, each with its place."""
    rows = islice(read_rows(clean, TRAIN, ["caption", "image"]), max(places, default=-1) + 1)
    for place, row in enumerate(rows):
        if place in places:
            for picture in captioned([row], side):
                yield place, picture


def captioned(found: Iterable[Row], side: int) -> Iterator[Captioned]:
    """Decode rows with `caption` and `image`, and crop each picture's centre to `side`."""
    for row in found:
        try:
            yield Captioned(row["caption"], crop_centre(decode(row["image"]), side))
        except PictureError:  # training left it out too
            continue


@torch.inference_mode()
def through_dvae(
    dvae: Tokenizer, pictures: Sequence[Pixels]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield pixels in [0, 1], reconstructions and codes, a batch of TILE pictures at a time."""
    for start in range(0, len(pictures), TILE):
        pixels = to_tensor(list(pictures[start : start + TILE]))
        codes = dvae.codes(pixels)
        yield pixels, dvae.decode(codes), codes


def reconstruct(
    dvae: Tokenizer, pictures: Sequence[Pixels], image_vocab: int, keep: int
) -> Reconstructions:
    """Encode and decode pictures with hard codes and measure the error."""
    counts = np.zeros(image_vocab, np.int64)
    psnr, flat = Psnr(), Psnr()
    errors: list[float] = []
    kept: list[Pixels] = []
    for pixels, drawn, codes in through_dvae(dvae, pictures):
        counts += code_counts(codes, image_vocab).numpy()
        psnr.add(drawn, pixels)
        flat.add(mean_colour(pixels), pixels)
        errors += (drawn.double() - pixels.double()).square().mean(dim=(1, 2, 3)).tolist()
        kept.extend(from_tensor(drawn)[: keep - len(kept)])
    return Reconstructions(len(pictures), kept, counts, psnr.db, flat.db, errors)
