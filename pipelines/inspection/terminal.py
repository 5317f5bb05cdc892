"""What inspect_tokens prints: tables and lines of 80 columns."""

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from pipelines.command import shown
from pipelines.inspection.counts import Tokens
from pipelines.inspection.repeats import Repeats
from pipelines.inspection.shards import Target, some_rows
from schemas.artifacts import BPE, TRAIN, VAL
from stages.models.bpe import Bpe
from stages.training.weights import load_bpe

TRUNCATED = "truncated_captions"  # what encode calls it in its manifest's health
CODES_SHOWN = 12
DEAD_SHOWN = 8
BLOCKS = " ▁▂▃▄▅▆▇█"
LETTERS = " .:-=+*#%"


def describe(console: Console, found: Target, tokens: Tokens, rows: int) -> None:
    """Print all there is to say in 80 columns."""
    console.print(f"[bold]{shown(found.folder.url)}[/]", soft_wrap=True)
    if tokens.shards.good:
        _print_schema(console, tokens)
        _print_counts(console, found, tokens)
        _print_codes(console, tokens)
        bpe = found.beside(BPE.name, tokens.first.header.bpe_fingerprint)
        _print_rows(console, found, tokens, load_bpe(bpe) if bpe else None, rows)


def section(console: Console, title: str) -> Table:
    """Print a title and return the table to fill in below it."""
    console.print(f"\n[bold]{title}[/]")
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    table.add_column(min_width=16, style="dim")
    return table


def _print_schema(console: Console, tokens: Tokens) -> None:
    table = section(console, "schema")
    for column in tokens.first.schema:
        table.add_row(shown(column.name), shown(str(column.type).replace(" not null", "")))
    console.print(table)
    table = section(console, "metadata")
    for key, value in tokens.first.header.text().items():
        table.add_row(shown(key), shown(value if len(value) < 50 else value[:47] + "..."))
    console.print(table)


def _print_counts(console: Console, found: Target, tokens: Tokens) -> None:
    shards, text_len = tokens.shards, tokens.first.header.text_len
    table = section(console, "rows")
    by_part = {p: sum(s.rows for s in shards.good if s.name.startswith(p)) for p in (TRAIN, VAL)}
    split = ", ".join(f"{part.rstrip('/')} {n:,}" for part, n in by_part.items() if n)
    table.add_row("rows", f"{shards.rows:,}" + (f"  ({split})" if split else ""))
    table.add_row("shards", f"{len(shards.good):,} read, {len(shards.broken):,} broken")
    table.add_row("bytes", f"{tokens.bytes:,}  ({tokens.bytes / max(1, shards.rows):,.0f} a row)")
    table.add_row("repeated keys", _repeats(tokens.keys))
    table.add_row("repeated rows", f"{_repeats(tokens.contents)}  (text and codes of another row)")
    if shards.rows:
        lengths = quantiles(tokens.lengths, (0, 0.05, 0.5, 0.95, 1))
        words = "min {} · 5 % {} · median {} · 95 % {} · max {}".format(*lengths)
        table.add_row("text length", words)
        table.add_row("", f"{spark(tokens.lengths, ramp(console))}  0 to {text_len}")
        table.add_row("truncated", _truncated(found, tokens))
    console.print(table)


def _repeats(found: Repeats) -> str:
    return f"{found.count:,}" if found.one_in == 1 else f"about {found.count:,}"


def _truncated(found: Target, tokens: Tokens) -> str:
    """Say how many captions lost their end: encode counted them, a lone shard has a bound."""
    counted = found.manifest.health.get(TRUNCATED) if found.manifest else None
    if counted is not None and found.whole:
        return f"{counted:,} captions  ({percent(counted, tokens.shards.rows)})"
    full = int(tokens.lengths[-1])
    share = percent(full, tokens.shards.rows)
    return f"at most {full:,} captions  ({share} fill all {len(tokens.lengths) - 1} places)"


def percent(part: int, whole: int) -> str:
    """Write a share in three digits."""
    return f"{100 * part / max(1, whole):.3g} %"


def _print_codes(console: Console, tokens: Tokens) -> None:
    ranked = np.argsort(-tokens.codes, kind="stable")
    dead = np.flatnonzero(tokens.codes == 0)
    total = max(1, int(tokens.codes.sum()))
    table = section(console, "image codes")
    table.add_row("used", f"{len(tokens.codes) - len(dead):,} of {len(tokens.codes):,}")
    some = f"  ({' '.join(map(str, dead[:DEAD_SHOWN]))}{' …' if len(dead) > DEAD_SHOWN else ''})"
    table.add_row("dead", f"{len(dead):,}" + (some if len(dead) else ""))
    perplexity = f"{tokens.codebook.perplexity:,.1f}  (used equally often, so many say as much)"
    table.add_row("perplexity", perplexity)
    table.add_row("stored", _stored(tokens))
    common = [
        f"{code} {100 * tokens.codes[code] / total:.1f} %"
        for code in ranked[:5]
        if code not in dead
    ]
    table.add_row("commonest", " · ".join(common))
    table.add_row("commonest first", spark(tokens.codes[ranked], ramp(console)))
    console.print(table)


def _stored(tokens: Tokens) -> str:
    """Compare the bytes of the codes with what their frequencies ask for."""
    stored = tokens.image_bytes / max(1, tokens.shards.rows)
    bound = tokens.first.header.spec.image_len * tokens.entropy / 8
    ratio = (
        f"{stored / bound:.3f} times the {bound:,.0f} of their entropy" if bound else "all alike"
    )
    return f"{stored:,.0f} bytes a row, {ratio}"


def _print_rows(
    console: Console, found: Target, tokens: Tokens, bpe: Bpe | None, count: int
) -> None:
    if bpe is None:
        console.print("[dim]no bpe artifact of this fingerprint here: captions as stored[/]")
    for row in some_rows(found.folder, tokens.shards.good, count):
        ids = row["text"][: row["text_length"]]
        console.print(f"\n[bold]{shown(row['caption'])}[/]")
        console.print(f"  key    {shown(row['key'])}  in {shown(row['shard'])}", soft_wrap=True)
        console.print(f"  text   {' '.join(map(str, ids[:CODES_SHOWN]))}{_more(ids)}")
        if bpe is not None:
            console.print(f"  reads  {shown(bpe.decode(ids))}")
        codes = row["image"]
        console.print(f"  codes  {' '.join(map(str, codes[:CODES_SHOWN]))}{_more(codes)}")


def _more(values: Sequence[int]) -> str:
    return f" … ({len(values)} in all)" if len(values) > CODES_SHOWN else ""


def quantiles(counts: np.ndarray, shares: Sequence[float]) -> list[int]:
    """Return the values below which these shares of what was counted lie."""
    total = counts.cumsum()
    ranks = [max(1, int(np.ceil(share * total[-1]))) for share in shares]
    return [int(np.searchsorted(total, rank)) for rank in ranks]


def ramp(console: Console) -> str:
    """Return signs from low to high that the terminal can write."""
    return BLOCKS if console.encoding.lower().startswith("utf") else LETTERS


def spark(counts: np.ndarray, signs: str = BLOCKS, width: int = 40) -> str:
    """Draw counts as one line of blocks, neighbours summed."""
    bins = [int(part.sum()) for part in np.array_split(counts, min(width, len(counts)))]
    peak = max(1, *bins)
    return "".join(signs[int(np.ceil(b / peak * (len(signs) - 1)))] for b in bins)
