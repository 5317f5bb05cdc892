"""Name what a file is, by its first bytes, if it is not a picture that is decoded."""

import re

from stages.pictures.forms import HEAD_BYTES, form_of_bytes, unread_form

EMPTY, ZEROS = "an empty file", "nothing but zeros"
STARTS = {
    b"\0\0\1\0": "an icon (ICO)",
    b"\0\0\2\0": "a mouse pointer (CUR)",
    b"%PDF": "a PDF file",
    b"%!PS": "a PostScript file",
    b"\xc5\xd0\xd3\xc6": "a PostScript file (EPS)",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip file",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"\x1a\x45\xdf\xa3": "a video (Matroska or WebM)",
    b"FWS": "a Flash film",
    b"CWS": "a Flash film",
    b"ID3": "a sound (MP3)",
    b"OggS": "a sound or video (Ogg)",
    b"\x89HDF": "an HDF5 file",
    b"version https://git-lfs": "a Git LFS pointer in place of the file",
}
RIFF = {b"AVI ": "a video (AVI)", b"WAVE": "a sound (WAV)"}
NETPBM = re.compile(rb"P[1-7]\s")
# Only after what may stand before it: declarations and comments.
MARKUP = re.compile(
    rb"\s*(?:<\?[^>]*>\s*|<!--.*?-->\s*|<!doctype\s+(\w+)[^>]*>\s*)*<([\w:]+)", re.S
)
PAGE = {b"html", b"head", b"body", b"script", b"title", b"div", b"p", b"h1", b"meta", b"center"}
LOOKED_AT = 4_096


def unread(data: bytes) -> str | None:
    """Say what a file is if no decoder reads it; None for any other."""
    form = form_of_bytes(data[:HEAD_BYTES])
    if form is not None:
        return unread_form(data)
    kind = _kind(data[:LOOKED_AT])
    if kind is None and data and not data.strip(b"\0"):
        kind = ZEROS
    return kind if kind in (EMPTY, ZEROS, None) else f"{kind}, which is not read"


def _kind(start: bytes) -> str | None:
    if not start:
        return EMPTY
    if start[4:8] == b"ftyp":
        return "a video (MP4 or MOV)"
    if start.startswith(b"RIFF"):
        return RIFF.get(start[8:12])
    if kind := next((kind for begin, kind in STARTS.items() if start.startswith(begin)), None):
        return kind
    return "a Netpbm picture" if NETPBM.match(start) else _text(start)


def _text(start: bytes) -> str | None:
    """Name a text by what it begins with; None if it is none."""
    text = start.removeprefix(b"\xef\xbb\xbf")
    if found := MARKUP.match(text.lower()):
        root = found[1] or found[2]
        if b"svg" in (root, found[2]):
            return "an SVG drawing"
        return "a web page (HTML)" if root in PAGE else "an XML document"
    if b"\0" in text or any(byte < 9 for byte in text[:64]):
        return None
    try:
        text[:64].decode()
    except UnicodeDecodeError:
        return None
    return "a JSON text" if text.lstrip()[:1] in (b"{", b"[") else "a text"
