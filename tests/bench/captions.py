"""Print how often the caption filters are right, and how fast they are.

`python -m tests.bench.captions`; the sets and their labels are in tests/stages/labelled.py.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from schemas.settings import FilterSettings
from stages.measure.boilerplate import boilerplate_share
from stages.measure.cleaning import clean_caption
from stages.measure.language import Language
from tests.stages import labelled
from tests.stages.labelled import Agreement, Labelled

MOST_SHOWN = 8
SECONDS = 1.0  # at least so long is each filter timed
LONG = 100_000  # characters
HOSTILE = ("a " * (LONG // 2), "photo by A " * (LONG // 11), "e\u0301\u0316" * (LONG // 3))


def table(name: str, found: Agreement) -> None:
    print(
        f"{name}: precision {found.precision:.3f}, recall {found.recall:.3f} "
        f"({found.right_yes} rightly yes, {len(found.wrong_yes)} wrongly; "
        f"{found.right_no} rightly no, {len(found.wrong_no)} wrongly)"
    )
    for what, rows in (("wrongly yes", found.wrong_yes), ("wrongly no", found.wrong_no)):
        if rows:
            kinds = Counter(row.kind for row in rows).most_common(MOST_SHOWN)
            print(f"  {what}, by kind: " + ", ".join(f"{kind} {n}" for kind, n in kinds))
            print("    " + " | ".join(row.caption for row in rows[:MOST_SHOWN]))


def stamps(rows: Sequence[Labelled], english: Callable[[str], bool]) -> None:
    """Print the language filter on stamps, where precision would only say how many are foreign."""
    if not rows:
        print(f"stamps: left out, no {labelled.STAMPS} (Debian's tuxpaint-stamps-default)")
        return
    for fewest, most in ((1, 2), (3, 5), (6, 1_000)):
        of_length = [row for row in rows if fewest <= len(row.caption.split()) <= most]
        found = labelled.compare(of_length, lambda row: row.english, english)
        foreign = found.right_no + len(found.wrong_yes)
        kinds = Counter(row.kind for row in found.wrong_yes).most_common(MOST_SHOWN)
        print(
            f"stamps of {fewest} to {most} words: {found.recall:.1%} of "
            f"{found.right_yes + len(found.wrong_no)} English ones kept, "
            f"{len(found.wrong_yes) / foreign:.1%} of {foreign} foreign ones let in ("
            + ", ".join(f"{kind} {n}" for kind, n in kinds)
            + ")"
        )


def rows_per_second(says: Callable[[str], Any], captions: Sequence[str]) -> float:
    started, rows = time.process_time(), 0
    while time.process_time() - started < SECONDS:
        for caption in captions:
            says(caption)
        rows += len(captions)
    return rows / (time.process_time() - started)


def main() -> None:
    language, least = Language(), FilterSettings().min_english
    rows = labelled.captions()
    held = [row for row in rows if row.held]
    stamps_held = [row for row in labelled.stamps() if row.held]

    def english(caption: str) -> bool:
        return language.english(caption) >= least

    print(f"{len(held)} captions of the held half, of {len(rows)} labelled by hand")
    table("English", labelled.compare(held, lambda row: row.english, english))
    judged = [row for row in held if row.english is not False]
    table(
        "boilerplate",
        labelled.compare(judged, lambda row: row.boilerplate, labelled.is_boilerplate),
    )
    stamps(stamps_held, english)

    ordinary = [row.caption for row in rows]
    for name, says in (
        ("clean_caption", clean_caption),
        ("boilerplate_share", boilerplate_share),
        ("Language.english", language.english),
    ):
        slowest = min(rows_per_second(says, [caption]) for caption in HOSTILE)
        print(
            f"{name}: {rows_per_second(says, ordinary):,.0f} captions a second on one core; "
            f"{1000 / slowest:.1f} ms for the slowest of 100 kB"
        )


if __name__ == "__main__":
    main()
