"""Clean captions: one line of composed Unicode, however hostile the input."""

import html
import unicodedata

ROUNDS = 4  # of unescaping: pages escape what was escaped already
MARKS = 30  # combining marks in a row: Unicode's limit for streams (UAX 15)


def clean_caption(caption: str | None) -> str:
    """Return the caption as one line of composed Unicode, without HTML's escapes.

    Cleaning again changes nothing. The time is in proportion to the caption's length.
    """
    text = caption or ""
    for _ in range(ROUNDS):
        before, text = text, _composed(html.unescape(text))
        if text == before:
            break
    else:
        text = text.replace("&", " ")  # escaped so often on purpose
    if not text.isprintable():
        text = "".join(" " if _is_unprintable(c) else c for c in text)
    return " ".join(text.split())


def _is_unprintable(c: str) -> bool:
    """Find controls, surrogates, private and unassigned characters, not marks of direction."""
    return unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn")


def _composed(text: str) -> str:
    """Compose, without more marks on a letter than anyone writes: sorting them is quadratic."""
    if unicodedata.is_normalized("NFC", text):
        return text
    kept, marks = [], 0
    for c in text:
        marks = marks + 1 if unicodedata.combining(c) else 0
        if marks <= MARKS:
            kept.append(c)
    return unicodedata.normalize("NFC", "".join(kept))
