"""Measure the artifacts of a run, judge its drawings, and write the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.artifacts import (
    BPE,
    CLEAN_PAIRS,
    CLIP,
    DVAE,
    MEASURED,
    PAIRS,
    PRIOR,
    REPORT_HTML,
    REPORT_JSON,
    SAMPLES,
    TOKEN_PAIRS,
    VAL,
)
from schemas.folder import Folder, Inputs
from schemas.manifest import Manifest, Result
from schemas.run_report import Report
from schemas.run_report.accuracy_part import Accuracy, JudgeAudit
from schemas.run_report.models_part import DvaeFigures
from schemas.run_report.outcomes_part import Outcomes
from schemas.run_report.stages_part import DrawnCounts, StageRecord
from schemas.settings import EvaluateSettings
from stages.cpu_threads import use_threads
from stages.data.digests import digest_of
from stages.evaluate.accuracy import accuracy, gain
from stages.evaluate.advice import Advice
from stages.evaluate.baselines import KeptPrompts, baselines
from stages.evaluate.baselines.nearest_captions import nearest_pictures
from stages.evaluate.by_network import PictureSets, by_networks
from stages.evaluate.checks import checks
from stages.evaluate.funnel import funnel
from stages.evaluate.held_out_loss import prior_loss
from stages.evaluate.item_outcomes import code_outcomes, picture_outcomes, prompt_outcomes
from stages.evaluate.judge_audit import judge_itself
from stages.evaluate.judgements import Judgement, judged
from stages.evaluate.page import Gallery, Shown, ShownPrompt, render
from stages.evaluate.reading import DrawnPrompt, curves, metrics, prompts
from stages.evaluate.reconstructions import measured_pictures, reconstruct
from stages.evaluate.retrieval import caption_scores, figures
from stages.pictures import Pixels, contact_sheet, decode, encode_png
from stages.progress import Progress
from stages.storage import reaching
from stages.weights import load_clip, load_dvae

REVISION = 15
READS = (PAIRS, MEASURED, CLEAN_PAIRS, BPE, DVAE, TOKEN_PAIRS, PRIOR, CLIP, SAMPLES)
TRAINED = (DVAE, PRIOR, CLIP)  # in the order of their curves on the page

PROMPTS_SHOWN = 16  # of each set, on the page
PROMPTS_ON_SHEET = 40  # of each set, on its contact sheet
PICTURES_SHOWN = 8  # of each prompt
RECONSTRUCTIONS_SHOWN = 24


@dataclass
class Drawings:
    """What one pass over the samples keeps in memory."""

    judgements: list[Judgement] = field(default_factory=list)
    shown: dict[str, list[ShownPrompt]] = field(default_factory=dict)  # the first of each set
    kept: KeptPrompts = field(default_factory=KeptPrompts)  # to be set beside baselines


def outside(cfg: EvaluateSettings) -> dict[str, str]:
    """Digest the feature network that is handed in."""
    if not cfg.features:
        return {}
    with reaching(cfg.features, "evaluate.features"):
        return {"evaluate.features": digest_of(cfg.features)}


def run(inputs: Inputs, out: Folder, cfg: EvaluateSettings) -> Result:
    """Measure every artifact of the run and commit the report."""
    use_threads(cfg.run.threads)
    manifests = {artifact.name: inputs.manifest(artifact) for artifact in READS}
    dvae = load_dvae(inputs.folder(DVAE))
    settings = manifests[DVAE.name].settings
    side, image_vocab = settings["side"], settings["image_vocab"]
    split, pictures = measured_pictures(inputs, side, cfg.pictures)
    seen = reconstruct(dvae, [p.pixels for p in pictures], image_vocab, keep=len(pictures))
    drawn = read_samples(inputs, manifests[SAMPLES.name], judge=cfg.judge == "shapes")
    clip = load_clip(inputs.folder(CLIP))
    clean, kept = inputs.folder(CLEAN_PAIRS), drawn.kept.kept
    nearest = nearest_pictures(clean, side, [prompt.text for prompt in kept])
    both = list(zip((p.pixels for p in pictures), seen.pixels, strict=True))
    sets = PictureSets.of(kept, nearest, both if f"{split}/" == VAL else (), clean, side)
    looked = list(by_networks(inputs.folder(CLIP), cfg.features, sets))
    networks = tuple(one.figures for one in looked)
    scores = caption_scores(clip, pictures) if pictures else None
    # Twice as many: the judge's own error must be known better than what it judges.
    judge = judge_itself(dvae, side, 2 * cfg.pictures) if cfg.judge == "shapes" else None
    stages = {manifest.stage: _stage(manifest) for manifest in manifests.values()}
    loss = prior_loss(inputs)
    advice = Advice.of(stages, loss)
    ours = DvaeFigures(split=split, **seen.figures().model_dump())
    measured = Report(
        accuracy=None if judge is None else _accuracy(drawn, judge),
        dvae=ours,
        clip=None if scores is None else figures(scores, [p.caption for p in pictures]),
        samples=_counts(drawn.kept, manifests[SAMPLES.name]),
        funnel=funnel(inputs),
        seconds={manifest.stage: manifest.seconds for manifest in manifests.values()},
        stages=stages,
        versions=_versions(manifests),
        networks=networks,
        prior=loss,
        baselines=baselines(inputs, pictures, clip, drawn.kept, nearest, ours, networks, advice),
        checks=(),
        outcomes=Outcomes(
            revision=REVISION,
            pictures=picture_outcomes(pictures, seen.squared_errors, scores),
            codes=code_outcomes(inputs),
            prompts=prompt_outcomes(drawn.judgements),
        ),
    )
    report = measured.model_copy(update={"checks": checks(measured)})
    gallery = Gallery(
        drawn={name: shown[:PROMPTS_SHOWN] for name, shown in drawn.shown.items()},
        reconstructed=[
            (picture.caption, picture.pixels, made)
            for picture, made in zip(pictures, seen.pixels[:RECONSTRUCTIONS_SHOWN], strict=False)
        ],
        code_counts=seen.code_counts.tolist(),
        training={a.name: curves(metrics(inputs.folder(a))) for a in TRAINED},
        suspects=[one.pairs for one in looked],
    )
    for name, sheet in sheets(drawn, gallery).items():
        out.commit(f"sheets/{name}.png", encode_png(sheet))
    out.commit(REPORT_HTML, render(report, gallery).encode())
    out.commit(REPORT_JSON, report.model_dump_json(indent=2).encode())
    return Result(rows_in=manifests[SAMPLES.name].rows_out, rows_out=1, health=_headline(report))


def read_samples(inputs: Inputs, manifest: Manifest, *, judge: bool) -> Drawings:
    """Judge every drawn picture in one pass, and keep the first prompts of each set to show."""
    drawn = Drawings()
    with Progress("evaluate: pictures", manifest.rows_out) as progress:
        for prompt in prompts(inputs):
            shown = drawn.shown.setdefault(prompt.set, [])
            ticked = PICTURES_SHOWN if len(shown) < PROMPTS_SHOWN else 0
            judgement = judged(prompt, ticked) if judge else None
            if judgement is not None:
                drawn.judgements.append(judgement)
            drawn.kept.add(prompt, judgement)
            if len(shown) < PROMPTS_ON_SHEET:
                shown.append(_show(prompt, judgement))
            progress.advance(len(prompt.ranked))
    return drawn


def _show(prompt: DrawnPrompt, judgement: Judgement | None) -> ShownPrompt:
    pictures = [
        Shown(
            decode(one.png),
            one.clip_score,
            judgement.wrong(judgement.found[one.candidate])
            if judgement is not None and one.candidate in judgement.found
            else None,
        )
        for one in prompt.ranked[:PICTURES_SHOWN]
        if one.png is not None
    ]
    return ShownPrompt(prompt.text, pictures)


def sheets(drawn: Drawings, gallery: Gallery) -> dict[str, Pixels]:
    """Return contact sheets: one row per prompt of a set, and originals above reconstructions."""
    found = {}
    for name, shown in drawn.shown.items():
        pictures = [picture.pixels for prompt in shown for picture in prompt.pictures]
        found[name] = contact_sheet(pictures, columns=len(shown[0].pictures))
    columns = max(1, len(gallery.reconstructed) // 3)
    rows: list[Pixels] = []
    for start in range(0, len(gallery.reconstructed), columns):
        row = gallery.reconstructed[start : start + columns]
        rows += [original for _, original, _ in row] + [made for _, _, made in row]
    return found | {"reconstructions": contact_sheet(rows, columns)}


def _accuracy(drawn: Drawings, judge: JudgeAudit) -> Accuracy:
    sets = accuracy(drawn.judgements)
    # One number to hold the headline against: never-seen combinations if there are such prompts.
    headline = sets.get("held_out") or next(iter(sets.values()), None)
    return Accuracy(
        sets=sets,
        candidates=drawn.kept.candidates,
        chance=0.0 if headline is None else headline.chance,
        gain=gain(drawn.judgements) if drawn.judgements else None,
        judge=judge,
    )


def _counts(kept: KeptPrompts, manifest: Manifest) -> DrawnCounts:
    rank_by = manifest.settings.get("rank_by", "clip")  # not said before there was a choice
    return DrawnCounts(candidates=kept.candidates, prompts=kept.counts, rank_by=rank_by)


def _stage(manifest: Manifest) -> StageRecord:
    kept = set(StageRecord.model_fields) - {"artifact"}
    artifact = f"{manifest.artifact}/{manifest.fingerprint}"
    return StageRecord(artifact=artifact, **manifest.model_dump(include=kept, mode="json"))


def _versions(manifests: Mapping[str, Manifest]) -> dict[str, str]:
    """Return the library versions of all stages; where stages differ, name each version."""
    found: dict[str, set[str]] = {}
    for manifest in manifests.values():
        for name, version in manifest.versions.items():
            found.setdefault(name, set()).add(version)
    return {name: ", ".join(sorted(versions)) for name, versions in sorted(found.items())}


def _headline(report: Report) -> dict[str, Any]:
    weak = [check.what for check in report.checks if not check.ok]
    return {"weak": weak, "codes_used": report.dvae.codes_used, "psnr_db": report.dvae.psnr_db}
