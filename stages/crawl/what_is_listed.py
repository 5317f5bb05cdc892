"""The tables about url lists and tars in `stages/crawl/README.md`, printed from the readers."""

from collections.abc import Callable
from itertools import groupby

from stages.crawl.sources.content import MAGIC, UNPACKED
from stages.crawl.sources.delimited import SEPARATORS
from stages.crawl.sources.file_names import named
from stages.crawl.sources.found import HIDDEN
from stages.crawl.sources.names import CAPTION, URL
from stages.crawl.sources.samples import Part, Samples
from stages.crawl.sources.survey import Survey
from stages.crawl.sources.tars import PACKED
from stages.crawl.sources.text_lines import MARKS, NULS
from stages.crawl.sources.text_lists import DELIMITERS
from stages.crawl.sources.text_lists import PACKED as PACKED_ENDINGS
from stages.crawl.sources.url_lists import LISTS
from stages.crawl.sources.written import meant_address
from stages.crawl.web.addresses import safe_url
from stages.markdown import code, table

SAMPLES = (
    "0001.jpg 0001.txt 0001.json",
    "cat.2020.jpg cat.2020.txt cat.2021.jpg",
    "0001.jpg 0001.caption.txt",
    "0001.jpg 0001.jpg.txt",
    "0001.input.png 0001.output.png 0001.txt",
    "0001.jpg 0001.depth.png 0001.txt",
    "0001.jpg 0001.png 0001.txt",
    "0001.txt",
)
ADDRESSES = (
    "http://a.org/x.jpg?w=8&amp;h=6", "http://a.org/x.jpg?a=1&copy=2", "//a.org/x.jpg",
    "www.a.org/x.jpg", "HTTP://a.org/x.jpg", "<http://a.org/x.jpg>", '"http://a.org/x.jpg"',
    "http:\\/\\/a.org\\/x.jpg", "http://a.org\\x.jpg", "http://a.org/a b.jpg#top",
    "http://a.org/a%20b.jpg", "http://bücher.example/ü.jpg",
)  # fmt: skip


def forms() -> str:
    """Endings of lists, and how they are read."""
    text = "text, its columns separated by " + "; by ".join(
        f"{_named(own)} in `{end}` if nothing shows another" for end, own in DELIMITERS.items()
    )
    rows = [
        ("`.parquet`", "read where it lies; a folder `x.parquet/` is all its parts"),
        (code(DELIMITERS), text),
        ("`.jsonl` `.ndjson`", "an object on each line"),
        ("`.json`", "one list of objects, alone or in an object; an object of columns, of objects "
         "by keys, or of captions by address; or an object on each line; in a folder only "
         "where no other list is"),
        (code(PACKED_ENDINGS), f"behind one of these: packed; {', '.join(UNPACKED)} are known by "
         "their first bytes, whatever the name"),
    ]  # fmt: skip
    return table(("ending, in any letters", "is"), rows)


def columns() -> str:
    """Names of columns, separators, and encodings that need no setting."""
    rows = [
        ("the address: `crawl.source.url_column`, or", code(URL.usual)),
        ("the caption: `crawl.source.caption_column`, or", code(CAPTION.usual)),
        ("separators", "; ".join(map(_named, SEPARATORS)) + "; any other by Excel's line `sep=^`"),
        ("encodings with their mark", ", ".join(name.upper() for _, name in MARKS)),
        ("encodings known by their NULs", ", ".join(name.upper() for name in NULS.values())),
    ]
    return table(("found by looking", ""), rows)


def not_lists() -> str:
    """What of a folder of lists is not read, and what is no list for all its name."""
    by_remedy = groupby(LISTS.otherwise.items(), key=lambda pair: pair[1])
    rows = [(f"{HIDDEN}: names that begin with {code(LISTS.hidden)}", "passed over")]
    rows += [
        (code(end for end, _ in pairs), f"passed over; alone: one sentence ({remedy})")
        for remedy, pairs in by_remedy
    ]
    rows.append(("other endings, or none", "passed over; alone: one sentence"))
    kinds = dict.fromkeys(kind for _, kind, _ in MAGIC if kind not in (*UNPACKED, "Parquet"))
    rows.append((f"a text list that is by its first bytes {', '.join(kinds)}", "one sentence"))
    return table(("of lists", "is"), rows)


def addresses() -> str:
    """Addresses as lists write them, and what is asked for."""
    rows = [(f"`{url}`", f"`{safe_url(meant_address(url))}`") for url in ADDRESSES]
    return table(("in the list, and in `url` of the row", "asked for"), rows)


def samples() -> str:
    """Members of a tar, and the rows that they are."""
    return table(("in a tar", "rows"), [(code(names.split()), _rows(names)) for names in SAMPLES])


def _rows(names: str) -> str:
    made = Samples("a.tar", Survey("tars"))
    for name in names.split():
        said = named(name)
        is_picture = said.kind == "picture"
        list(made.add(Part(name, said.stem, said.ending, name, is_picture)))
    return "; ".join(
        row["problem"]
        or code((row["picture"], *(row["text_files"] or ())[:1], *(row["json_files"] or ())[:1]))
        for row in made.rest()
    )


def packed() -> str:
    """What has packed tars, and how to unpack them."""
    rows = [(packer, code(ends.split()), f"`{how}`") for packer, (ends, how) in PACKED.items()]
    return table(("packed with", "by its ending, or its first bytes", "unpacked with"), rows)


def _named(separator: str) -> str:
    return {"\t": "tab", "|": "`\\|`"}.get(separator, f"`{separator}`")


TABLES: dict[str, Callable[[], str]] = {
    "list_forms": forms,
    "list_columns": columns,
    "not_lists": not_lists,
    "addresses": addresses,
    "samples": samples,
    "packed_tars": packed,
}
