"""What a run's dVAE makes of real pictures, as one more system, whose FID is the rFID."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
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
    """The pictures of another set, cut to the dVAE's side, encoded and decoded."""

    name: str
    flag: str
    source: PictureSet
    dvae: Dvae
    side: int
    device: str

    @property
    def names(self) -> Sequence[str]:
        return self.source.names

    def read(self, name: str) -> bytes:
        """Return a reconstruction as PNG; nothing for a file that is no picture, or too small."""
        for _, made in self.pairs([name]):
            return encode_png(from_tensor(made)[0])
        return b""

    def pairs(self, names: Sequence[str]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield pictures as they were cut, and their reconstructions, a batch at a time."""
        for start in range(0, len(names), BATCH):
            cuts = [self._cut(name) for name in names[start : start + BATCH]]
            if good := [cut for cut in cuts if cut is not None]:
                yield self._both(good)

    def _cut(self, name: str) -> Pixels | None:
        try:
            return crop_centre(decode(self.source.read(name)), self.side)
        except PictureError:
            return None

    @torch.inference_mode()
    def _both(self, cuts: Sequence[Pixels]) -> tuple[Tensor, Tensor]:
        pixels = to_tensor(cuts).to(self.device)
        return pixels, self.dvae.decode(self.dvae.codes(pixels))


def fidelity(made: ReconstructedPictures, lpips_weights: str | None) -> Fidelity:
    """Compare each picture with its reconstruction, by a network too if its weights are given."""
    network, lpips = open_lpips(lpips_weights, made.device) if lpips_weights else (None, None)
    psnr = Psnr()
    similar: list[float] = []
    distances: list[float] = []
    with Progress(made.name, len(made.names), unit="pictures") as bar:
        for pair in made.pairs(made.names):
            psnr.add(*pair)
            similar += ssim(*pair).tolist()
            distances += [] if lpips is None else lpips(*pair).tolist()
            bar.advance(len(pair[0]))
    return Fidelity(
        pictures=psnr.pictures,
        psnr_db=psnr.db,
        ssim=mean(similar) if similar else 0.0,
        lpips=mean(distances) if distances else None,
        lpips_network=network,
    )


def reconstructed(root: str, source: PictureSet, device: str) -> ReconstructedPictures:
    """Open the dVAE of a run; raise ArtifactMissing if it has none."""
    folder = Store(root).newest(DVAE)
    return ReconstructedPictures(
        name=f"dVAE of {PurePosixPath(root).name}",
        flag="--reconstruct",
        source=source,
        dvae=load_dvae(folder).to(device),
        side=read_config(folder, DvaeConfig).side,
        device=device,
    )
