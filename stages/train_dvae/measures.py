"""Validation of a dVAE: bounds, fidelity, codebook use."""

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from stages.models.codebook import code_counts, codebook_health
from stages.models.dvae import Dvae, elbo_terms, picture_of, terms_of
from stages.models.fidelity import Psnr, mean_colour, ssim
from stages.models.patch_dvae import PatchDecoder
from stages.pictures.tensors import from_tensor, to_tensor
from stages.training.task import Scalars


def measure(
    model: Dvae, pixels: UInt8[Tensor, "n h w 3"], temperature: float, batch_size: int
) -> tuple[Scalars, UInt8[np.ndarray, "n h w 3"]]:
    """Return both bounds in nats per pixel value, and how faithful and how used the codes are.

    Of a start as k-means also `kmeans_psnr_db`, that of the centres alone.

    `psnr_db` and `ssim` are of the pictures returned: drawn from hard codes, which are all that
    encode gives. `relaxed_psnr_db` is of training's mixtures of codes; where it is much higher, the
    decoder relies on mixtures that encode cannot give.
    """
    device = next(model.parameters()).device
    counts = torch.zeros(model.decoder.codebook.in_channels, dtype=torch.long, device=device)
    sums = dict.fromkeys(("relaxed", "true", "kl", "ssim"), 0.0)
    hard, soft, flat, kmeans = Psnr(), Psnr(), Psnr(), Psnr()
    positions, drawn = 0, []
    for part in pixels.split(batch_size):
        real = to_tensor(part.to(device))
        logits, mu, ln_b = model(real, temperature)
        relaxed, true = terms_of(real, logits, mu, ln_b), elbo_terms(model, real, 0.0)
        codes = logits.argmax(dim=1)
        picture = model.decode(codes)
        sums["relaxed"] += (relaxed.reconstruction + relaxed.kl).item()
        sums["true"] += (true.reconstruction + true.kl).item()
        sums["kl"] += relaxed.kl.item()
        hard.add(picture, real)
        soft.add(picture_of(mu), real)
        flat.add(mean_colour(real), real)
        if isinstance(model.decoder, PatchDecoder):
            kmeans.add(picture_of(model.decoder.centres_alone(codes)), real)
        sums["ssim"] += ssim(picture, real).sum().item()
        positions += relaxed.positions
        counts += code_counts(codes, len(counts))
        drawn.append(from_tensor(picture))
    used, values = codebook_health(counts), pixels.numel()
    beside = {"kmeans_psnr_db": kmeans.db} if kmeans.pictures else {}
    return {
        **beside,
        "elb_relaxed": -sums["relaxed"] / values,
        "elb_true": -sums["true"] / values,
        "elb_gap": (sums["true"] - sums["relaxed"]) / values,
        "kl_per_code": sums["kl"] / positions,
        "psnr_db": hard.db,
        "relaxed_psnr_db": soft.db,
        "psnr_gap_db": soft.db - hard.db,
        "mean_colour_psnr_db": flat.db,
        "ssim": sums["ssim"] / len(pixels),
        "codes_used": used.used,
        "perplexity": used.perplexity,
        "positions": positions,
    }, np.concatenate(drawn)
