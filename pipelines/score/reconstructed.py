"""What a run's dVAE makes of real pictures, as one more system, whose FID is the rFID."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import torch

from infra.store import Store
from pipelines.score.picture_set import PictureSet
from schemas.artifacts import DVAE
from stages.models.dvae import Dvae
from stages.pictures import PictureError, crop_centre, decode, encode_png
from stages.pictures.tensors import from_tensor, to_tensor
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

    @torch.inference_mode()
    def read(self, name: str) -> bytes:
        """Return a reconstruction as PNG; nothing for a file that is no picture, or too small."""
        try:
            cut = crop_centre(decode(self.source.read(name)), self.side)
        except PictureError:
            return b""
        pixels = to_tensor([cut]).to(self.device)
        (made,) = from_tensor(self.dvae.decode(self.dvae.codes(pixels)))
        return encode_png(made)


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
