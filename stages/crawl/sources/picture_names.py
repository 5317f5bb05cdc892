"""Recognise names of pictures, and pointers that stand in place of a file."""

import re

from stages.pictures.forms import BY_ENDING, SUFFIXES

# What a site or a program puts behind the ending: x.jpg_large, x.jpg?w=640, x.jpg!large, x.jpg~
_ALL = "|".join(re.escape(ending[1:]) for ending in sorted({*BY_ENDING, *SUFFIXES}, reverse=True))
_TEXT_LINK = re.compile(rb"(\.\./)+blobs/\w+\s*")  # of a snapshot of the Hugging Face hub
_TAILED = re.compile(rf"(.+)\.({_ALL})[^0-9A-Za-z.].*", re.IGNORECASE | re.DOTALL)


def split_ending(name: str) -> tuple[str, str]:
    """Return a file name without its last ending, and that ending in small letters."""
    stem, dot, ending = name.rpartition(".")
    return (stem, f".{ending.lower()}") if dot and stem else (name, "")


def stem_of_picture(name: str) -> str | None:
    """Return the name without its ending if that is a picture's, or else None."""
    stem, ending = split_ending(name)
    return stem if ending in BY_ENDING or ending in SUFFIXES else None


def stem_before_tail(name: str) -> str | None:
    """Return what stands before a picture's ending that something follows, as in x.jpg_large."""
    match = _TAILED.fullmatch(name)
    return match[1] if match else None


def in_place_of_file(head: bytes) -> str | None:
    """Say what lies there in place of the file, where a copy has left what only points to it."""
    if head.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS; fetch the file itself with `git lfs pull`"
    if _TEXT_LINK.fullmatch(head):
        return "a link that a copy has turned into text; download it again, or copy with `cp -rL`"
    return None
