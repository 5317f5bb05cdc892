"""What looking into token shards costs, beside a bare read of the same files by pyarrow.

`python -m tests.bench.inspection [rows]`
"""

import sys
import tempfile
from pathlib import Path

from infra.store import open_folder
from tests import token_shards
from tests.bench.watched import Watched, watch

ROWS, ROWS_PER_SHARD = 1_000_000, 16_384
BARE = (
    "import sys; from pathlib import Path; import pyarrow.parquet as pq\n"
    "for path in sorted(Path(sys.argv[1]).rglob('*.parquet')):\n"
    "    with pq.ParquetFile(path) as file:\n"
    "        for group in range(file.num_row_groups): file.read_row_group(group)\n"
)


def write_corpus(folder: Path, rows: int) -> None:
    """Write so many rows of the paper's sizes, as encode cuts them."""
    out, spec = open_folder(folder), token_shards.PAPER
    token_shards.write(out, rows // ROWS_PER_SHARD, ROWS_PER_SHARD, spec)
    if left := rows % ROWS_PER_SHARD:
        token_shards.write(out, 1, left, spec, "val/")


def inspected(folder: Path) -> Watched:
    return watch([sys.executable, "-m", "pipelines.inspect_tokens", str(folder), "--rows", "0"])


def main(rows: int = ROWS) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_corpus(folder, rows)
        bare, found = watch([sys.executable, "-c", BARE, name]), inspected(folder)
    for what, cost in (("inspect_tokens", found), ("pyarrow alone", bare)):
        print(
            f"{what}, {rows:,} rows: {cost.seconds:.1f} s, {cost.cpu_seconds:.1f} CPU s, "
            f"{cost.peak_bytes / 2**20:,.0f} MiB"
        )
    print(f"inspection: {found.cpu_seconds / bare.cpu_seconds:.2f} times the CPU of a bare read")


if __name__ == "__main__":
    main(int(float(sys.argv[1])) if len(sys.argv) > 1 else ROWS)
