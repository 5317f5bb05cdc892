"""One evaluation: several systems, the same captions and reference, one or more networks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from pipelines.score.caption_files import stem
from pipelines.score.caption_set import CaptionSet
from pipelines.score.drawn import DrawnPictures
from pipelines.score.feature_cache import FeatureCache
from pipelines.score.look import Look, look
from pipelines.score.overlap import LeftOut, read_overlap
from pipelines.score.picture_set import PictureSet
from pipelines.score.problems import Problem, problem
from pipelines.score.published_rows import published
from pipelines.score.score_file import (
    Captions,
    Fidelity,
    ReferenceSide,
    ScoreFile,
    System,
    programs,
)
from pipelines.score.shown_shapes import judge_drawings
from pipelines.score.system_scores import Setup, measure, versions
from stages.features import FeatureExtractor
from stages.metrics.reported import Reported


@dataclass
class MeasuredSystem:
    """A system by its name, and what was found of it so far."""

    name: str
    drawings: DrawnPictures
    fidelity: Fidelity | None = None  # of reconstructions
    seen: Look | None = None
    values: list[Reported] = field(default_factory=list)


def evaluate(
    systems: Sequence[MeasuredSystem],
    captions: CaptionSet | None,
    reference: PictureSet,
    overlap: str | None,
    extractors: Sequence[FeatureExtractor],
    setup: Setup,
    cache: FeatureCache | None = None,
) -> ScoreFile:
    """Measure every system by every network; raise ConfigError for what cannot be measured."""
    left_out = read_overlap(overlap, reference.names) if overlap else None
    unreadable: list[str] = []
    for extractor in extractors:
        names = frozenset() if left_out is None else left_out.names
        radii, side = setup.radii, setup.side
        real = look(extractor, reference, reference.names, radii, side, names, cache)
        unreadable = real.unreadable
        against = versions(real, reference.name, left_out.record.name if left_out else None)
        for one in systems:
            caption_of = {pair.picture: pair.caption for pair in one.drawings.pairs}
            drawn = list(caption_of)
            one.seen = look(extractor, one.drawings.source, drawn, radii, side, cache=cache)
            own = [caption_of[name] for name in one.seen.names]
            one.values += measure(extractor, one.seen, own, against, setup)
    return ScoreFile(
        made_with=programs(),
        side=setup.side,
        radii=tuple(setup.radii),
        captions=None if captions is None else _captions(captions, setup.seed),
        reference=_reference(reference, captions, left_out, unreadable),
        systems=tuple(_system(one) for one in systems),
        published=published(captions.format if captions else None),
    )


def _captions(found: CaptionSet, seed: int) -> Captions:
    return Captions(
        name=found.name,
        sha256=found.sha256,
        format=found.format,
        listed=found.listed,
        chosen=len(found.captions),
        seed=seed,
        problems=found.problems,
    )


def _reference(
    source: PictureSet,
    captions: CaptionSet | None,
    left_out: LeftOut | None,
    unreadable: Sequence[str],
) -> ReferenceSide:
    there = {stem(PurePath(name).name) for name in source.names}
    wanted = [one.picture for one in captions.captions if one.picture] if captions else []
    missing = (name for name in dict.fromkeys(wanted) if stem(PurePath(name).name) not in there)
    problems: list[Problem] = [
        *problem("unreadable", unreadable),
        *problem("no_reference", missing),
        *(left_out.problems if left_out else []),
    ]
    return ReferenceSide(
        name=source.name,
        problems=tuple(problems),
        overlap=left_out.record if left_out else None,
    )


def _system(one: MeasuredSystem) -> System:
    assert one.seen is not None, "a system is looked at before it is written down"
    return System(
        name=one.name,
        pictures=one.drawings.source.name,
        sha256=one.seen.sha256(),
        count=len(one.seen.names),
        best_of=one.drawings.best_of,
        called=one.drawings.called,
        problems=(*one.drawings.problems, *problem("unreadable", one.seen.unreadable)),
        values=tuple(one.values),
        fidelity=one.fidelity,
        shown=judge_drawings(one.drawings),
    )
