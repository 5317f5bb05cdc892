"""Make the plan and the pages of a human evaluation."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.command import writing_to
from pipelines.rate.rated_systems import RatedSystem, decoded
from pipelines.rate.rating_page import render_page, ruined
from pipelines.rate.rating_plan import (
    VOTES,
    PlannedPair,
    PlannedSystem,
    RatedCaption,
    RatingPlan,
    assign,
    choose_pairs,
)
from schemas.errors import ConfigError
from stages.pages import is_small, uri

PLAN = "plan.json"


@dataclass
class ShownPictures:
    """The pictures of one system that are shown, as addresses that hold them."""

    uris: dict[str, str] = field(default_factory=dict)  # by the key of the caption
    ruined: dict[str, str] = field(default_factory=dict)
    sha256: str = ""
    crisp: bool = True  # all are small enough to be enlarged as squares


def make(
    systems: Sequence[RatedSystem],
    captions: Sequence[RatedCaption],
    out: Path,
    *,
    pairs: int,
    raters: int,
    seed: int,
) -> RatingPlan:
    """Write plan.json and a page for each rater; raise ConfigError if another plan is there."""
    chosen = choose_pairs(captions, [system.name for system in systems], pairs, raters, seed)
    pictures = {system.name: read(system, chosen, seed) for system in systems}
    plan = RatingPlan(
        seed=seed,
        votes=min(VOTES, raters),
        systems=tuple(
            PlannedSystem(
                name=system.name,
                source=system.source,
                pictures_sha256=pictures[system.name].sha256,
            )
            for system in systems
        ),
        pairs=tuple(chosen),
        pages=tuple(assign(chosen, raters, seed)),
    )
    uris = {pair.number: _uris(pair, pictures) for pair in chosen}
    crisp = all(shown.crisp for shown in pictures.values())
    with writing_to(f"--out {out}"):
        out.mkdir(parents=True, exist_ok=True)
        _write_plan(plan, out / PLAN)
        for page in plan.pages:
            text = render_page(plan, page, uris, crisp=crisp)
            (out / page_name(page.rater)).write_text(text, encoding="utf-8")
    return plan


def page_name(rater: int) -> str:
    return f"rater-{rater}.html"


def read(system: RatedSystem, pairs: Sequence[PlannedPair], seed: int) -> ShownPictures:
    """Read the pictures of a system that some pair shows."""
    own = [pair for pair in pairs if system.name in (pair.first, pair.second)]
    gold = {pair.key for pair in own if pair.ruined is not None}
    wanted = list({pair.key: RatedCaption(pair.key, pair.caption) for pair in own}.values())
    shown, content = ShownPictures(), hashlib.sha256()
    for one, data, pixels in decoded(system, sorted(wanted)):
        content.update(f"{one.key} {hashlib.sha256(data).hexdigest()}\n".encode())
        shown.uris[one.key] = uri(pixels)
        shown.crisp &= is_small(pixels)
        if one.key in gold:
            shown.ruined[one.key] = uri(ruined(pixels, seed))
    shown.sha256 = content.hexdigest()
    return shown


def _uris(pair: PlannedPair, pictures: Mapping[str, ShownPictures]) -> tuple[str, str]:
    if pair.ruined is None:
        return pictures[pair.first].uris[pair.key], pictures[pair.second].uris[pair.key]
    shown = pictures[pair.first]
    both = shown.uris[pair.key], shown.ruined[pair.key]
    return both if pair.ruined == "second" else both[::-1]


def _write_plan(plan: RatingPlan, path: Path) -> None:
    text = plan.model_dump_json(indent=1)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise ConfigError(
            f"wanted a folder for a new plan, found another plan in {path}, whose answers would be "
            "lost; give another --out, or delete that file"
        )
    path.write_text(text, encoding="utf-8")
