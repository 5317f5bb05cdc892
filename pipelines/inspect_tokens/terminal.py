"""What inspect_tokens prints: tables and lines of 80 columns."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from pipelines.command import shown
from pipelines.inspect_tokens.counts import TokenCounts
from pipelines.inspect_tokens.diff import Difference
from pipelines.inspect_tokens.repeats import Repeats
from pipelines.inspect_tokens.token_shards import ShardSet, brief, some_rows
from schemas.artifacts import BPE, TRAIN, VAL
from stages.models.bpe import Bpe
from stages.shards import stats_file
from stages.weights import load_bpe

TRUNCATED = "truncated_captions"  # encode's name for it in its manifest's health
IDS_SHOWN = 12
DEAD_SHOWN = 8
FILES_SHOWN = 3
BLOCKS = " ▁▂▃▄▅▆▇█"
LETTERS = " .:-=+*#%"


def describe(console: Console, found: ShardSet, tokens: TokenCounts, rows: int) -> None:
    console.print(f"[bold]{shown(found.folder.url)}[/]", soft_wrap=True)
    if not tokens.shards.good:
        return
    first = tokens.first
    columns = {column.name: str(column.type).replace(" not null", "") for column in first.schema}
    print_section(console, "schema", columns)
    metadata = {name: brief(value) for name, value in first.header.text().items()}
    print_section(console, "metadata", metadata)
    print_section(console, "rows", _row_statistics(console, found, tokens))
    print_section(console, "image codes", _code_statistics(console, tokens))
    bpe = found.beside(BPE.name, first.header.bpe_fingerprint)
    _print_rows(console, found, tokens, load_bpe(bpe) if bpe else None, rows)


def print_section(console: Console, title: str, lines: Mapping[str, str]) -> None:
    console.print(f"\n[bold]{title}[/]")
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    table.add_column(min_width=16, style="dim")
    for name, value in lines.items():
        table.add_row(shown(name), shown(value))
    console.print(table)


def _row_statistics(console: Console, found: ShardSet, tokens: TokenCounts) -> dict[str, str]:
    shards, text_len = tokens.shards, tokens.first.header.text_len
    by_part = {p: sum(s.rows for s in shards.good if s.name.startswith(p)) for p in (TRAIN, VAL)}
    split = ", ".join(f"{part.rstrip('/')} {n:,}" for part, n in by_part.items() if n)
    lines = {
        "rows": f"{shards.rows:,}" + (f"  ({split})" if split else ""),
        "shards": f"{len(shards.good):,} read, {len(shards.broken):,} broken",
        "bytes": f"{tokens.bytes:,}  ({tokens.bytes / max(1, shards.rows):,.0f}/row)",
        "repeated keys": _repeats(tokens.keys),
        "repeated rows": f"{_repeats(tokens.contents)}  (same text and codes as another row)",
    }
    if shards.rows:
        lines["text length"] = "min {} · p5 {} · median {} · p95 {} · max {}".format(
            *quantiles(tokens.lengths, (0, 0.05, 0.5, 0.95, 1))
        )
        lines[""] = f"{spark(tokens.lengths, ramp(console))}  0 to {text_len}"
        lines["truncated"] = _truncated(found, tokens)
    return lines


def _repeats(found: Repeats) -> str:
    return f"{found.count:,}" if found.one_in == 1 else f"about {found.count:,}"


def _truncated(found: ShardSet, tokens: TokenCounts) -> str:
    """Count the captions that lost their end: encode counted them, a lone shard has a bound."""
    counted = found.manifest.health.get(TRUNCATED) if found.manifest else None
    if counted is not None and found.whole:
        return f"{counted:,} captions  ({share_of(counted, tokens.shards.rows)})"
    full = int(tokens.lengths[-1])
    share = share_of(full, tokens.shards.rows)
    return f"at most {full:,} captions  ({share} fill all {len(tokens.lengths) - 1} positions)"


def share_of(part: int, whole: int) -> str:
    return f"{100 * part / max(1, whole):.3g}%"


def _code_statistics(console: Console, tokens: TokenCounts) -> dict[str, str]:
    ranked = np.argsort(-tokens.codes, kind="stable")
    dead = np.flatnonzero(tokens.codes == 0)
    total = int(tokens.codes.sum())
    some = f"  ({' '.join(map(str, dead[:DEAD_SHOWN]))}{' …' if len(dead) > DEAD_SHOWN else ''})"
    stored = tokens.image_bytes / max(1, tokens.shards.rows)
    independent = tokens.first.header.spec.image_len * tokens.entropy / 8
    frequent = (f"{n} {share_of(int(tokens.codes[n]), total)}" for n in ranked[:5] if n not in dead)
    return {
        "used": f"{len(tokens.codes) - len(dead):,} of {len(tokens.codes):,}",
        "dead": f"{len(dead):,}" + (some if len(dead) else ""),
        "perplexity": f"{tokens.codebook.perplexity:,.1f}  (effective number of codes)",
        "stored": f"{stored:,.0f} bytes/row  ({independent:,.0f} if codes were independent)",
        "most frequent": " · ".join(frequent),
        "by frequency": spark(tokens.codes[ranked], ramp(console)),
    }


def _print_rows(
    console: Console, found: ShardSet, tokens: TokenCounts, bpe: Bpe | None, count: int
) -> None:
    if bpe is None:
        console.print("\n[dim]the bpe that made these shards is not here: text is not decoded[/]")
    for row in some_rows(found.folder, tokens.shards.good, count):
        ids = row["text"][: row["text_length"]]
        console.print(f"\n[bold]{shown(row['caption'])}[/]")
        console.print(f"  key     {shown(row['key'])}  in {shown(row['shard'])}", soft_wrap=True)
        console.print(f"  text    {_some(ids)}")
        if bpe is not None:
            console.print(f"  decoded {shown(bpe.decode(ids))}")
        console.print(f"  codes   {_some(row['image'])}")


def _some(ids: Sequence[int]) -> str:
    more = f" … ({len(ids)} in all)" if len(ids) > IDS_SHOWN else ""
    return " ".join(map(str, ids[:IDS_SHOWN])) + more


def quantiles(counts: np.ndarray, shares: Sequence[float]) -> list[int]:
    """Return the values below which these shares of what was counted lie."""
    total = counts.cumsum()
    ranks = [max(1, int(np.ceil(share * total[-1]))) for share in shares]
    return [int(np.searchsorted(total, rank)) for rank in ranks]


def ramp(console: Console) -> str:
    """Return characters from low to high that the terminal can write."""
    return BLOCKS if console.encoding.lower().startswith("utf") else LETTERS


def spark(counts: np.ndarray, signs: str = BLOCKS, width: int = 40) -> str:
    """Draw a histogram in one line, neighbouring bins summed."""
    bins = [int(part.sum()) for part in np.array_split(counts, min(width, len(counts)))]
    peak = max(1, *bins)
    return "".join(signs[int(np.ceil(b / peak * (len(signs) - 1)))] for b in bins)


def print_difference(console: Console, found: Difference) -> None:
    if found.metadata:
        pairs = found.metadata.items()
        print_section(
            console,
            "metadata that differ",
            {name: f"{brief(one)} | {brief(other)}" for name, (one, other) in pairs},
        )
    lines = {
        "in both": f"{found.rows:,}",
        "only in the first": f"{found.only_one:,}",
        "only in the other": f"{found.only_other:,}",
    }
    if found.elsewhere:
        lines["not compared"] = f"{found.elsewhere:,}  (under another file of clean_pairs)"
    for name, count in found.columns.items():
        lines[f"{name} differs"] = f"{count:,}  ({share_of(count, found.rows)})"
    if found.codes:
        share = share_of(found.other_codes, found.codes)
        lines["codes that differ"] = f"{found.other_codes:,} of {found.codes:,}  ({share})"
    print_section(console, "rows", lines)
    for key, caption, differs in found.examples:
        console.print(f"\n[bold]{shown(caption)}[/]")
        console.print(f"  {shown(key)}: {differs}", soft_wrap=True)
    _print_each(console, found.broken)
    console.print(f"\nthe encodings {'are equal' if found.equal else 'differ'}")


def print_broken(console: Console, found: ShardSet, broken: Mapping[str, str]) -> None:
    _print_each(console, broken)
    if broken:
        some = f"{len(broken)} of {len(found.names)} shards are broken"
        console.print(f"{some}; {shown(repair(found, broken))}")


def _print_each(console: Console, broken: Mapping[str, str]) -> None:
    for name, problem in sorted(broken.items()):
        console.print(f"[bold red]broken[/] {shown(name)}: {shown(problem)}", soft_wrap=True)


def repair(found: ShardSet, names: Collection[str]) -> str:
    """Explain how to make some shards again, and no others."""
    if found.store is None:
        return "make them again with encode"
    finished = sorted(stats_file(name.removesuffix(".parquet")) for name in names)
    more = " and so on" if len(finished) > FILES_SHOWN else ""
    return (
        "to make them again, and no others, delete manifest.json, "
        f"{', '.join(finished[:FILES_SHOWN])}{more} in {found.folder.url} and run the pipeline "
        "again with this run's settings"
    )
