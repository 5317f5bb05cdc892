"""Plans without pictures, raters who vote as planted, and small pictures of two systems."""

import json

import numpy as np

from pipelines.rate.rating_plan import (
    PlannedSystem,
    RatedCaption,
    RatingPlan,
    assign,
    choose_pairs,
)
from stages.pictures import encode_png


def plan(captions, *, systems=("ours", "theirs"), pairs=1_000, raters=5, seed=0):
    named = [RatedCaption(f"{n:04d}", f"caption {n}") for n in range(captions)]
    chosen = choose_pairs(named, systems, pairs, raters, seed)
    return RatingPlan(
        seed=seed,
        votes=min(5, raters),
        systems=[PlannedSystem(name=s, source=f"{s}/", pictures_sha256="0") for s in systems],
        pairs=chosen,
        pages=assign(chosen, raters, seed),
    )


def side(page, number, picture):
    """Where a page shows the first or second picture of a pair."""
    if picture == "neither":
        return picture
    first_is_left = page.first_is_left[page.pairs.index(number)]
    return "left" if first_is_left == (picture == "first") else "right"


def intact(pair):
    return "second" if pair.ruined == "first" else "first"


def picture_of(pair, system):
    """Which picture of a pair is the system's; `neither` stays."""
    return {pair.first: "first", pair.second: "second"}.get(system, "neither")


def answers(plan, rater, choose, seconds=8.0):
    """What a rater's page saves, if `choose(pair, question)` names a system, or neither.

    Gold questions are answered rightly, unless the choice is `first` or `second`.
    """
    page = plan.pages[rater - 1]
    found = []
    for pair in plan.pairs:
        if pair.number not in page.pairs:
            continue
        chosen = {"pair": pair.number, "seconds": seconds}
        for question in ("realism", "match"):
            system = choose(pair, question)
            if system in ("first", "second"):
                picture = system
            else:
                picture = intact(pair) if pair.ruined else picture_of(pair, system)
            chosen[question] = side(page, pair.number, picture)
        found.append(chosen)
    return {
        "format": "dalle-ray rating", "version": 1, "plan": plan.identity, "rater": rater,
        "answers": found,
    }  # fmt: skip


def write(folder, plan, *ratings):
    (folder / "plan.json").write_text(plan.model_dump_json())
    for rating in ratings:
        name = f"rating-{rating['plan']}-{rating['rater']}.json"
        (folder / name).write_text(json.dumps(rating))
    return folder


def pictures(folder, names, seed):
    """Write a picture of noise for each name."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for name in names:
        (folder / f"{name}.png").write_bytes(
            encode_png(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        )


def captions_file(path, names):
    rows = [{"picture": f"{name}.png", "caption": f"a picture called {name}"} for name in names]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
