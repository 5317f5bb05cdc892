"""Score pictures of any generator against captions and a reference set.

  python -m pipelines.score --pictures ours=out/ --pictures dfgan=other/ \\
      --captions captions_val2014.json --count 30000 --reference val2014/ \\
      --features pt_inception.pth

Prints FID and Inception Score by blur radius, and more, and writes score.json.
Exits with 0 if all is measured, 3 if pictures or captions had to be left out
(each is named), 2 if nothing can be measured.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from pipelines.command import arguments, command, log_to_errors, program, shown, writing_to
from pipelines.score.caption_set import lines
from pipelines.score.score_file import read_score_file, require_comparable
from pipelines.score.score_page import render_scores
from pipelines.score.score_request import chosen_captions, evaluated, require_sense
from pipelines.score.score_table import show

WIDTH = 80
RADII = (0.0, 1.0, 2.0, 4.0, 8.0)
CONVENTIONS = ("clean", "legacy_pytorch", "legacy_tensorflow")


def parser() -> argparse.ArgumentParser:
    line = arguments("score", __doc__)
    line.add_argument("--pictures", action="append", default=[], metavar="[NAME=]PLACE",
                      help="a system's pictures, or a run; may be repeated")  # fmt: skip
    line.add_argument("--captions", metavar="PLACE",
                      help="what they were drawn for (of a run: its prompts)")  # fmt: skip
    line.add_argument("--count", type=int, metavar="N",
                      help="choose so many captions (default all)")  # fmt: skip
    line.add_argument("--seed", type=int, default=0, help="of the choice (default 0)")
    line.add_argument("--list", type=Path, metavar="FILE",
                      help="write the chosen captions as JSONL, for drawing them")  # fmt: skip
    line.add_argument("--reference", metavar="PLACE",
                      help="real pictures, or a run: those it held out")  # fmt: skip
    line.add_argument("--reconstruct", metavar="ROOT",
                      help="also what this run's dVAE makes of the reference: rFID")  # fmt: skip
    line.add_argument("--lpips", metavar="FILE",
                      help="weights of AlexNet or VGG16, for LPIPS of these")  # fmt: skip
    line.add_argument("--overlap", metavar="FILE",
                      help="list of reference pictures to leave out as well")  # fmt: skip
    line.add_argument("--features", action="append", default=[], metavar="PLACE",
                      help="Inception's weights, or a folder with a CLIP or DINOv2")  # fmt: skip
    line.add_argument("--root", help="use the CLIP of this run as well")
    line.add_argument("--resize", choices=CONVENTIONS, default="clean", metavar="HOW",
                      help=f"Inception's: {', '.join(CONVENTIONS)}")  # fmt: skip
    line.add_argument("--side", type=int, default=256, metavar="PIXELS",
                      help="of both sides' pictures (default 256; 0: as they are)")  # fmt: skip
    line.add_argument("--radii", type=float, nargs="+", default=RADII, metavar="R",
                      help="of the blur (default 0 1 2 4 8)")  # fmt: skip
    line.add_argument("--best-of", type=int, nargs="+", default=(1,), metavar="N",
                      help="of candidates NAME/0.png, ... by scores.jsonl (default 1)")  # fmt: skip
    line.add_argument("--infinity", action="store_true",
                      help="also FID without bias, its interval, and at infinity")  # fmt: skip
    line.add_argument("--cache", metavar="DIR",
                      help="keep features there, to go on if interrupted")  # fmt: skip
    line.add_argument("--gpu", action="store_true", help="compute on the GPU")
    line.add_argument("--beside", action="append", default=[], metavar="FILE",
                      help="also show the numbers of an earlier score.json")  # fmt: skip
    line.add_argument("--out", type=Path, default=Path("score.json"), metavar="FILE",
                      help="where the numbers go (default score.json)")  # fmt: skip
    line.add_argument("--page", type=Path, metavar="FILE",
                      help="also write the numbers and curves as one HTML file")  # fmt: skip
    return line


@command(parser)
def main(args: argparse.Namespace) -> int:
    log_to_errors("%(message)s")
    console = Console(width=WIDTH, highlight=False)
    require_sense(args)
    captions = chosen_captions(args)
    if args.list and captions:
        with writing_to(f"--list {args.list}"):
            args.list.write_bytes(lines(captions))
        console.print(f"{len(captions.captions):,} captions: {shown(str(args.list))}")
    if not args.pictures and not args.reconstruct:
        return 0
    beside = {address: read_score_file(address) for address in args.beside}
    found = evaluated(args, captions)
    with writing_to(f"--out {args.out}"):
        args.out.write_bytes(found.to_bytes())
    for address, other in beside.items():
        require_comparable(found, other, address)
    if args.page:
        with writing_to(f"--page {args.page}"):
            args.page.write_text(render_scores(found, beside), encoding="utf-8")
    show(console, found, beside)
    places = " and ".join(shown(str(place)) for place in (args.out, args.page) if place)
    console.print(f"\nall numbers: {places}", soft_wrap=True)
    return 3 if any(problem.is_loss for _, problem in found.problems) else 0


if __name__ == "__main__":
    sys.exit(program(main))
