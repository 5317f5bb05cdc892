"""Inspect token shards: statistics, rows, a gallery; verify or compare them.

  python -m pipelines.inspect_tokens runs/demo --html gallery.html
  python -m pipelines.inspect_tokens runs/demo --verify
  python -m pipelines.inspect_tokens runs/demo --diff runs/other

Exits with 0 if all is well, 1 if shards are broken or encodings differ, 2 if
there are no shards.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from pipelines.command import arguments, command, log_to_errors, program, shown, writing_to
from pipelines.inspect_tokens import terminal
from pipelines.inspect_tokens.counts import count_tokens
from pipelines.inspect_tokens.diff import compare
from pipelines.inspect_tokens.gallery import gallery
from pipelines.inspect_tokens.token_shards import target
from pipelines.inspect_tokens.verify import verify

WIDTH = 80


def parser() -> argparse.ArgumentParser:
    line = arguments("inspect_tokens", __doc__)
    line.add_argument("address", help="a run's root, a token_pairs folder, or one shard")
    line.add_argument("--html", type=Path, metavar="FILE", help="also write a gallery of rows")
    line.add_argument("--rows", type=int, default=3, help="rows to decode (default 3)")
    line.add_argument("--verify", action="store_true",
                      help="also check every byte, and encode a sample of rows again")  # fmt: skip
    line.add_argument("--diff", metavar="ADDRESS", help="compare with another encoding instead")
    return line


@command(parser)
def main(args: argparse.Namespace) -> int:
    log_to_errors("%(message)s")
    console = Console(width=WIDTH, highlight=False)
    found = target(args.address)
    if args.diff is not None:
        difference = compare(found, target(args.diff))
        terminal.print_difference(console, difference)
        return 0 if difference.equal else 1
    tokens = count_tokens(found)
    terminal.describe(console, found, tokens, args.rows)
    broken = tokens.shards.broken
    if args.verify:
        verification = verify(found, tokens)
        terminal.print_section(console, "verify", verification.checked)
        broken = verification.broken
    if args.html and tokens.shards.good:
        page = gallery(found, tokens)
        with writing_to(f"--html {args.html}"):
            args.html.write_text(page, encoding="utf-8", errors="backslashreplace")
        console.print(f"\ngallery: {shown(str(args.html))}", soft_wrap=True)
    terminal.print_broken(console, found, broken)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(program(main))
