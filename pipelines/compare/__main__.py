"""Lay finished runs side by side, and say which differences are beyond noise.

  python -m pipelines.compare runs/demo runs/other --out compare.html

A run is its root, the folder of one of its reports, or a report.json; each may
be on an object store. The others are compared with the first one.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from pipelines.command import arguments, command, program, shown, writing_to
from pipelines.compare.compared_runs import read_runs
from pipelines.compare.comparison_page import render_comparison
from pipelines.compare.comparison_table import show
from pipelines.compare.same_prompts import shared_prompts
from pipelines.compare.side_by_side import side_by_side
from schemas.errors import ConfigError

WIDTH = 80


def parser() -> argparse.ArgumentParser:
    line = arguments("compare", __doc__)
    line.add_argument("runs", nargs="+", metavar="RUN",
                      help="root of a run, folder of a report, or report.json")  # fmt: skip
    line.add_argument("--out", type=Path, metavar="FILE.html",
                      help="also write a page, and FILE.json for programs")  # fmt: skip
    return line


@command(parser)
def main(args: argparse.Namespace) -> None:
    if args.out is not None and args.out.suffix != ".html":
        raise ConfigError(f"wanted --out FILE.html, found '{args.out}'; end it in .html")
    runs = read_runs(args.runs)
    found = side_by_side(runs)
    console = Console(width=WIDTH, highlight=False)
    show(console, found)
    if args.out is not None:
        page, numbers = args.out, args.out.with_suffix(".json")
        html = render_comparison(found, runs, shared_prompts(runs))
        with writing_to(f"--out {page}"):
            page.write_text(html, encoding="utf-8")
            numbers.write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")
        console.print(f"\npage: {shown(str(page))}, numbers: {shown(str(numbers))}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(program(main))
