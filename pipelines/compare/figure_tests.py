"""How each figure of two reports is tested, and why not where both did not measure the same.

A test refuses in words: another split, other pictures, codes of another dVAE, another revision of
the report.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from pipelines.compare.noise import (
    TestedDifference,
    of_errors,
    of_intervals,
    of_means,
    of_prompts,
    of_shares,
)
from schemas.metric_value import Reported
from schemas.run_report import Report
from schemas.run_report.networks_part import PictureSet
from schemas.run_report.outcomes_part import Outcomes
from stages import shapes
from stages.evaluate.intervals import Names, interval
from stages.metrics.reported import comparable

# What a test finds; words if it refuses, None where the noise is not known.
Finding = TestedDifference | str | None
Test = Callable[[Report, Report], Finding]


def reconstructions(one: Report, other: Report) -> Finding:
    """Test the PSNR of both dVAEs, picture by picture."""
    both = _of_pictures(one, other)
    if not isinstance(both, tuple):
        return both
    before, after = (np.array(outcomes.pictures.squared_errors) for outcomes in both)
    return of_errors(before, after, "picture")


def retrieval(one: Report, other: Report) -> Finding:
    """Test the R-precision of both CLIPs; pictures of one caption stand together."""
    both = _of_pictures(one, other)
    if not isinstance(both, tuple):
        return both
    before, after = (outcomes.pictures for outcomes in both)
    return of_shares(before.found, after.found, before.captions, "caption")


def nats(one: Report, other: Report) -> Finding:
    """Test the nats of both priors, picture by picture, if their codes are the same."""
    both = _both(one, other)
    if not isinstance(both, tuple):
        return both
    before, after = (outcomes.codes for outcomes in both)
    if before.sha256 != after.sha256:
        return "codes of another dVAE, or of other pictures"
    if before.nats is None or after.nats is None:
        return None
    difference = float(np.mean(after.nats) - np.mean(before.nats))
    return of_means(np.array(before.nats), np.array(after.nats), difference, "picture")


def drawings(kind: str, hits: str) -> Test:
    """Return a test of the share of a set of prompts whose drawings are right.

    It goes prompt by prompt, or by the intervals of both where their prompts differ.
    """

    def test(one: Report, other: Report) -> Finding:
        both = _both(one, other)
        if not isinstance(both, tuple):
            return both
        before, after = (outcomes.prompts.get(kind) for outcomes in both)
        if before is None or after is None:
            return "only one of them drew such prompts"
        right: tuple[Sequence[bool], Sequence[bool]]
        right = getattr(before, hits), getattr(after, hits)
        prompts = (before.prompts, after.prompts)
        if before.prompts == after.prompts:
            return of_prompts(right[0], right[1], _names(before.prompts))
        shares = [float(np.mean(values)) for values in right]
        bounds = [interval(*own) for own in zip(right, map(_names, prompts), strict=True)]
        return of_intervals(shares, bounds, "prompt", min(map(len, prompts)))

    return test


def distances(network: str, pictures: PictureSet) -> Test:
    """Return a test of a Frechet distance without bias, by the intervals of both."""

    def test(one: Report, other: Report) -> Finding:
        before, after = (distance(report, network, pictures) for report in (one, other))
        if before is None or after is None or before.interval is None or after.interval is None:
            return None
        if reasons := comparable(before, after):
            return f"measured with other things: {'; '.join(reasons)}"
        if before.value == after.value:
            return None
        bounds = (before.interval, after.interval)
        items = min(before.count, after.count)
        return of_intervals((before.value, after.value), bounds, "picture", items)

    return test


def distance(report: Report, network: str, pictures: PictureSet) -> Reported | None:
    """Return the distance of a set of pictures without bias, as a network of this name saw it."""
    for found in report.networks:
        if found.network.name == network and pictures in found.distances:
            return found.distances[pictures].without_bias
    return None


@lru_cache
def _names(prompts: tuple[str, ...]) -> list[Names]:
    """Return the combinations that each prompt names, which are asked for by several figures."""
    return [frozenset(shapes.named(prompt)) for prompt in prompts]


def _both(one: Report, other: Report) -> tuple[Outcomes, Outcomes] | str | None:
    """Return what both measured item by item; words if they measured it in other ways."""
    if one.outcomes is None or other.outcomes is None:
        return None
    before, after = one.outcomes.revision, other.outcomes.revision
    if before != after:
        return f"measured by revisions {before} and {after} of evaluate"
    return one.outcomes, other.outcomes


def _of_pictures(one: Report, other: Report) -> tuple[Outcomes, Outcomes] | str | None:
    if one.dvae.split != other.dvae.split:
        return f"measured on {one.dvae.split} and on {other.dvae.split}"
    both = _both(one, other)
    if isinstance(both, tuple) and both[0].pictures.sha256 != both[1].pictures.sha256:
        return "measured on other pictures"
    return both
