"""Advise another crawl.source.kind where the files found belong to that kind."""

from collections.abc import Iterable

from stages.crawl.sources.file_names import JSON_ENDING, TABLES, TARS, named

ADVICE = {  # where several are there, the first is what the others tell of
    "folder": "for the pictures there set crawl.source.kind=folder",
    "tars": "for the tars there set crawl.source.kind=tars",
    "urls": "for the lists there set crawl.source.kind=urls",
    "texts": "if the texts there are lists of addresses, write a CSV with the columns url and "
    "caption, and set crawl.source.kind=urls",
}


def for_another_kind(names: Iterable[str], kind: str) -> str:
    """Say which kind to set for files of such names instead; empty if none reads them."""
    there = {_kind_of(name.rpartition("/")[2]) for name in names} - {kind}
    if kind == "urls":
        there.discard("texts")  # of which lists have a word of their own
    return next((advice for one, advice in ADVICE.items() if one in there), "")


def _kind_of(base: str) -> str | None:
    what = named(base)
    if what.kind == "picture":
        return "folder"
    if what.kind == "caption":
        return "urls" if what.ending == JSON_ENDING else "texts"
    if what.kind == "metadata" or what.why == TABLES:
        return "urls"
    return "tars" if what.why == TARS else None
