"""What the numbers mean, in words: which are weak, and what that does to the pictures."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

# Below these a codebook of any size has collapsed: most of it is dead weight to the prior.
COLLAPSED_SHARE = 1 / 8
MIN_GAIN_DB = 3.0  # over one flat colour per picture

# What the demo's world is tuned to reach (only checked where its judge can look).
WORLD_CODES, WORLD_PERPLEXITY, WORLD_PSNR_DB = 64, 24, 22.0
WORLD_RERANKED, WORLD_SINGLE = 0.85, 0.65
STANDARD_ERRORS = 3  # that reranking's gain must be away from nothing
JUDGE_WORLD, JUDGE_RECONSTRUCTIONS = 0.99, 0.95


@dataclass(frozen=True)
class Check:
    """One thing that should hold, what was found, and what it means if it does not."""

    what: str
    found: str
    wanted: str
    good: bool
    meaning: str  # said only when it is not good


def checks(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every check that the report has numbers for, as plain dicts."""
    found = [*_dvae(report["dvae"]), *_clip(report["clip"])]
    accuracy = report["accuracy"]
    if "judge" in accuracy:
        found += [*_world_dvae(report["dvae"]), *_judge(accuracy["judge"]), *_accuracy(accuracy)]
    return [asdict(check) for check in found]


def _dvae(dvae: dict[str, Any]) -> Iterator[Check]:
    used, codes = dvae["codes_used"], dvae["codes"]
    yield Check(
        "codes in use",
        f"{used} of {codes}",
        f"at least {round(COLLAPSED_SHARE * codes)}",
        used >= COLLAPSED_SHARE * codes,
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
    yield Check(
        "CLIP finds the caption of a picture",
        f"{100 * clip['r_precision']:.1f} %",
        f"above chance, {100 * clip['chance']:.1f} %",
        clip["r_precision_interval"][0] > clip["chance"],
        "CLIP cannot tell which caption belongs to a picture, so its ranking is a lottery.",
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


def _judge(judge: dict[str, Any]) -> Iterator[Check]:
    for what, key, floor in (
        ("drawn pictures", "world", JUDGE_WORLD),
        ("reconstructions", "reconstructions", JUDGE_RECONSTRUCTIONS),
    ):
        yield Check(
            f"the judge on {what}",
            f"{100 * judge[key]:.1f} %",
            f"at least {100 * floor:.0f} %",
            judge[key] >= floor,
            f"The judge itself errs on {what} whose shapes are known, so the accuracies below "
            "are lower bounds at best.",
        )


def _accuracy(accuracy: dict[str, Any]) -> Iterator[Check]:
    if "held_out" not in accuracy:
        return
    held_out = accuracy["held_out"]
    for what, key, floor in (
        ("best of all by CLIP", "reranked", WORLD_RERANKED),
        ("first picture drawn", "single", WORLD_SINGLE),
    ):
        yield Check(
            f"never-seen combinations, {what}",
            f"{100 * held_out[key]:.1f} %",
            f"at least {100 * floor:.0f} %",
            held_out[key] >= floor,
            "The model draws combinations it never saw less reliably than this demo should.",
        )
    if accuracy["candidates"] == 1:
        return
    share, error = accuracy["gain"]["share"], accuracy["gain"]["standard_error"]
    yield Check(
        f"what choosing among {accuracy['candidates']} adds, over all prompts",
        f"{100 * share:+.1f} points, standard error {100 * error:.1f}",
        f"more than {STANDARD_ERRORS} standard errors",
        share > STANDARD_ERRORS * error,
        "CLIP's favourites are hardly better than the first picture drawn, so its ranking is worth "
        "little: train it longer, or on more pairs.",
    )
