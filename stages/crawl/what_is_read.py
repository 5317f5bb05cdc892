"""The tables of `stages/crawl/README.md`, printed from the constants that the readers use.

`python -m stages.crawl.what_is_read` prints them into it.
"""

from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path

from stages.crawl.sources import described, file_names, folder_tree, listing, picture_folder
from stages.crawl.sources.content import MAGIC, UNPACKED
from stages.crawl.sources.delimited import SEPARATORS
from stages.crawl.sources.file_names import named
from stages.crawl.sources.found import HIDDEN
from stages.crawl.sources.links import BLOBS, MISSING, OUTSIDE, SNAPSHOTS
from stages.crawl.sources.listed import MAX_CAPTIONS, UNREADABLE
from stages.crawl.sources.names import CAPTION, CAPTION_OF_PICTURE, FILE, URL
from stages.crawl.sources.pointed import OUTSIDE as POINTED_OUTSIDE
from stages.crawl.sources.samples import SampleFile, Samples
from stages.crawl.sources.survey import SECOND, Survey
from stages.crawl.sources.tars import PACKED
from stages.crawl.sources.text_lines import MARKS, NULS
from stages.crawl.sources.text_lists import DELIMITERS
from stages.crawl.sources.text_lists import PACKED as PACKED_ENDINGS
from stages.crawl.sources.url_lists import LISTS
from stages.crawl.web.addresses import meant_address, safe_url
from stages.markdown import code, table
from stages.pictures.forms import FORMS


def pictures() -> str:
    rows = [
        (
            form.label,
            code(form.endings),
            "yes" if form.begins else "no",
            "read" if form.is_read else "`not_an_image`",
        )
        for form in sorted(FORMS, key=lambda form: not form.is_read)
    ]
    return table(("form", "endings", "known by its first bytes", "a row that is"), rows)


def captions() -> str:
    rows = [
        (code(f"photo.jpg{end}" for end in file_names.TEXT_ENDINGS), "the whole name"),
        (code(f"photo{end}" for end in file_names.TEXT_ENDINGS), "the name without its ending"),
        (code(("PHOTO.TXT", "Photo.Caption")), "either, in other letters"),
        (code(f"{name}{file_names.JSON_ENDING}" for name in ("photo.jpg", "photo", "PHOTO")),
         "likewise, after all texts"),
    ]  # fmt: skip
    return table(("beside `photo.jpg`", "has"), rows)


def metadata() -> str:
    stem, *kohya = file_names.METADATA_STEMS
    rows = [
        ("name", code(f"{stem}{ending}" for ending in file_names.METADATA_ENDINGS)),
        ("written by kohya's scripts", code(f"{name}.json" for name in kohya)),
        ("the picture: `crawl.source.file_column`, or", code(FILE.aliases)),
        ("the caption: `crawl.source.caption_column`, or", code(CAPTION_OF_PICTURE.aliases)),
    ]
    return table(("", "in any letters, and with spaces or hyphens for `_`"), rows)


def passed_over() -> str:
    rows = [
        (file_names.HIDDEN_FILES, "begin with `.`"),
        (file_names.HIDDEN_FOLDERS, "begin with `.`, such as `.git`; not entered"),
        (file_names.APPLE_DOUBLE, "begin with `._`"),
        (file_names.SYSTEM_FILES, code(_visible(file_names.NAMES_OF_SYSTEM))),
        (file_names.SYSTEM_FOLDERS, f"{code(sorted(file_names.FOLDERS_OF_SYSTEM))}; not entered"),
        *(
            (why, code(f".{end}" for end in endings.split()))
            for why, endings in file_names.PASSED_OVER.items()
        ),
        (file_names.TABLES, code(f"{stem}.txt" for stem in file_names.TABLE_STEMS)),
        (file_names.DOCUMENT_TEXTS, code(sorted(file_names.DOCUMENT_NAMES)) + " beside no picture"),
        (listing.LONELY_JSON, "in a folder whose pictures have no captions in JSON"),
        (listing.ELSEWHERE, "as in `images/` and `labels/`: put captions beside their pictures"),
        (SECOND, "in the order above; read where all before it are empty"),
        (described.NO_ROWS, "empty, or a line of names alone"),
        (described.OTHER_THINGS, "such as an album's of Google Takeout, or a data set's card"),
        (described.TWICE, "read once"),
        (picture_folder.BESIDE_METADATA, "unless the metadata give none"),
        (listing.LIKE_CAPTIONS, "such as `photo.desc`: rename them"),
        (folder_tree.BLOBS, "of the Hugging Face hub"),
        (folder_tree.FOLDER_LINKS, "no picture is there twice"),
        (folder_tree.DEVICES, "never opened"),
        (listing.EMPTY, "unless their name is a picture's or a caption's"),
        (file_names.UNKNOWN, "what neither name nor first bytes tell to be a picture"),
    ]
    return table(("passed over as", "which"), rows)


