"""What the judge's counts mean, in words: what choosing with CLIP adds, and where it does harm."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from stages.evaluate.check import Check

# What the demo's world is tuned to reach (only checked where its judge can look).
WORLD_RERANKED, WORLD_SINGLE = 0.85, 0.65
STANDARD_ERRORS = 3  # that reranking's gain must be away from nothing
LUCK = 2  # standard errors: what is less may be luck
JUDGE_WORLD, JUDGE_RECONSTRUCTIONS = 0.99, 0.95
SETS = {
    "held_out": "never-seen combinations",
    "seen": "seen combinations",
    "two_shapes": "two shapes",
}

Row = Mapping[str, Any]


def of_judge(judge: Row) -> Iterator[Check]:
    """Ask whether the judge can be trusted."""
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


def of_accuracy(accuracy: Row) -> Iterator[Check]:
    """Ask whether what is drawn is right, and whether choosing with CLIP makes it more so."""
    if "held_out" in accuracy:
        yield from _floors(accuracy["held_out"])
    sets = {name: row for name, row in accuracy.items() if is_set(row)}
    for name, row in sets.items():
        yield _above_chance(name, row)
    if accuracy["candidates"] == 1 or not sets:
        return
    yield _gain(accuracy)
    for name, row in sets.items():
        yield _no_harm(name, row)
        yield _no_fall(name, row)
        yield _scores_rise(name, row)


def called(name: str) -> str:
    """Name a set of prompts within a sentence."""
    return SETS.get(name, f"prompts of '{name}'")


def harm(name: str, row: Row) -> str:
    """Say by how much CLIP's favourites are worse than the first pictures drawn."""
    share, error = row["gain"]["share"], row["gain"]["standard_error"]
    sure = error is not None and -share > LUCK * error
    return (
        f"Choosing with CLIP makes {called(name)} worse by {-100 * share:.1f} points "
        f"({errors(share, error)})" + ("." if sure else ", which may be luck.")
    )


def errors(share: float, standard_error: float | None) -> str:
    """Say how many standard errors a change is away from nothing."""
    if not standard_error:
        return "standard error unknown"
    return f"{abs(share) / standard_error:.1f} standard errors"


def is_set(row: object) -> bool:
    """Say whether a part of the accuracies is of a set of prompts."""
    return isinstance(row, Mapping) and "by_candidates" in row


def _floors(held_out: Row) -> Iterator[Check]:
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


def _above_chance(name: str, row: Row) -> Check:
    low, high = (100 * bound for bound in row["reranked_interval"])
    return Check(
        f"{called(name)}: more is right than by chance",
        f"{100 * row['reranked']:.1f} % ({low:.0f} to {high:.0f})",
        f"above chance, {100 * row['chance']:.1f} %",
        low > 100 * row["chance"],
        "The pictures would do as well for other prompts: what is drawn does not follow the words.",
    )


def _gain(accuracy: Row) -> Check:
    share, error = accuracy["gain"]["share"], accuracy["gain"]["standard_error"]
    return Check(
        f"what choosing among {accuracy['candidates']} adds, over all prompts",
        f"{100 * share:+.1f} points, standard error "
        + ("unknown" if error is None else f"{100 * error:.1f}"),
        f"more than {STANDARD_ERRORS} standard errors",
        error is not None and share > STANDARD_ERRORS * error,
        "All prompts name the same, so whether it holds for others is not known."
        if error is None
        else "CLIP's favourites are hardly better than the first picture drawn, so its ranking is "
        "worth little: train it longer, or on more pairs.",
    )


def _no_harm(name: str, row: Row) -> Check:
    share, error = row["gain"]["share"], row["gain"]["standard_error"]
    return Check(
        f"{called(name)}: choosing with CLIP makes nothing worse",
        f"{100 * share:+.1f} points ({errors(share, error)})",
        "no fewer right than of the first pictures drawn",
        share >= 0,
        harm(name, row),
    )


def _no_fall(name: str, row: Row) -> Check:
    fall = row["fall"]
    if fall is None:
        found, good, meaning = "never fewer", True, ""
    else:
        share, error = fall["share"], fall["standard_error"]
        found = (
            f"{100 * share:.1f} points from {fall['fewer']} to {fall['more']} candidates "
            f"({errors(share, error)})"
        )
        good = error is None or -share <= LUCK * error
        meaning = (
            f"CLIP's favourite of {fall['more']} is right less often than that of "
            f"{fall['fewer']}: the more there is to choose from, the more of what misleads CLIP "
            "is in it."
        )
    return Check(
        f"{called(name)}: more to choose from, no fewer right",
        found,
        f"no fall of more than {LUCK} standard errors",
        good,
        meaning,
    )


def _scores_rise(name: str, row: Row) -> Check:
    scores = {int(count): found["clip_score"] for count, found in row["by_candidates"].items()}
    steps = pairwise(sorted(scores.items()))
    fall = next(((one, other) for one, other in steps if not other[1] >= one[1]), None)
    first, last = min(scores), max(scores)
    found = f"{scores[first]:.3f} of {first}, {scores[last]:.3f} of {last}"
    if fall is not None:
        (fewer, before), (more, after) = fall
        found = f"from {before:.3f} of {fewer} to {after:.3f} of {more}"
    return Check(
        f"{called(name)}: the favourite's CLIP score rises with the choice",
        found,
        "no fall",
        fall is None,
        "The best of more cannot score less than the best of fewer: ranks and scores of the "
        "samples do not belong together, so draw them again (--force sample).",
    )
