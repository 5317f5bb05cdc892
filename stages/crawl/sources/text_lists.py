"""Read url lists in CSV, TSV and JSON; a broken line becomes a row with a reason."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import PurePosixPath

from schemas.settings import SourceSettings
from stages.crawl.sources.content import DAMAGE
from stages.crawl.sources.delimited import Delimited
from stages.crawl.sources.json_records import HEAD_CHARS, is_whole, json_lines, whole_list
from stages.crawl.sources.listed import Row, Unreadable, from_record
from stages.crawl.sources.names import CAPTION, URL, Wanted, renamed, tell
from stages.crawl.sources.text_lines import Lines, opened

DELIMITERS = {".csv": ",", ".tsv": "\t"}  # unless a look at the file says another
TEXT_SUFFIXES = (*DELIMITERS, ".jsonl", ".ndjson", ".json")
PACKED = (".gz", ".bz2", ".xz")  # may stand behind the ending that names the format
LOOKED_AT = 100  # rows in which the columns must show up: JSON may leave a column out


def suffix_of(file: str) -> str:
    """Return the ending that names the format; one that says how it is packed is no format."""
    path = PurePosixPath(file.lower())
    return PurePosixPath(path.stem).suffix if path.suffix in PACKED else path.suffix


def read_text_list(file: str, source: SourceSettings) -> Iterator[Row]:
    """Yield rows in the LISTED form; raise ConfigError if a url or caption column is not there."""
    place = PurePosixPath(file).name
    for record in read_records(file, source, (URL, CAPTION)):
        yield from_record(record, source, place)


def read_records(
    file: str, source: SourceSettings, wanted: Sequence[Wanted]
) -> Iterator[Row | Unreadable]:
    """Yield each row's columns by name, or what is wrong with it.

    The wanted columns have the names that are set, whatever the file calls them. Raises
    ConfigError if one of them is not there, or the line of names is no text.
    """
    suffix = suffix_of(file)
    whole = suffix not in DELIMITERS and _is_whole(file, source, wanted)
    with opened(file, source) as lines:
        if suffix in DELIMITERS:
            yield from Delimited(lines, source, wanted, DELIMITERS[suffix]).records()
        else:
            records = whole_list(lines, source, wanted) if whole else json_lines(lines)
            yield from _json(records, lines, source, wanted)
        if lines.damage is not None:  # the number of lost rows is unknown
            yield lines.damage


def _is_whole(file: str, source: SourceSettings, wanted: Sequence[Wanted]) -> bool:
    with opened(file, source) as lines:
        try:
            head = lines.text.read(HEAD_CHARS)
        except DAMAGE:
            return False
    return is_whole(head, source, wanted, lines_expected=suffix_of(file) != ".json")


def _json(
    records: Iterator[Row | Unreadable],
    lines: Lines,
    source: SourceSettings,
    wanted: Sequence[Wanted],
) -> Iterator[Row | Unreadable]:
    first = list(islice(records, LOOKED_AT))
    found = {name: None for record in first if isinstance(record, dict) for name in record}
    ours = renamed(list(found), source, lines.name, wanted) if found else {}
    tell(ours, lines.name)
    for record in chain(first, records):
        if isinstance(record, Unreadable):
            yield record
        else:
            yield {ours.get(name, name): value for name, value in record.items()}
