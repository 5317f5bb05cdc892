"""Export token shards in formats that other trainers read.

  python -m pipelines.export_tokens runs/demo --to webdataset --out tars/
      one tar per shard: key.text.npy, key.image.npy, key.txt, key.json
  python -m pipelines.export_tokens runs/demo --to npy --out arrays/
      text.npy, image.npy, text_length.npy (memory-mappable) and rows.parquet

meta.json, written last, names the dVAE and the BPE that made the tokens.
"""

import argparse
import json
import sys

from pipelines.command import arguments, command, log_to_errors, program, writing_to
from pipelines.export_tokens.new_files import new_files
from pipelines.export_tokens.npy import write_arrays
from pipelines.export_tokens.source import find
from pipelines.export_tokens.webdataset import write_tars
from stages.progress import Progress

WRITERS = {"webdataset": write_tars, "npy": write_arrays}
META = "meta.json"


def export(address: str, to: str, out: str) -> str:
    """Write all rows at an address into a new folder; describe what was written in a line.

    After an error nothing is left behind.
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
    line = arguments("export_tokens", __doc__)
    line.add_argument("address", help="a run's root, a token_pairs folder, or one shard")
    line.add_argument("--to", required=True, choices=WRITERS, help="format to write")
    line.add_argument("--out", required=True, metavar="FOLDER", help="new folder, or s3://...")
    return line


@command(parser)
def main(args: argparse.Namespace) -> None:
    log_to_errors()
    with writing_to(args.out):
        print(export(args.address, args.to, args.out))


if __name__ == "__main__":
    sys.exit(program(main))
