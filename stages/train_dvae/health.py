"""Warnings about codes that are no use, with what to change.

Each rule looks at one validation's numbers (see `measures`). The thresholds are wide: they tell a
run that fails from one that makes progress. Whether a dVAE is good enough is for encode's gate.
"""

import math
from collections.abc import Mapping

from schemas.settings import DvaeSettings

PAPERS_BETA, PAPERS_RAMP = 6.6, 0.0017
GRACE = 0.1  # of the run; earlier, everything looks like a collapse
HORIZONS = 2  # of the EMA; earlier, it is still the random start
ENOUGH_DECIBELS = 1.0  # above the best picture of a single colour; less is nothing learned
FEW = 0.05  # of the codebook, by perplexity
SILENT, CERTAIN = 0.05, 0.8  # of a code's ln K nats: an encoder that says nothing, or all
WIDE_GAP_DB = 1.0  # between what training sees and what encode will give
WARM = 0.5  # temperature above which codes are mixtures


def alarm(seen: Mapping[str, float], cfg: DvaeSettings, step: int) -> str | None:
    """Return what is wrong after `step` updates and what to change; None if nothing is."""
    if step < max(GRACE, HORIZONS * cfg.fit.ema_share) * cfg.fit.steps:
        return None
    if cfg.init == "patches":
        return worse_than_kmeans(seen, cfg) or nothing_learned(seen, cfg)
    return mixtures(seen, cfg, step) or nothing_learned(seen, cfg) or few_codes(seen, cfg)


def worse_than_kmeans(seen: Mapping[str, float], cfg: DvaeSettings) -> str | None:
    """Look for a decoder that spoils what it starts from."""
    if seen["psnr_db"] >= seen["kmeans_psnr_db"]:
        return None
    return (
        f"what the decoder adds to k-means makes held-out pictures worse ({seen['psnr_db']:.1f} "
        f"dB, and {seen['kmeans_psnr_db']:.1f} dB without it), and less of it will be kept: lower "
        f"dvae.fit.learning_rate, now {cfg.fit.learning_rate:g}, or train on more pictures"
    )


def nothing_learned(seen: Mapping[str, float], cfg: DvaeSettings) -> str | None:
    """Look for codes that tell no more of a picture than its mean colour does."""
    if seen["psnr_db"] >= seen["mean_colour_psnr_db"] + ENOUGH_DECIBELS:
        return None
    return (
        f"the codes carry next to nothing: {seen['psnr_db']:.1f} dB, and a picture's mean colour "
        f"alone gives {seen['mean_colour_psnr_db']:.1f} dB; {advice(seen, cfg)}"
    )


def few_codes(seen: Mapping[str, float], cfg: DvaeSettings) -> str | None:
    """Look for a codebook of which next to nothing is in use.

    Few pictures cannot use all of a large one: the threshold knows how many `positions` were seen.
    """
    if seen["perplexity"] >= FEW * min(cfg.image_vocab, seen.get("positions", math.inf)):
        return None
    return (
        f"the codebook collapses: of {cfg.image_vocab} codes {seen['codes_used']:.0f} are in use, "
        f"as if {seen['perplexity']:.0f} were equally frequent; {advice(seen, cfg)}"
    )


def advice(seen: Mapping[str, float], cfg: DvaeSettings) -> str:
    """Say what to change when codes tell too little, by how sure the encoder is of them.

    Those of dvae.init=patches are not trained, so more of them help, or smaller ones.
    """
    if cfg.init == "patches":
        return (
            f"raise tokens.image_vocab, now {cfg.image_vocab}, or lower tokens.patch, now "
            f"{cfg.patch}"
        )
    if cfg.temperature_start < WARM:
        return (
            "codes were nearly hard from the start, and the encoder got no gradient to learn from: "
            f"raise dvae.temperature_start, now {cfg.temperature_start:g} (the paper's is 1)"
        )
    sure = seen["kl_per_code"] / math.log(max(2, cfg.image_vocab))
    if sure < SILENT and cfg.beta > PAPERS_BETA:
        return (
            f"the KL weighs so much that the encoder says nothing ({seen['kl_per_code']:.2g} nats "
            f"a code): lower dvae.beta, now {cfg.beta:g} (the paper's is {PAPERS_BETA})"
        )
    if sure > CERTAIN:
        return (
            "the encoder grew sure of a few codes early: raise dvae.beta, "
            f"now {cfg.beta:g} (the paper's is {PAPERS_BETA}, plain pictures want more), shorten "
            f"its ramp (dvae.beta_ramp_share, now {cfg.beta_ramp_share:.2g}; the paper's is "
            f"{PAPERS_RAMP}), or warm the learning rate up (dvae.fit.warmup_share, "
            f"now {cfg.fit.warmup_share:g})"
        )
    return (
        f"train longer (dvae.fit.steps, now {cfg.fit.steps}), with a lower learning rate "
        f"(dvae.fit.learning_rate, now {cfg.fit.learning_rate:g}) or smaller batches"
    )


def mixtures(seen: Mapping[str, float], cfg: DvaeSettings, step: int) -> str | None:
    """Look for a decoder that relies on mixtures of codes, once the temperature is at its end."""
    arrived = step >= cfg.temperature_share * cfg.fit.steps
    constant = cfg.temperature_start == cfg.temperature_end
    if not (arrived or constant) or seen["psnr_gap_db"] < WIDE_GAP_DB:
        return None
    return (
        f"the decoder draws from mixtures of codes: {seen['relaxed_psnr_db']:.1f} dB from them, "
        f"but {seen['psnr_db']:.1f} dB from the single codes that encode will give; lower "
        f"dvae.temperature_end, now {cfg.temperature_end:g} (the paper's is 1/16)"
    )
