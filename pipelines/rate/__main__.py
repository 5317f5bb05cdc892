"""Let people compare pictures of several systems: make pages, tally the votes.

  python -m pipelines.rate make --system ours=ours/ --system other=other/ \\
      --captions captions.jsonl --out rating/
  python -m pipelines.rate tally rating/

Each rater gets one page, and puts the file that it saves beside plan.json.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from pipelines.command import arguments, command, printable, program, writing_to
from pipelines.rate.answers import TALLY, TALLY_PAGE, read_answers, read_plan
from pipelines.rate.make import make, page_name
from pipelines.rate.rated_captions import prompts_of_runs, read_captions
from pipelines.rate.rated_systems import require_different, shared_captions, system
from pipelines.rate.tally import tally
from pipelines.rate.tally_table import print_tally, render_tally
from stages.numbers import byte_size

WIDTH = 80


def parser() -> argparse.ArgumentParser:
    line = arguments("rate", __doc__)
    verbs = line.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("make", help="write the raters' pages and plan.json")
    one.add_argument("--system", action="append", default=[], metavar="NAME=FOLDER",
                     help="a folder of pictures, or the root of a run: its favourites by CLIP; "
                          "give two or more")  # fmt: skip
    one.add_argument("--captions", metavar="FILE",
                     help=".jsonl with `picture` and `caption`; if all systems are runs, their "
                          "prompts are the default")  # fmt: skip
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
    systems = [system(text) for text in args.system]
    require_different(systems)
    listed = read_captions(args.captions) if args.captions else prompts_of_runs(systems)
    captions = shared_captions(systems, listed)
    if len(captions) < len(listed):
        print(f"passed over {len(listed) - len(captions):,} captions: no system has a picture")
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
