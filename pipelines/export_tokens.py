"""Write token shards in the forms that other trainers read.

`python -m pipelines.export_tokens runs/demo --to webdataset --out tars/` writes a tar for each
shard; `--to npy` writes arrays that NumPy maps into memory. What is in them is said in
pipelines/exporting/; meta.json, written last, says what the tokens were made with.
"""

import argparse
import json
import sys
from collections.abc import Sequence

from pipelines.command import log_to_errors, outcome, program
from pipelines.exporting.arrays import write_arrays
from pipelines.exporting.files import new_files
from pipelines.exporting.source import find
from pipelines.exporting.tars import write_tars
from stages.progress import Progress

WRITERS = {"webdataset": write_tars, "npy": write_arrays}
META = "meta.json"


def export(address: str, to: str, out: str) -> str:
    """Write all rows at an address into a new folder; return a line that says what was written.

    Raises UserError, and leaves nothing behind then.
    """
    source = find(address)
    parts = {}
    with new_files(out) as files:
        with Progress("export", source.rows) as progress:
            for part, table in source.tables.items():
                names = WRITERS[to](table, source.header.schema, files, part, progress.advance)
                parts[part.rstrip("/") or "all"] = {"rows": table.rows, "files": names}
        meta = {"format": to, "tokens": source.header.shared().text(), "parts": parts}
        with files.create(META) as file:
            file.write(json.dumps(meta, indent=2).encode())
    return f"wrote {source.rows:,} rows in {len(files.written):,} files to {out}"


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    line = argparse.ArgumentParser(prog="python -m pipelines.export_tokens", description=__doc__)
    line.add_argument("address", help="a root, a token_pairs folder, or one shard")
    line.add_argument("--to", required=True, choices=WRITERS, help="the form to write")
    line.add_argument("--out", required=True, metavar="FOLDER", help="a new folder, or s3://...")
    return line


def main(argv: Sequence[str] | None = None) -> int:
    """Export; return the exit code."""
    args = parser().parse_args(argv)
    log_to_errors()
    return outcome(lambda: export(args.address, args.to, args.out), args.out)


if __name__ == "__main__":
    sys.exit(program(main))
