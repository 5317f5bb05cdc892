"""What inspect_tokens prints of what is wrong, or differs, in 80 columns."""

from collections.abc import Collection, Mapping

from rich.console import Console

from pipelines.command import shown
from pipelines.inspection.diff import Difference
from pipelines.inspection.shards import Target
from pipelines.inspection.terminal import percent, section
from pipelines.inspection.verify import Verdict
from stages.shards import stats_file

SHOWN = 3


def print_verdict(console: Console, verdict: Verdict) -> None:
    """Print what was checked and how it went."""
    table = section(console, "verify")
    for name, words in verdict.checked.items():
        table.add_row(name, shown(words))
    console.print(table)


def print_difference(console: Console, found: Difference) -> None:
    """Print what two encodings do not have in common."""
    if found.metadata:
        table = section(console, "metadata that differ")
        for name, pair in found.metadata.items():
            table.add_row(shown(name), " | ".join(shown(_brief(value)) for value in pair))
        console.print(table)
    table = section(console, "rows")
    table.add_row("in both", f"{found.rows:,}")
    table.add_row("only in the first", f"{found.only_one:,}")
    table.add_row("only in the other", f"{found.only_other:,}")
    if found.elsewhere:
        words = f"{found.elsewhere:,} lie under other files of clean_pairs"
        table.add_row("not compared", words)
    for name, count in found.columns.items():
        table.add_row(f"other {name}", f"{count:,}  ({percent(count, found.rows)})")
    if found.codes:
        share = percent(found.other_codes, found.codes)
        table.add_row("other codes", f"{found.other_codes:,} of {found.codes:,}  ({share})")
    console.print(table)
    for example in found.examples:
        console.print(f"\n[bold]{shown(example.caption)}[/]")
        console.print(f"  {shown(example.key)}: {example.differ}", soft_wrap=True)
    for name, why in sorted(found.broken.items()):
        console.print(f"[bold red]broken[/] {shown(name)}: {shown(why)}", soft_wrap=True)
    console.print("\nno difference" if found.equal else "\nthey differ")


def print_broken(console: Console, found: Target, broken: Mapping[str, str]) -> None:
    """Name each broken file, and say what to do."""
    for name, why in sorted(broken.items()):
        console.print(f"[bold red]broken[/] {shown(name)}: {shown(why)}")
    if broken:
        some = f"{len(broken)} of {len(found.names)} shards are broken"
        console.print(f"{some}; {shown(mend(found, broken))}")


def mend(found: Target, names: Collection[str]) -> str:
    """Say what to do to have some shards made again, and no others."""
    if found.store is None:
        return "make them again with encode"
    finished = [stats_file(name.removesuffix(".parquet")) for name in names]
    return (
        "to have them made again, and no others, delete manifest.json, "
        f"{', '.join(sorted(finished)[:SHOWN])}{' and so on' if len(finished) > SHOWN else ''} in "
        f"{found.folder.url} and run the pipeline again with the settings of this run"
    )


def _brief(value: str) -> str:
    return value if len(value) < 25 else value[:12] + "..."
