"""Recognise a picture by the first bytes of a response, or quote its first words.

Words are kept with a row that failed, so they must be the same each time: what holds a digit, or
is too long for a word, may be a time, an address or the number of a request, and is written `#`.
"""

import html
import re

from stages.pictures.forms import HEAD_BYTES, form_of_bytes

LOOKED_AT = 8_192  # bytes of a page, for its title stands behind much else
MOST = 100  # characters of its words
LONGEST = 24  # of one word
TITLE = re.compile(r"<title[^>]*>(.*?)(?:</title|$)", re.IGNORECASE | re.DOTALL)
UNSEEN = re.compile(
    r"<(script|style|svg|head)\b.*?(?:</\1\s*>|$)|<!--.*?(?:-->|$)|<[^>]*(?:>|$)",
    re.IGNORECASE | re.DOTALL,
)
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
CHANGING = re.compile(rf"\S*\d\S*|\S{{{LONGEST + 1},}}")


def is_picture(start: bytes) -> bool:
    form = form_of_bytes(start[:HEAD_BYTES])
    return form is not None and form.is_read


def is_text(start: bytes) -> bool:
    """Return whether a body that begins like this is for people to read."""
    text = start[:LOOKED_AT].decode("utf-8-sig", errors="replace")
    foreign = text.count("\ufffd")  # an old page has a few letters in another encoding
    return bool(text.strip()) and not CONTROLS.search(text) and foreign <= len(text) / 4


def words(start: bytes) -> str:
    """Return the title of a page, or the first words of a text, or nothing."""
    if not is_text(start):
        return ""
    text = start[:LOOKED_AT].decode("utf-8-sig", errors="replace")
    title = TITLE.search(text)
    seen = html.unescape(title[1] if title and title[1].strip() else UNSEEN.sub(" ", text))
    steady = re.sub(r"#( #)+", "#", " ".join(CHANGING.sub("#", seen).split()))
    return steady if len(steady) <= MOST else f"{steady[:MOST].rstrip()}..."