def links() -> str:
    rows = [
        ("to a file inside the folder, also through other links", "read"),
        (
            f"from `{SNAPSHOTS}/` into the `{BLOBS}/` beside it, as the Hugging Face hub has them",
            "read, whether the path is a snapshot, the repository or a whole cache",
        ),
        ("to a folder inside the folder", "passed over: its files are read where they lie"),
        ("to anything outside", f"a row `{OUTSIDE}`; of metadata: one sentence, nothing runs"),
        ("to nowhere, or back to itself", f"a row `{MISSING}`"),
        ("hard links", "files like any other"),
    ]
    return table(("a link", "is"), rows)


def refused() -> str:
    rows = [
        (f"`{MISSING}`", "a caption without a picture; a name in metadata without one; a link to "
         "nowhere; a pointer of Git LFS; a file or folder that this user may not read"),
        (f"`{OUTSIDE}`", "a link out of the folder"),
        (f"`{POINTED_OUTSIDE}`", "a name in metadata, with `..` or from `/` on, that leads out"),
        ("`bad_url`", "an address of the web for a name in metadata; if all are: one sentence"),
        ("`not_an_image`", "a form without a decoder, which is named; a damaged picture"),
        (f"`{UNREADABLE}`", "a caption or record that is no text in `crawl.source.encoding`, no "
         f"JSON, or more than {MAX_CAPTIONS} captions"),
        ("`too_large`", "more than `crawl.max_bytes`, or pixels than `crawl.max_pixels`"),
    ]  # fmt: skip
    return table(("reason", "of what"), rows)


def _visible(names: Iterable[str]) -> list[str]:
    return sorted(name.replace("\r", "\\r") for name in names)


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


def list_forms() -> str:
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


def list_columns() -> str:
    rows = [
        ("the address: `crawl.source.url_column`, or", code(URL.aliases)),
        ("the caption: `crawl.source.caption_column`, or", code(CAPTION.aliases)),
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
    rows = [(f"`{url}`", f"`{safe_url(meant_address(url))}`") for url in ADDRESSES]
    return table(("in the list, and in `url` of the row", "asked for"), rows)


def samples() -> str:
    return table(("in a tar", "rows"), [(code(names.split()), _rows(names)) for names in SAMPLES])


def _rows(names: str) -> str:
    made = Samples("a.tar", Survey("tars"))
    for name in names.split():
        what = named(name)
        list(made.add(SampleFile(name, what.stem, what.ending, name, what.kind == "picture")))
    return "; ".join(
        row["problem"]
        or code((row["picture"], *(row["text_files"] or ())[:1], *(row["json_files"] or ())[:1]))
        for row in made.rest()
    )


def packed_tars() -> str:
    rows = [(packer, code(ends.split()), f"`{how}`") for packer, (ends, how) in PACKED.items()]
    return table(("packed with", "by its ending, or its first bytes", "unpacked with"), rows)


def _named(separator: str) -> str:
    return {"\t": "tab", "|": "`\\|`"}.get(separator, f"`{separator}`")


TABLES: dict[str, Callable[[], str]] = {
    printed.__name__: printed
    for printed in (
        pictures, captions, metadata, passed_over, links, refused, list_forms, list_columns,
        not_lists, addresses, samples, packed_tars,
    )
}  # fmt: skip


def main() -> None:
    """Print every table between its marks in the README."""
    file = Path(__file__).with_name("README.md")
    text = file.read_text()
    for name, printed in TABLES.items():
        before, begin, rest = text.partition(f"<!-- {name}:begin")
        mark, end, after = rest.partition(f"<!-- {name}:end")
        text = f"{before}{begin}{mark.splitlines()[0]}\n{printed()}\n{end}{after}"
    file.write_text(text)


if __name__ == "__main__":
    main()
