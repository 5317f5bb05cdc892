"""The row of one picture of a folder, and the row that stands for one that cannot be had."""

from collections.abc import Sequence

from stages.crawl.sources.handles import handle, shown
from stages.crawl.sources.listed import Row, listed_row, problem_row
from stages.crawl.sources.listing import Listing


def picture_row(
    listing: Listing, name: str, captions: Sequence[str] = (), source: str | None = None
) -> Row:
    """Return a picture's row with these captions, or else with those in files beside it."""
    if problem := listing.tree.problems.get(name):
        return row_without(problem, name, captions, source)
    texts, jsons = ([], []) if captions else listing.partners.texts_and_jsons(name)
    return listed_row(
        shown(name),
        captions,
        picture=handle(name),
        text_files=[handle(text) for text in texts] or None,
        json_files=[handle(json) for json in jsons] or None,
        source=source,
    )


def row_without(
    problem: str, name: str, captions: Sequence[str] = (), source: str | None = None
) -> Row:
    """Return the row of what is not read for a problem, `reason: detail`; its caption stays."""
    reason, _, detail = problem.partition(": ")
    row = listed_row(shown(name), captions, source=source)
    why = problem_row(reason, f"{shown(name)}: {detail}" if name else detail)["problem"]
    return row | {"problem": row["problem"] or why}
