"""Look into token shards: counts, rows, a gallery; check them; compare two encodings.

`python -m pipelines.inspect_tokens runs/demo --html gallery.html`
"""

if __name__ == "__main__":
    from pipelines.stopping import while_importing

    while_importing()

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from pipelines.command import complain, log_to_errors, program, shown
from pipelines.inspection.counts import read
from pipelines.inspection.diff import compare
from pipelines.inspection.findings import print_broken, print_difference, print_verdict
from pipelines.inspection.gallery import gallery
from pipelines.inspection.shards import Target, target
from pipelines.inspection.terminal import describe
from pipelines.inspection.verify import verify
from schemas.errors import ConfigError, UserError

WIDTH = 80


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    line = argparse.ArgumentParser(prog="python -m pipelines.inspect_tokens", description=__doc__)
    line.add_argument("address", help="a root, a token_pairs folder, or one shard")
    line.add_argument("--html", type=Path, metavar="FILE", help="also write a gallery")
    line.add_argument("--rows", type=int, default=3, help="rows to decode (default: 3)")
    line.add_argument(
        "--verify", action="store_true", help="also check every byte, and encode some rows again"
    )
    line.add_argument("--diff", metavar="ADDRESS", help="compare with another encoding instead")
    return line


def main(argv: Sequence[str] | None = None) -> int:
    """Print what was asked for.

    Returns 0 if all is well, 1 if shards are broken or encodings differ, 2 if there are none.
    """
    args = parser().parse_args(argv)
    log_to_errors("%(message)s")
    console = Console(width=WIDTH, highlight=False)
    try:
        found = target(args.address)
        if args.diff is not None:
            return _compare(console, found, target(args.diff))
        return _inspect(console, found, args)
    except UserError as error:
        complain(error)
        return 2


def _inspect(console: Console, found: Target, args: argparse.Namespace) -> int:
    tokens = read(found)
    describe(console, found, tokens, args.rows)
    broken = tokens.shards.broken
    if args.verify:
        verdict = verify(found, tokens)
        print_verdict(console, verdict)
        broken = verdict.broken
    if args.html and tokens.shards.good:
        _write(args.html, gallery(found, tokens))
        console.print(f"\ngallery: {shown(str(args.html))}", soft_wrap=True)
    print_broken(console, found, broken)
    return 1 if broken else 0


def _write(file: Path, page: str) -> None:
    try:
        file.write_text(page, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ConfigError(f"--html: wanted to write {file}, found {error}; give another") from error


def _compare(console: Console, one: Target, other: Target) -> int:
    difference = compare(one, other)
    print_difference(console, difference)
    return 0 if difference.equal else 1


if __name__ == "__main__":
    sys.exit(program(main))
