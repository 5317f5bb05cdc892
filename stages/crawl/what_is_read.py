"""The tables of `stages/crawl/README.md`, printed from the constants that the readers use.

`python -m stages.crawl.what_is_read` prints them into it.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from stages.crawl import what_is_listed
from stages.crawl.sources import described, file_names, folder, listing, tree
from stages.crawl.sources.links import BLOBS, MISSING, OUTSIDE, SNAPSHOTS
from stages.crawl.sources.listed import MAX_CAPTIONS, UNREADABLE
from stages.crawl.sources.names import CAPTION_OF_PICTURE, FILE
from stages.crawl.sources.pointed import OUTSIDE as POINTED_OUTSIDE
from stages.markdown import code, table
from stages.pictures.forms import FORMS


def pictures() -> str:
    """Forms of pictures, by their endings, and what becomes of them."""
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
    """Names of captions, the best first."""
    rows = [
        (code(f"photo.jpg{end}" for end in file_names.TEXT_ENDINGS), "the whole name"),
        (code(f"photo{end}" for end in file_names.TEXT_ENDINGS), "the name without its ending"),
        (code(("PHOTO.TXT", "Photo.Caption")), "either, in other letters"),
        (code(f"{name}{file_names.JSON_ENDING}" for name in ("photo.jpg", "photo", "PHOTO")),
         "likewise, after all texts"),
    ]  # fmt: skip
    return table(("beside `photo.jpg`", "has"), rows)


def metadata() -> str:
    """Names of metadata files, and of their columns."""
    stem, *kohya = file_names.METADATA_STEMS
    rows = [
        ("name", code(f"{stem}{ending}" for ending in file_names.METADATA_ENDINGS)),
        ("written by kohya's scripts", code(f"{name}.json" for name in kohya)),
        ("the picture: `crawl.source.file_column`, or", code(FILE.usual)),
        ("the caption: `crawl.source.caption_column`, or", code(CAPTION_OF_PICTURE.usual)),
    ]
    return table(("", "in any letters, and with spaces or hyphens for `_`"), rows)


def passed_over() -> str:
    """Kinds of files that are counted and not read."""
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
        (listing.DOCUMENT_TEXTS, code(sorted(file_names.DOCUMENT_NAMES)) + " beside no picture"),
        (listing.LONELY_JSON, "in a folder whose pictures have no captions in JSON"),
        (listing.ELSEWHERE, "as in `images/` and `labels/`: put captions beside their pictures"),
        (listing.SECOND, "in the order above; read where all before it are empty"),
        (described.NO_ROWS, "empty, or a line of names alone"),
        (described.OTHER_THINGS, "such as an album's of Google Takeout, or a data set's card"),
        (described.TWICE, "read once"),
        (folder.BESIDE_METADATA, "unless the metadata give none"),
        (listing.LIKE_CAPTIONS, "such as `photo.desc`: rename them"),
        (tree.BLOBS, "of the Hugging Face hub"),
        (tree.FOLDER_LINKS, "no picture is there twice"),
        (tree.DEVICES, "never opened"),
        (listing.EMPTY, "unless their name is a picture's or a caption's"),
        (file_names.UNKNOWN, "what neither name nor first bytes tell to be a picture"),
    ]
    return table(("passed over as", "which"), rows)


def links() -> str:
    """What becomes of links in a folder on this machine."""
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
    """Reasons of rows that stand for what a folder does not have."""
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


TABLES: dict[str, Callable[[], str]] = {
    "pictures": pictures,
    "captions": captions,
    "metadata": metadata,
    "passed_over": passed_over,
    "links": links,
    "refused": refused,
    **what_is_listed.TABLES,
}


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
