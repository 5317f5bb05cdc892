"""How good a dVAE is on pictures it has not learned from."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from stages import pictures
from stages.models.dvae import Dvae, code_counts, codebook_health, elbo_terms, psnr
from stages.training import augment
from stages.training.record import Scalars


def measure(
    model: Dvae, pixels: UInt8[Tensor, "n h w 3"], temperature: float, batch_size: int
) -> tuple[Scalars, UInt8[np.ndarray, "n h w 3"]]:
    """Return both bounds in nats per pixel value, and how faithful and how used the codes are."""
    device = next(model.parameters()).device
    nats = {"relaxed": 0.0, "true": 0.0, "kl": 0.0}
    positions, decibels, flat, drawn = 0, [], [], []
    counts = torch.zeros(model.decoder.codebook.in_channels, dtype=torch.long, device=device)
    for part in pixels.split(batch_size):
        real = augment.unit(part.to(device))
        for name, heat in (("relaxed", temperature), ("true", 0.0)):
            terms = elbo_terms(model, real, heat)
            nats[name] += (terms.reconstruction + terms.kl).item()
        nats["kl"] += terms.kl.item()
        positions += terms.positions
        codes = model.codes(real)
        picture = model.decode(codes)
        counts += code_counts(codes, len(counts))
        decibels.append(psnr(picture, real))
        flat.append(psnr(mean_colour(real), real))
        drawn.append(pictures.from_tensor(picture))
    used = codebook_health(counts)
    return {
        "elb_relaxed": -nats["relaxed"] / pixels.numel(),
        "elb_true": -nats["true"] / pixels.numel(),
        "hard_soft_gap": (nats["true"] - nats["relaxed"]) / pixels.numel(),
        "kl_per_code": nats["kl"] / positions,
        "psnr_db": mean_decibels(decibels),
        "mean_colour_psnr_db": mean_decibels(flat),
        "codes_used": used.used,
        "perplexity": used.perplexity,
    }, np.concatenate(drawn)


def mean_colour(pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Return the best picture of a single colour: what no code at all could still draw."""
    return pixels.mean(dim=(2, 3), keepdim=True).expand_as(pixels)


def mean_decibels(parts: list[Float[Tensor, " b"]]) -> float:
    """Average over pictures; a perfect one counts as 100 dB."""
    return torch.cat(parts).clamp(max=100).mean().item()
