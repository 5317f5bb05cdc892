"""How a dVAE starts as k-means on patches, and how much of what it learned is kept."""

import math

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from schemas.settings import DvaeSettings
from stages.data import augment
from stages.data.table import Table, first
from stages.models.dvae import Dvae, logit_laplace_nll, picture_of
from stages.models.dvae_networks import Pictures, map_pixels
from stages.models.fidelity import Psnr
from stages.models.patch_dvae import PatchDecoder, PatchEncoder, start_as
from stages.models.patch_kmeans import PICTURES, PatchKmeans
from stages.pictures.tensors import to_tensor

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of what the decoder adds to the centres
BATCH = 16
MEASURED = 64  # pictures whose distances to the centres are measured
LEAST_B = 1e-3  # where all of them are drawn exactly
WEIGHT = 1_000.0  # of a squared error in the loss: as much as some nats


def start(model: Dvae, train: Table, cfg: DvaeSettings) -> None:
    """Fill a fresh model with the centres of training pictures; the same on every worker."""
    assert isinstance(model.encoder, PatchEncoder)
    assert isinstance(model.decoder, PatchDecoder)
    images = first(train, ("image",), PICTURES)["image"].tolist()
    pixels, _ = augment.held_out(images, cfg.side)
    kmeans = PatchKmeans.of(pixels, cfg.patch, cfg.image_vocab, cfg.fit.seed)
    variance, distance = distances(kmeans, pixels[:MEASURED])
    start_as(kmeans, model.encoder, model.decoder, variance, math.log(max(distance, LEAST_B)))


def distances(kmeans: PatchKmeans, pictures: UInt8[Tensor, "n h w 3"]) -> tuple[float, float]:
    """Return the mean square of levels' distances to their centres, and in logits the mean."""
    pixels = to_tensor(pictures)
    drawn = kmeans.decode(kmeans.codes(pixels))
    logits = torch.logit(map_pixels(drawn)) - torch.logit(map_pixels(pixels))
    return (255 * (drawn - pixels)).square().mean().item(), logits.abs().mean().item()


def loss_sums(model: nn.Module, pixels: Pictures) -> dict[str, Tensor]:
    """Sum the nats of pixels and the squared errors, both of mapped pixels.

    A centre is a mean, best in squares. The distance of the nats is smallest at a median, in
    logits: mu by them would draw plain squares worse than k-means. So they only say ln b. The KL
    of codes that are held says nothing, and would take a third of the time.
    """
    _, mu, ln_b = model(pixels, 0.0)
    mapped = map_pixels(pixels)
    return {
        "reconstruction": logit_laplace_nll(mapped, mu.detach(), ln_b).sum(),
        "squared_error": (torch.sigmoid(mu) - mapped).square().sum(),
    }


@torch.no_grad()
def keep_what_helps(model: Dvae, held_out: UInt8[Tensor, "n h w 3"]) -> float:
    """Shrink what the decoder adds to the share that suits held-out pictures best; return it.

    A share of 0 is k-means, so on these pictures no model is worse than that.
    """
    decoder = model.decoder
    assert isinstance(decoder, PatchDecoder)
    device = next(model.parameters()).device
    psnr = {share: Psnr() for share in SHARES}
    for part in held_out.split(BATCH):
        real = to_tensor(part.to(device))
        codes = model.codes(real)
        mu, centres = decoder.from_codes(codes)[:, :3], decoder.centres_alone(codes)
        for share, found in psnr.items():
            found.add(picture_of(torch.lerp(centres, mu, share)), real)
    best = max(SHARES, key=lambda share: psnr[share].db)
    decoder.scale_added(best)
    return best
