"""Learn the text alphabet from the captions, so that they become few and fairly even tokens.

Reads   clean_pairs  (rows.CLEAN_PAIR, captions only)
Writes  bpe          (tokenizer.json)
Where   the driver: one pass over the captions, which are small beside the pictures
Paper   section 2.2: lower-cased byte-pair encoding, 16,384 ids
"""

import itertools
from collections.abc import Iterator

import numpy as np

from schemas import rows
from schemas.artifacts import CLEAN_PAIRS, TOKENIZER, TRAIN
from schemas.folder import Folder, Inputs
from schemas.manifest import Result
from schemas.settings import BpeSettings
from stages.data.parquet import row_groups
from stages.data.table import Table, open_table, readable, require_rows
from stages.models.bpe import Bpe, train_bpe

REVISION = 1

MEASURED = 10_000  # captions behind the health numbers


def captions(table: Table, at_most: int) -> Iterator[str]:
    """Yield captions, a row group at a time; any prefix is a fair sample of the table."""
    return itertools.islice(_all_captions(table), at_most)


def _all_captions(table: Table) -> Iterator[str]:
    for name in dict.fromkeys(group.file for group in table.groups):
        with readable(f"{table.folder.url}/{name}"):
            for group in row_groups(table.folder, name, ["caption"]):
                yield from group["caption"].to_pylist()


def lengths(bpe: Bpe, table: Table) -> dict[str, float]:
    found = [len(bpe.encode(caption)) for caption in captions(table, MEASURED)]
    return {
        "tokens_per_caption": float(np.mean(found)),
        "tokens_per_caption_99_percent": float(np.percentile(found, 99)),
        "tokens_per_caption_longest": max(found),
    }


def run(inputs: Inputs, out: Folder, cfg: BpeSettings) -> Result:
    found = open_table(inputs.folder(CLEAN_PAIRS), TRAIN, rows.CLEAN_PAIR)
    table = require_rows(found, TRAIN)
    bpe = train_bpe(captions(table, cfg.captions), cfg.text_vocab)
    written = out.commit(TOKENIZER, bpe.to_json().encode())
    return Result(
        rows_in=table.rows,
        rows_out=min(table.rows, cfg.captions),
        health={"vocab": bpe.vocab, **lengths(bpe, table)},
        files={TOKENIZER: written},
    )
