"""Export a run's drawn pictures so that the scorer of a benchmark runs on them.

  python -m pipelines.export_samples geneval --root runs/mine --out samples/
      00000/metadata.jsonl, 00000/samples/0000.png, ...
  python -m pipelines.export_samples dpg --root runs/mine --out grids/ \\
      --prompts dpg_bench/prompts
      a 2 x 2 grid for each file of prompts, of its name
  python -m pipelines.export_samples t2i-compbench --root runs/mine --out all/
      samples/<prompt>_000000.png, ...

Of each prompt it takes the run's favourites, best first. All prompts of the
benchmark must have been drawn.
"""

import argparse
import sys
from collections import defaultdict, deque
from collections.abc import Iterable

from infra.store import Store
from pipelines.command import arguments, command, log_to_errors, program, writing_to
from pipelines.export_samples.layouts import LAYOUTS, Asked, Layout
from pipelines.export_tokens.new_files import new_files
from schemas.artifacts import SAMPLES
from schemas.errors import ArtifactMissing, ConfigError
from schemas.folder import Inputs
from stages.evaluate.reading import DrawnPrompt
from stages.evaluate.reading import prompts as drawn_prompts
from stages.progress import Progress


def export(layout: Layout, inputs: Inputs, out: str, address: str, pictures: int) -> str:
    """Write the pictures of all prompts of a benchmark; describe what was written in a line.

    After an error nothing is left behind.
    """
    asked = layout.read(address)
    waiting: dict[str, deque[Asked]] = defaultdict(deque)  # by text: the same may be asked twice
    for one in asked:
        waiting[_plain(one.text)].append(one)
    with new_files(out) as files, Progress("export", len(asked)) as progress:
        for drawn in drawn_prompts(inputs):
            if same := waiting.get(_plain(drawn.text)):
                layout.write(files, same.popleft(), favourites(drawn, pictures))
                progress.advance(1)
        _require_all(asked, waiting.values(), address)
    return (
        f"wrote {pictures} pictures of each of {len(asked):,} prompts to {out}, for the scorer of "
        f"{layout.benchmark}"
    )


def favourites(drawn: DrawnPrompt, pictures: int) -> list[bytes]:
    """Return the run's favourites as PNG; raise ConfigError if there are not so many."""
    found = [one.png for one in drawn.ranked if one.png is not None][:pictures]
    if len(found) < pictures:
        raise ConfigError(
            f"wanted {pictures} pictures of each prompt, found {len(found)} of '{drawn.text}'; "
            "draw more (sample.candidates; sample.keep with sample.forget), or take fewer "
            "(--pictures)"
        )
    return found


def prompts_of(inputs: Inputs, layout: Layout) -> str:
    """Return the file that the run's prompts are from; raise ConfigError if they are from none."""
    prompts = inputs.manifest(SAMPLES).settings.get("prompts") or {}
    if prompts.get("kind") != "file":
        raise ConfigError(
            f"wanted the prompts of {layout.benchmark}, {layout.prompts}, found a run that drew no "
            "file of prompts; name them with --prompts"
        )
    return str(prompts["path"])


def _plain(text: str) -> str:
    return " ".join(text.split())


def _require_all(asked: list[Asked], waiting: Iterable[deque[Asked]], address: str) -> None:
    missing = sorted(one for left in waiting for one in left)
    if missing:
        raise ArtifactMissing(
            f"wanted pictures of all {len(asked):,} prompts of '{address}', found none of "
            f"{len(missing):,} of them, such as '{missing[0].text[:60]}'; draw that file "
            "(sample.prompts.kind=file, sample.prompts.path)"
        )


def parser() -> argparse.ArgumentParser:
    line = arguments("export_samples", __doc__)
    line.add_argument("format", choices=LAYOUTS, help="benchmark whose layout is written")
    line.add_argument("--root", default="runs/demo", help="where the run lives (runs/demo)")
    line.add_argument("--out", required=True, metavar="FOLDER", help="new folder, or s3://...")
    line.add_argument(
        "--prompts", metavar="PATH", help="the benchmark's prompts (the file the run drew)"
    )
    line.add_argument(
        "--pictures", type=int, metavar="N", help="of each prompt (as published: 4, 4, 10)"
    )
    return line


@command(parser)
def main(args: argparse.Namespace) -> None:
    log_to_errors()
    layout = LAYOUTS[args.format]
    pictures = layout.pictures if args.pictures is None else args.pictures
    if pictures < 1 or pictures > (layout.most or pictures):
        most = f"1 to {layout.most}" if layout.most else "1 or more"
        raise ConfigError(f"--pictures wants {most} for {layout.benchmark}, found {pictures}")
    inputs = Inputs({SAMPLES.name: Store(args.root).newest(SAMPLES)})
    address = args.prompts or prompts_of(inputs, layout)
    with writing_to(args.out):
        print(export(layout, inputs, args.out, address, pictures))


if __name__ == "__main__":
    sys.exit(program(main))
