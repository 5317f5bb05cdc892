"""What inspect_tokens prints: tables and lines of 80 columns."""

from collections.abc import Sequence

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.inspection.shards import Target, Tokens, some_rows
from schemas.artifacts import BPE, TRAIN, VAL
from stages.models.bpe import Bpe
from stages.models.dvae import codebook_health
from stages.training.weights import load_bpe

CODES_SHOWN = 12
BLOCKS = " ▁▂▃▄▅▆▇█"


def describe(console: Console, found: Target, tokens: Tokens, rows: int) -> None:
    """Print all there is to say in 80 columns."""
    console.print(f"[bold]{escape(found.folder.url)}[/]", soft_wrap=True)
    if tokens.schema is not None:
        _print_schema(console, tokens)
        _print_counts(console, found, tokens)
        _print_codes(console, tokens)
        bpe = found.beside(BPE.name, tokens.metadata.get("bpe_fingerprint"))
        _print_rows(console, found, tokens, load_bpe(bpe) if bpe else None, rows)
    for name, why in tokens.broken.items():
        console.print(f"[bold red]broken[/] {escape(name)}: {escape(why)}")
    if tokens.broken:
        console.print(f"{len(tokens.broken)} of {len(found.names)} shards are broken; "
                      "delete them and run encode again to have them made again")  # fmt: skip


def _section(console: Console, title: str) -> Table:
    console.print(f"\n[bold]{title}[/]")
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    table.add_column(min_width=16, style="dim")
    return table


def _print_schema(console: Console, tokens: Tokens) -> None:
    assert tokens.schema is not None
    table = _section(console, "schema")
    for column in tokens.schema:
        table.add_row(column.name, str(column.type).replace(" not null", ""))
    console.print(table)
    table = _section(console, "metadata")
    for key, value in sorted(tokens.metadata.items()):
        table.add_row(escape(key), escape(value if len(value) < 50 else value[:47] + "..."))
    console.print(table)


def _print_counts(console: Console, found: Target, tokens: Tokens) -> None:
    text_len = int(tokens.metadata["text_len"])
    table = _section(console, "rows")
    by_part = {p: sum(n for f, n in tokens.rows.items() if f.startswith(p)) for p in (TRAIN, VAL)}
    split = ", ".join(f"{part.rstrip('/')} {n:,}" for part, n in by_part.items() if n)
    table.add_row("rows", f"{tokens.total:,}" + (f"  ({split})" if split else ""))
    table.add_row("shards", f"{len(tokens.rows):,} read, {len(tokens.broken):,} broken")
    table.add_row("bytes", f"{tokens.bytes:,}  ({tokens.bytes / max(1, tokens.total):,.0f} a row)")
    if tokens.total:
        lengths = quantiles(tokens.lengths, (0, 0.05, 0.5, 0.95, 1))
        words = "min {} · 5 % {} · median {} · 95 % {} · max {}".format(*lengths)
        table.add_row("text length", words)
        table.add_row("", f"{spark(tokens.lengths)}  0 to {text_len}")
    table.add_row("full text", f"{tokens.lengths[-1]:,} rows fill all {text_len} places")
    manifest = found.manifest
    for name, value in (manifest.health if manifest else {}).items():
        if "truncat" in name:
            table.add_row(name.replace("_", " "), str(value))
    console.print(table)


def _print_codes(console: Console, tokens: Tokens) -> None:
    health = codebook_health(torch.from_numpy(tokens.codes))
    ranked = np.argsort(-tokens.codes, kind="stable")
    total = max(1, int(tokens.codes.sum()))
    table = _section(console, "image codes")
    table.add_row("used", f"{health.used:,} of {len(tokens.codes):,}")
    table.add_row("dead", f"{len(tokens.codes) - health.used:,}")
    table.add_row(
        "perplexity", f"{health.perplexity:,.1f}  (used equally often, so many say as much)"
    )
    common = [
        f"{code} {100 * tokens.codes[code] / total:.1f} %" for code in ranked[: min(5, health.used)]
    ]
    table.add_row("commonest", " · ".join(common))
    table.add_row("histogram", f"{spark(tokens.codes[ranked])}  commonest first")
    console.print(table)


def _print_rows(
    console: Console, found: Target, tokens: Tokens, bpe: Bpe | None, count: int
) -> None:
    if bpe is None:
        console.print("[dim]no bpe artifact of this fingerprint here: captions as stored[/]")
    for row in some_rows(found.folder, list(tokens.rows), count):
        ids = row["text"][: row["text_length"]]
        console.print(f"\n[bold]{escape(row['caption'])}[/]")
        console.print(f"  key    {escape(row['key'])}  in {escape(row['shard'])}", soft_wrap=True)
        console.print(f"  text   {' '.join(map(str, ids[:CODES_SHOWN]))}{_more(ids)}")
        if bpe is not None:
            console.print(f"  reads  {escape(bpe.decode(ids))}")
        codes = row["image"]
        console.print(f"  codes  {' '.join(map(str, codes[:CODES_SHOWN]))}{_more(codes)}")


def _more(values: Sequence[int]) -> str:
    return f" … ({len(values)} in all)" if len(values) > CODES_SHOWN else ""


def quantiles(counts: np.ndarray, shares: Sequence[float]) -> list[int]:
    """Return the values below which these shares of what was counted lie."""
    total = counts.cumsum()
    ranks = [max(1, int(np.ceil(share * total[-1]))) for share in shares]
    return [int(np.searchsorted(total, rank)) for rank in ranks]


def spark(counts: np.ndarray, width: int = 40) -> str:
    """Draw counts as one line of blocks, neighbours summed."""
    bins = [int(part.sum()) for part in np.array_split(counts, min(width, len(counts)))]
    peak = max(1, *bins)
    return "".join(BLOCKS[int(np.ceil(b / peak * (len(BLOCKS) - 1)))] for b in bins)
