"""What the numbers mean, in words: which are weak, and what that does to the pictures."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from stages.evaluate.accuracy_checks import of_accuracy, of_judge
from stages.evaluate.check import Check

# Below these a codebook of any size has collapsed: most of it is dead weight to the prior.
COLLAPSED_SHARE = 1 / 8
MIN_GAIN_DB = 3.0  # over one flat colour per picture

# What the demo's world is tuned to reach (only checked where its judge can look).
WORLD_CODES, WORLD_PERPLEXITY, WORLD_PSNR_DB = 64, 24, 22.0


def checks(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every check that the report has numbers for, as plain dicts."""
    found = [*_dvae(report["dvae"]), *_clip(report["clip"])]
    accuracy = report["accuracy"]
    if "judge" in accuracy:
        found += _world_dvae(report["dvae"])
        found += [*of_judge(accuracy["judge"]), *of_accuracy(accuracy)]
    return [asdict(check) for check in found]


def _dvae(dvae: dict[str, Any]) -> Iterator[Check]:
    used, codes = dvae["codes_used"], dvae["codes"]
    most = min(codes, dvae["positions"])  # a few pictures cannot use all of a large codebook
    yield Check(
        "codes in use",
        f"{used} of {codes}",
        f"at least {math.ceil(COLLAPSED_SHARE * most)}",
        used >= COLLAPSED_SHARE * most,
        "The codes have collapsed: the dVAE describes every picture with the same few codes, so "
        "the prior can only draw what these few can say. Train the dVAE longer, or give its KL "
        "weight and temperature a slower schedule.",
    )
    gain = dvae["psnr_db"] - dvae["mean_colour_psnr_db"]
    yield Check(
        "reconstruction over one flat colour",
        f"+{gain:.1f} dB" if gain >= 0 else f"{gain:.1f} dB",
        f"at least +{MIN_GAIN_DB:.0f} dB",
        gain >= MIN_GAIN_DB,
        "Reconstructions are hardly better than the mean colour of each picture: the codes say "
        "next to nothing about what is in it.",
    )


def _clip(clip: dict[str, Any]) -> Iterator[Check]:
    if "r_precision" not in clip:
        return
    if clip["chance"] == 1:
        meaning = "All pictures have the same caption, so whether CLIP tells captions is not known."
    else:
        meaning = "CLIP cannot tell which caption belongs to a picture: its ranking is a lottery."
    low, high = (100 * bound for bound in clip["r_precision_interval"])
    yield Check(
        "CLIP finds the caption of a picture",
        f"{100 * clip['r_precision']:.1f} % ({low:.1f} to {high:.1f})",
        f"above chance, {100 * clip['chance']:.1f} %, and above what it finds when pictures swap "
        f"captions, {100 * clip['by_luck']:.1f} %",
        low > 100 * clip["chance"] and clip["r_precision"] > clip["by_luck"],
        meaning,
    )


def _world_dvae(dvae: dict[str, Any]) -> Iterator[Check]:
    for what, key, floor, unit in (
        ("codes in use, for this world", "codes_used", WORLD_CODES, ""),
        ("perplexity of the codes", "perplexity", WORLD_PERPLEXITY, ""),
        ("reconstruction", "psnr_db", WORLD_PSNR_DB, " dB"),
    ):
        yield Check(
            what,
            f"{dvae[key]:.4g}{unit}",
            f"at least {floor:g}{unit}",
            dvae[key] >= floor,
            "The dVAE is weaker than this world needs: shapes blur or colours shift before the "
            "prior has drawn anything.",
        )
