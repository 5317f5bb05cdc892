"""Classify a file by its name: a picture, a caption, metadata, or passed over."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from stages.pictures.forms import BY_ENDING, SUFFIXES

PICTURE_ENDINGS = {*BY_ENDING, *SUFFIXES}
TEXT_ENDINGS = (".txt", ".caption", ".captions", ".text", ".prompt", ".tags")  # the best first
JSON_ENDING = ".json"
CAPTION_ENDINGS = (*TEXT_ENDINGS, JSON_ENDING)
METADATA_STEMS = ("metadata", "meta_cap", "meta_lat")
METADATA_ENDINGS = (
    ".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".json",
)  # fmt: skip

HIDDEN_FILES, HIDDEN_FOLDERS = "hidden files", "hidden folders"
APPLE_DOUBLE = "AppleDouble files"
SYSTEM_FILES, SYSTEM_FOLDERS = "files of the system", "folders of the system"
TARS = "tars (crawl.source.kind=tars reads them)"
DOCUMENT_TEXTS = "texts about the whole folder"
TABLES = "tables that are not named metadata (metadata.csv is read)"
DOCUMENTS = "documents and code"
UNKNOWN = "files of other kinds"

NAMES_OF_SYSTEM = {"thumbs.db", "ehthumbs.db", "desktop.ini", "picasa.ini", "icon\r", "sync.ffs_db"}
FOLDERS_OF_SYSTEM = {
    "@eadir", "__macosx", "__pycache__", "#recycle", "#snapshot", "@recycle", "$recycle.bin",
    "system volume information", "lost+found",
}  # fmt: skip
PASSED_OVER = {
    "unfinished downloads": "part partial crdownload download opdownload aria2 tmp temp filepart "
    "!ut incomplete lock",
    "videos and sounds": "mp4 mov avi mkv webm m4v wmv flv mpg mpeg 3gp mts m2ts ogv gifv mp3 wav "
    "flac ogg m4a aac opus",
    TARS: "tar tgz taz tbz tbz2 tb2 txz tzst tlz4",
    "archives (to be unpacked)": "zip rar 7z gz bz2 xz zst lz4 cbz",
    TABLES: "csv tsv jsonl ndjson parquet arrow feather xls xlsx ods db sqlite",
    "arrays and weights": "npz npy pt pth ckpt safetensors pkl pickle h5 hdf5 mat onnx",
    "files beside pictures of cameras and editors": "xmp aae thm pp3 dop",
    DOCUMENTS: "md rst pdf doc docx odt rtf html htm xml yaml yml toml ini cfg log py ipynb sh bat "
    "js css sql tex bib url lnk sha256 md5",
}
OF_ENDING = {f".{end}": why for why, endings in PASSED_OVER.items() for end in endings.split()}
# Texts of these names are no captions where no picture has such a name; also README_en.txt.
_DOCUMENTS = """
about all authors categories changelog changes checksums citation class_names
classes cmakelists config contributing copying copyright credits dataset dataset_info description
disclaimer errors file_list filelist filenames files history image images index info install
instructions licence license links list log manifest md5sums meta names notes
notice obj output readme requirements robots sample_prompts sha256sums tags terms test todo
train trainval urls val valid validation version vocab words
"""
DOCUMENT_NAMES = frozenset(_DOCUMENTS.split())
TABLE_STEMS = ("captions", "prompts", "descriptions", "annotations", "labels", "results")
DOCUMENT_BEGINS = re.compile(r"(readme|licen[cs]e|requirements|copying|changelog)[^a-z]")
# What a site or a program puts behind the ending: x.jpg_large, x.jpg?w=640, x.jpg!large, x.jpg~
_OF_PICTURES = "|".join(re.escape(ending[1:]) for ending in sorted(PICTURE_ENDINGS, reverse=True))
TAILED = re.compile(rf"(.+)\.({_OF_PICTURES})[^0-9A-Za-z.].*", re.IGNORECASE | re.DOTALL)
FOR_ANOTHER_KIND = {  # where several are there, the first is what the others tell of
    "folder": "for the pictures there set crawl.source.kind=folder",
    "tars": "for the tars there set crawl.source.kind=tars",
    "urls": "for the lists there set crawl.source.kind=urls",
    "texts": "if the texts there are lists of addresses, write a CSV with the columns url and "
    "caption, and set crawl.source.kind=urls",
}

Kind = Literal["picture", "caption", "metadata", "passed_over", "unknown"]


@dataclass(frozen=True)
class Named:
    """What a file's name says; `stem` is what its partners share, `why` why it is passed over."""

    kind: Kind
    stem: str = ""
    ending: str = ""
    why: str = ""


