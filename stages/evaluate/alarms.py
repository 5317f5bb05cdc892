"""What shows a bad run, whatever was drawn: the page says it before anything else, in words.

Parts that are not better than the simplest thing that does their job are in baselines/.
"""

import math
from collections.abc import Iterator

from schemas.run_report import Report
from schemas.run_report.networks_part import NetworkFigures
from schemas.run_report.stages_part import ReportCheck
from schemas.run_report.training_part import HeldOutLoss
from stages.evaluate.advice import Advice
from stages.evaluate.held_out_loss import overfits
from stages.evaluate.intervals import LUCK, error_of

FAR = 1.5  # times as far from held-out pictures as their reconstructions
# Where prompts are not held-out captions, also because they ask for what no picture shows: right
# drawings of the demo's prompts, through its dVAE, are 2.4 times as far (tests/bench/LOG.md).
FAR_ELSEWHERE = 3.0


def alarms(report: Report) -> Iterator[ReportCheck]:
    """Yield a check for each thing that can go wrong and that the report has numbers for."""
    advice = Advice.of(report.stages, report.prior)
    yield from _pairs_kept(report)
    if report.prior is not None:
        yield _overfitting(report.prior, advice)
    for network in report.networks:
        yield from _far(network, set(report.samples.prompts) == {"validation"}, advice)


def _pairs_kept(report: Report) -> Iterator[ReportCheck]:
    """Ask that most of a folder is kept; of the web, much is rightly dropped."""
    crawl, filtered = report.stages.get("crawl"), report.stages.get("filter")
    if crawl is None or filtered is None:
        return
    if crawl.settings.get("source", {}).get("kind") != "folder":
        return
    warning = filtered.health.get("warning")
    yield ReportCheck(
        what="pairs of the folder that are kept",
        found=f"{report.funnel[1].kept:,} of {report.funnel[0].rows_in:,}",
        wanted="at least four fifths",
        ok=warning is None,
        meaning="" if warning is None else f"{warning[0].upper()}{warning[1:]}.",
    )


def _overfitting(found: HeldOutLoss, advice: Advice) -> ReportCheck:
    """Ask that held-out nats have not risen from their fewest while training nats fell."""
    remedy = advice.no_overfitting(found.lowest_step)
    return ReportCheck(
        what="prior: what it learned holds for held-out pictures",
        found=f"{found.last:.3f} nats at the end, {found.lowest:.3f} at step {found.lowest_step:,}"
        + ("" if found.kept_step is None else f"; kept is step {found.kept_step:,}"),
        wanted="that the weights of the lowest loss are kept",
        ok=not overfits(found),
        meaning="Overfitting, training pictures are memorised: validation loss was lowest at step "
        f"{found.lowest_step:,} ({found.lowest:.3f} nats) and ended at {found.last:.3f}, while "
        f"that of training pictures fell from {found.training_at_lowest:.3f} to "
        f"{found.training_last:.3f}. {remedy[0].upper()}{remedy[1:]}.",
    )


def _far(found: NetworkFigures, of_captions: bool, advice: Advice) -> Iterator[ReportCheck]:
    """Ask that drawings are about as near to held-out pictures as they can be, but for luck.

    For held-out captions, that is as near as the dVAE's reconstructions. Other prompts may ask for
    other things than held-out pictures show: then the training pictures of the nearest captions
    are farther away, too.
    """
    first = found.distances.get("first")
    near = {"reconstructions": found.distances.get("reconstructions")}
    if not of_captions:
        near["training pictures of the nearest captions"] = found.distances.get("nearest")
    known = {name: one for name, one in near.items() if one is not None}
    if first is None or not known:
        return
    name, floor = max(known.items(), key=lambda item: item[1].without_bias.value)
    far = FAR if of_captions else FAR_ELSEWHERE
    most = far * max(0.0, floor.without_bias.value)
    error = math.hypot(error_of(first.without_bias), far * error_of(floor.without_bias))
    ours, theirs = first.at_count.value, floor.at_count.value
    yield ReportCheck(
        what=f"distance of drawings from held-out pictures, by {found.network.name}",
        found=f"{first.without_bias.value:.4g} without bias",
        wanted=f"at most {most + LUCK * error:.4g}: {far:g} times the {most / far:.4g} of {name}, "
        f"and {LUCK} standard errors",
        ok=first.without_bias.value <= most + LUCK * error,
        meaning=f"Drawings are {ours / theirs:.1f} times as far from real pictures as {name} are, "
        f"so the prior has not learned enough: {advice.better_prior()}; or draw likelier pictures "
        f"({advice.likelier_drawings()}).",
    )
