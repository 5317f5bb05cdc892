"""What the numbers mean, in words: which are weak, and what that does to the pictures."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from schemas.run_report import Report
from schemas.run_report.accuracy_part import Accuracy, JudgeAudit, SetAccuracy
from schemas.run_report.baselines_part import ComparedPart
from schemas.run_report.models_part import DvaeFigures, RetrievalFigures
from schemas.run_report.report_part import Change, ReportPart
from schemas.run_report.stages_part import ReportCheck
from schemas.settings import RankBy
from stages.evaluate.advice import Advice
from stages.evaluate.alarms import alarms
from stages.evaluate.intervals import LUCK

# Below these a codebook of any size has collapsed: most of it is dead weight to the prior.
COLLAPSED_SHARE = 1 / 8
MIN_GAIN_DB = 3.0  # over one flat colour per picture

STANDARD_ERRORS = 3  # that reranking's gain must be away from nothing
SWAPPED = 1 / 2  # of relations are right if only the order of the two is left to luck
LOTTERY: dict[RankBy, str] = {  # what a blind CLIP means for the favourites
    "clip": ", so its ranking of the drawings is a lottery",
    "both": ", so it adds nothing but noise to the likelihood that drawings are ranked by",
    "likelihood": "; this run does not rank by it",
}
SETS = {
    "held_out": "never-seen combinations",
    "seen": "seen combinations",
    "two_shapes": "two shapes",
}

BLURRED = (
    "The dVAE is weaker than this world needs: shapes blur or colours shift before the prior has "
    "drawn anything."
)
ERRING = (
    "The judge itself errs on pictures whose shapes are known, so the accuracies below are lower "
    "bounds at best."
)
MISREAD = "The judge errs in this even where the truth is known, so what it finds is unreliable."
UNRELIABLE = "The model draws combinations it never saw less reliably than this demo should."
# What the demo's world is tuned to reach, checked only where its judge can look: a part of the
# report, its number, how it is called, the least that will do, its unit, and what less means.
WORLD = (
    ("dvae", "codes_used", "codes in use, for this world", 64, "", BLURRED),
    ("dvae", "perplexity", "perplexity of the codes", 24, "", BLURRED),
    ("dvae", "psnr_db", "reconstruction", 22, " dB", BLURRED),
    ("judge", "world", "the judge on drawn pictures", 0.99, "%", ERRING),
    ("judge", "reconstructions", "the judge on reconstructions", 0.95, "%", ERRING),
    ("held_out", "reranked", "never-seen combinations, best of all", 0.85, "%", UNRELIABLE),
    ("held_out", "single", "never-seen combinations, first picture drawn", 0.65, "%", UNRELIABLE),
)


def checks(report: Report) -> tuple[ReportCheck, ...]:
    """Return every check that the report has numbers for."""
    advice = Advice.of(report.stages, report.prior)
    found = [*_beside(report.baselines.compared), *alarms(report), *_dvae(report.dvae, advice)]
    if report.clip is not None:
        found.append(_clip(report.clip, report.samples.rank_by))
    if report.accuracy is not None:
        found += _world(report.dvae, report.accuracy)
        found += _judge(report.accuracy.judge)
        better = advice.other_ranking(report.baselines.clip) or advice.better_ranking()
        found += _accuracy(report.accuracy, report.samples.rank_by, better)
    return tuple(found)


def harm(name: str, row: SetAccuracy) -> str:
    """Say by how much favourites are worse than the first pictures drawn."""
    share, error = row.gain.share, row.gain.standard_error
    sure = error is not None and -share > LUCK * error
    return (
        f"Choosing makes {called(name)} worse by {-100 * share:.1f} points "
        f"({_errors(share, error)})" + ("." if sure else ", which may be luck.")
    )


def called(name: str) -> str:
    """Name a set of prompts within a sentence."""
    return SETS.get(name, f"prompts of '{name}'")


def amount(value: float, unit: str) -> str:
    """Write a number of a comparison with its unit; shares are in percent."""
    if unit == "%":
        return f"{100 * value:.1f} %"
    digits = 1 if unit == "dB" else 3
    return f"{value:.{digits}f} {unit}".rstrip()


def _beside(compared: Sequence[ComparedPart]) -> Iterator[ReportCheck]:
    """Ask that each learned part is better than the simplest thing that does its job."""
    for row in compared:
        side = "below" if row.lower_is_better else "above"
        yield ReportCheck(
            what=row.part,
            found=amount(row.ours, row.unit),
            wanted=f"{side} {amount(row.baseline, row.unit)}: {row.simplest}",
            ok=row.better,
            meaning=row.words,
        )


def _world(dvae: DvaeFigures, accuracy: Accuracy) -> Iterator[ReportCheck]:
    parts: dict[str, ReportPart] = {**accuracy.sets, "dvae": dvae, "judge": accuracy.judge}
    for part, key, what, floor, unit, meaning in WORLD:
        if part in parts:
            number = getattr(parts[part], key)
            found, least = f"{number:.4g}{unit}", f"{floor:g}{unit}"
            if unit == "%":
                found, least = f"{100 * number:.1f} %", f"{100 * floor:.0f} %"
            yield ReportCheck(
                what=what,
                found=found,
                wanted=f"at least {least}",
                ok=number >= floor,
                meaning=meaning,
            )


def _judge(judge: JudgeAudit) -> Iterator[ReportCheck]:
    """Check the judge in the aspect in which it errs most: in true and in false statements."""
    for shares_by_aspect, called, floor in (
        (judge.by_aspect["world"], "drawn pictures", 0.99),
        (judge.by_aspect["reconstructions"], "reconstructions", 0.95),
    ):
        share, aspect, so = min(
            (share, aspect, so)
            for aspect, shares in shares_by_aspect.items()
            for so, share in shares.items()
        )
        yield ReportCheck(
            what=f"the judge on {called}, where it errs most: {so} statements of {aspect}",
            found=f"{100 * share:.1f} %",
            wanted=f"at least {100 * floor:.0f} %",
            ok=share >= floor,
            meaning=MISREAD,
        )


def _dvae(dvae: DvaeFigures, advice: Advice) -> Iterator[ReportCheck]:
    used, codes = dvae.codes_used, dvae.codes
    most = min(codes, dvae.positions)  # a few pictures cannot use all of a large codebook
    yield ReportCheck(
        what="codes in use",
        found=f"{used} of {codes}",
        wanted=f"at least {math.ceil(COLLAPSED_SHARE * most)}",
        ok=used >= COLLAPSED_SHARE * most,
        meaning="The codes have collapsed: the dVAE describes every picture with the same few "
        f"codes, so the prior can only draw what these few can say: {advice.more_codes()}.",
    )
    gain = dvae.psnr_db - dvae.mean_colour_psnr_db
    yield ReportCheck(
        what="reconstruction over one flat colour",
        found=f"+{gain:.1f} dB" if gain >= 0 else f"{gain:.1f} dB",
        wanted=f"at least +{MIN_GAIN_DB:.0f} dB",
        ok=gain >= MIN_GAIN_DB,
        meaning="Reconstructions are hardly better than the mean colour of each picture: the codes "
        "say next to nothing about what is in it.",
    )


def _clip(clip: RetrievalFigures, rank_by: RankBy) -> ReportCheck:
    if clip.chance == 1:
        meaning = "All pictures have the same caption, so whether CLIP tells captions is not known."
    else:
        meaning = f"CLIP cannot tell which caption belongs to a picture{LOTTERY[rank_by]}."
    low, high = (100 * bound for bound in clip.r_precision_interval)
    return ReportCheck(
        what="CLIP finds the caption of a picture",
        found=f"{100 * clip.r_precision:.1f} % ({low:.1f} to {high:.1f})",
        wanted=f"above chance, {100 * clip.chance:.1f} %, and above what it finds when pictures "
        f"swap captions, {100 * clip.by_luck:.1f} %",
        ok=low > 100 * clip.chance and clip.r_precision > clip.by_luck,
        meaning=meaning,
    )


def _accuracy(accuracy: Accuracy, rank_by: RankBy, better: str) -> Iterator[ReportCheck]:
    """Check whether drawings are right, and whether choosing among them makes them more so."""
    for name, row in accuracy.sets.items():
        yield _above_chance(name, row)
        yield from _told_apart(name, row)
    if accuracy.candidates == 1 or accuracy.gain is None:
        return
    yield _gain(accuracy.candidates, accuracy.gain, better)
    for name, row in accuracy.sets.items():
        yield _no_harm(name, row)
        yield _no_fall(name, row)
        if rank_by == "clip":
            yield _scores_rise(name, row)


def _above_chance(name: str, row: SetAccuracy) -> ReportCheck:
    low, high = (100 * bound for bound in row.reranked_interval)
    return ReportCheck(
        what=f"{called(name)}: more is right than by chance",
        found=f"{100 * row.reranked:.1f} % ({low:.0f} to {high:.0f})",
        wanted=f"above chance, {100 * row.chance:.1f} %",
        ok=low > 100 * row.chance,
        meaning="The pictures would do as well for other prompts: what is drawn does not follow "
        "the words.",
    )


def _told_apart(name: str, row: SetAccuracy) -> Iterator[ReportCheck]:
    """Check that of two shapes that are both there, each is where the prompt says."""
    relation = row.by_aspect.get("relation")
    if relation is None or relation.if_there is None or relation.if_there_interval is None:
        return
    low, high = (100 * bound for bound in relation.if_there_interval)
    yield ReportCheck(
        what=f"{called(name)}: which of the two is where, if both are there",
        found=f"{100 * relation.if_there:.1f} % ({low:.0f} to {high:.0f})",
        wanted=f"above {100 * SWAPPED:.0f} %, what swapping them by luck gives",
        ok=low > 100 * SWAPPED,
        meaning="The shapes are as named, but not where the prompt says: the two might as well be "
        "swapped.",
    )


def _gain(candidates: int, gain: Change, better: str) -> ReportCheck:
    share, error = gain.share, gain.standard_error
    return ReportCheck(
        what=f"what choosing among {candidates} adds, over all prompts",
        found=f"{100 * share:+.1f} points, standard error "
        + ("unknown" if error is None else f"{100 * error:.1f}"),
        wanted=f"more than {STANDARD_ERRORS} standard errors",
        ok=error is not None and share > STANDARD_ERRORS * error,
        meaning="All prompts name the same, so whether it holds for others is not known."
        if error is None
        else "The favourites are hardly better than the first pictures drawn, so their ranking is "
        f"worth little: {better}.",
    )


def _no_harm(name: str, row: SetAccuracy) -> ReportCheck:
    share, error = row.gain.share, row.gain.standard_error
    return ReportCheck(
        what=f"{called(name)}: choosing makes nothing worse",
        found=f"{100 * share:+.1f} points ({_errors(share, error)})",
        wanted="no fewer right than of the first pictures drawn",
        ok=share >= 0,
        meaning=harm(name, row),
    )


def _no_fall(name: str, row: SetAccuracy) -> ReportCheck:
    what = f"{called(name)}: more to choose from, no fewer right"
    wanted = f"no fall of more than {LUCK} standard errors"
    fall = row.fall
    if fall is None:
        return ReportCheck(what=what, found="never fewer", wanted=wanted, ok=True, meaning="")
    error = fall.standard_error
    return ReportCheck(
        what=what,
        found=f"{100 * fall.share:.1f} points from {fall.fewer} to {fall.more} candidates "
        f"({_errors(fall.share, error)})",
        wanted=wanted,
        ok=error is None or -fall.share <= LUCK * error,
        meaning=f"The favourite of {fall.more} is right less often than that of {fall.fewer}: "
        "the more candidates there are, the more of them mislead the ranking.",
    )


def _scores_rise(name: str, row: SetAccuracy) -> ReportCheck:
    scores = sorted((count, found.clip_score) for count, found in row.by_candidates.items())
    (first, low), (last, high) = scores[0], scores[-1]
    found = f"{low:.3f} of {first}, {high:.3f} of {last}"
    fall = next(((a, b) for a, b in pairwise(scores) if not b[1] >= a[1]), None)
    if fall is not None:
        (fewer, before), (more, after) = fall
        found = f"from {before:.3f} of {fewer} to {after:.3f} of {more}"
    return ReportCheck(
        what=f"{called(name)}: the favourite's CLIP score rises with the choice",
        found=found,
        wanted="no fall",
        ok=fall is None,
        meaning="The best of more cannot score less than the best of fewer: ranks and scores of "
        "the samples do not belong together, so draw them again (--force sample).",
    )


def _errors(share: float, standard_error: float | None) -> str:
    """Say how many standard errors a change is away from nothing."""
    if not standard_error:
        return "standard error unknown"
    return f"{abs(share) / standard_error:.1f} standard errors"
