"""Let people compare pictures of several systems: make pages, tally the votes.

  python -m pipelines.rate make --system ours=ours/ --system other=other/ \\
      --captions captions.jsonl --out rating/
  python -m pipelines.rate tally rating/

Each rater gets one page, and puts the file that it saves beside plan.json.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from pipelines.command import arguments, command, printable, program, writing_to
from pipelines.rate.answers import TALLY, TALLY_PAGE, read_answers, read_plan
from pipelines.rate.make import make, page_name
from pipelines.rate.rated_systems import (
    RatedSystem,
    captions_for,
    named_places,
    shared_captions,
    system,
)
from pipelines.rate.tally import tally
from pipelines.rate.tally_table import print_tally, render_tally
from pipelines.score.caption_set import CaptionSet
from pipelines.score.problems import Problem
from stages.numbers import byte_size

WIDTH = 80


def parser() -> argparse.ArgumentParser:
    line = arguments("rate", __doc__)
    verbs = line.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("make", help="write the raters' pages and plan.json")
    one.add_argument("--system", action="append", default=[], metavar="NAME=PLACE",
                     help="pictures as pipelines.score takes them: a folder, or the root of a "
                          "run, whose favourites are shown; give two or more")  # fmt: skip
    one.add_argument("--captions", metavar="PLACE",
                     help="captions as pipelines.score takes them; if all systems are runs, "
                          "their prompts are the default")  # fmt: skip
    one.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write to")
    one.add_argument("--pairs", type=_count, default=1_000,
                     help="pairs to rate, besides gold questions (default 1000)")  # fmt: skip
    one.add_argument("--raters", type=_count, default=5,
                     help="pages to make; each pair is on five of them (default 5)")  # fmt: skip
    one.add_argument("--seed", type=_from_0, default=0, help="of all that is drawn by lot")
    other = verbs.add_parser("tally", help="count the votes, write tally.json, tally.html")
    other.add_argument("folder", type=Path, metavar="DIR", help="where plan.json and answers are")
    return line


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"wanted at least 1, found {number}")
    return number


def _from_0(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"wanted 0 or more, found {number}")
    return number


@command(parser)
def main(args: argparse.Namespace) -> None:
    if args.verb == "make":
        _make(args)
    else:
        _tally(args.folder)


def _make(args: argparse.Namespace) -> None:
    places = named_places(args.system)
    listed = captions_for(list(places.values()), args.captions, args.seed)
    systems = [system(name, place, listed) for name, place in places.items()]
    captions = shared_captions(systems, listed)
    for whose, problem in _problems(listed, systems):
        print(printable(f"{whose}: {problem.sentence}"))
    if len(captions) < len(listed.captions):
        lost = len(listed.captions) - len(captions)
        print(f"passed over {lost:,} captions: no system has a picture")
    plan = make(systems, captions, args.out,
                pairs=args.pairs, raters=args.raters, seed=args.seed)  # fmt: skip
    gold = sum(pair.ruined is not None for pair in plan.pairs)
    page = max((args.out / page_name(one.rater)).stat().st_size for one in plan.pages)
    print(
        f"{len(plan.pairs) - gold:,} pairs of {len(systems)} systems, {plan.votes} votes each, and "
        f"{gold} gold questions\n"
        f"{len(plan.pages)} pages of up to {max(len(one.pairs) for one in plan.pages):,} pairs and "
        f"{byte_size(page)} in {printable(str(args.out))}: one for each rater\n"
        f"next: put the files that raters save into that folder, and run\n"
        f"  python -m pipelines.rate tally {printable(str(args.out))}"
    )


def _problems(
    captions: CaptionSet, systems: Sequence[RatedSystem]
) -> Iterator[tuple[str, Problem]]:
    yield from (("captions", one) for one in captions.problems)
    yield from ((own.name, one) for own in systems for one in own.problems)


def _tally(folder: Path) -> None:
    plan = read_plan(folder)
    found = tally(plan, read_answers(folder, plan))
    files = {TALLY: found.model_dump_json(indent=2) + "\n", TALLY_PAGE: render_tally(found)}
    for name, text in files.items():
        with writing_to(f"{folder / name}"):
            (folder / name).write_text(text, encoding="utf-8")
    print_tally(Console(width=WIDTH, highlight=False), found)


if __name__ == "__main__":
    sys.exit(program(main))