def named(base: str) -> Named:
    small = base.lower()
    if small.startswith("._"):
        return Named("passed_over", why=APPLE_DOUBLE)
    if small in NAMES_OF_SYSTEM:
        return Named("passed_over", why=SYSTEM_FILES)
    if small.startswith("."):
        return Named("passed_over", why=HIDDEN_FILES)
    if (stem := stem_of_picture(base)) is not None:
        return Named("picture", stem)
    stem, dot, ending = small.partition(".")
    if stem in METADATA_STEMS and dot + ending in METADATA_ENDINGS:
        return Named("metadata")
    stem, ending = split_ending(base)
    if ending in CAPTION_ENDINGS:
        return Named("caption", stem, ending)
    if ending in OF_ENDING:
        inner = OF_ENDING.get(split_ending(stem)[1])  # of x.tar.gz, x.csv.gz
        return Named("passed_over", why=inner if inner in (TARS, TABLES) else OF_ENDING[ending])
    if tailed := TAILED.fullmatch(base):
        return Named("picture", tailed[1])
    return Named("unknown", stem, ending)


def split_ending(name: str) -> tuple[str, str]:
    """Return a file name without its last ending, and that ending in small letters."""
    stem, dot, ending = name.rpartition(".")
    return (stem, f".{ending.lower()}") if dot and stem else (name, "")


def stem_of_picture(name: str) -> str | None:
    stem, ending = split_ending(name)
    return stem if ending in PICTURE_ENDINGS else None


def folder_to_pass_over(name: str) -> tuple[str, str] | None:
    """Return the first folder on the way to a file that is passed over, and its kind, or None."""
    parts = name.split("/")
    for depth, part in enumerate(parts[:-1], start=1):
        if part.lower() in FOLDERS_OF_SYSTEM:
            return "/".join(parts[:depth]) + "/", SYSTEM_FOLDERS
        if part.startswith("."):
            return "/".join(parts[:depth]) + "/", HIDDEN_FOLDERS
    return None


def is_document(stem: str) -> bool:
    """Return whether a text of this name tells of the whole folder, like README.txt."""
    folded = stem.lower().replace("-", "_").replace(" ", "_")
    return folded in DOCUMENT_NAMES or DOCUMENT_BEGINS.match(folded) is not None


def is_table(stem: str) -> bool:
    """Return whether a text of this name seems to hold the captions of many pictures."""
    return stem.lower() in (*METADATA_STEMS, *TABLE_STEMS)


def folded(name: str) -> str:
    """Return a name that is equal for other letters' case and other Unicode normalisation."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def for_another_kind(names: Iterable[str], kind: str) -> str:
    """Say which crawl.source.kind to set for files of such names; empty if none reads them."""
    there = {_kind_of_source(name.rpartition("/")[2]) for name in names} - {kind}
    if kind == "urls":
        there.discard("texts")  # of which lists have a word of their own
    return next((advice for one, advice in FOR_ANOTHER_KIND.items() if one in there), "")


def _kind_of_source(base: str) -> str | None:
    what = named(base)
    if what.kind == "picture":
        return "folder"
    if what.kind == "caption":
        return "urls" if what.ending == JSON_ENDING else "texts"
    if what.kind == "metadata" or what.why == TABLES:
        return "urls"
    return "tars" if what.why == TARS else None
