"""What a run's dVAE makes of real pictures, as one more system, whose FID is the rFID."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from statistics import mean

import torch
from torch import Tensor

from infra.store import Store
from pipelines.score.picture_set import PictureSet
from pipelines.score.score_file import Fidelity
from schemas.artifacts import DVAE
from stages.features import BATCH
from stages.features.lpips import open_lpips
from stages.models.dvae import Dvae
from stages.models.fidelity import Psnr, ssim
from stages.pictures import PictureError, Pixels, crop_centre, decode, encode_png
from stages.pictures.tensors import from_tensor, to_tensor
from stages.progress import Progress
from stages.weights import DvaeConfig, load_dvae, read_config


@dataclass(frozen=True)
class ReconstructedPictures:
    """What a dVAE made of the pictures of another set, in a folder of PNG files."""

    name: str
    flag: str
    names: Sequence[str]
    folder: Path

    def read(self, name: str) -> bytes:
        """Return a reconstruction; nothing for a file that is no picture, or too small."""
        path = self.path(name)
        return path.read_bytes() if path.exists() else b""

    def path(self, name: str) -> Path:
        """Return where a reconstruction is kept, whatever its name is made of."""
        return self.folder / f"{sha256(name.encode()).hexdigest()}.png"


def reconstructed(
    root: str, source: PictureSet, device: str, lpips_weights: str | None, folder: Path
) -> tuple[ReconstructedPictures, Fidelity]:
    """Put pictures through the dVAE of a run, once, and keep what comes out in `folder`.

    Each is cut to the dVAE's side, and compared with its reconstruction, by a network too if its
    weights are given. Raises ArtifactMissing if the run has no dVAE.
    """
    artifact = Store(root).newest(DVAE)
    dvae, side = load_dvae(artifact).to(device), read_config(artifact, DvaeConfig).side
    network, lpips = open_lpips(lpips_weights, device) if lpips_weights else (None, None)
    called = f"dVAE of {PurePosixPath(root).name}"
    kept = ReconstructedPictures(called, "--reconstruct", source.names, folder)
    psnr = Psnr()
    similar: list[float] = []
    distances: list[float] = []
    with Progress(called, len(source.names), unit="pictures") as bar:
        for names, cuts in _cuts(source, side):
            made, real = _through(dvae, cuts, device)
            for name, pixels in zip(names, from_tensor(made), strict=True):
                kept.path(name).write_bytes(encode_png(pixels))
            psnr.add(made, real)
            similar += ssim(made, real).tolist()
            distances += [] if lpips is None else lpips(made, real).tolist()
            bar.advance(len(names))
    found = Fidelity(
        pictures=psnr.pictures,
        psnr_db=psnr.db,
        ssim=mean(similar) if similar else 0.0,
        lpips=mean(distances) if distances else None,
        lpips_network=network,
    )
    return kept, found


def _cuts(source: PictureSet, side: int) -> Iterator[tuple[list[str], list[Pixels]]]:
    """Yield the pictures that can be read, with their names, at most BATCH at a time."""
    for start in range(0, len(source.names), BATCH):
        names: list[str] = []
        cuts: list[Pixels] = []
        for name in source.names[start : start + BATCH]:
            try:
                cuts.append(crop_centre(decode(source.read(name)), side))
            except PictureError:
                continue
            names.append(name)
        if names:
            yield names, cuts


@torch.inference_mode()
def _through(dvae: Dvae, cuts: Sequence[Pixels], device: str) -> tuple[Tensor, Tensor]:
    """Return reconstructions, and the pictures themselves, as numbers in [0, 1]."""
    real = to_tensor(cuts).to(device)
    return dvae.decode(dvae.codes(real)), real
