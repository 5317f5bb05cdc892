"""Captions that say nothing of the picture: dates, file names, addresses, a web page's own words.

A caption is boilerplate when what matches these patterns has more letters and digits than what is
left: "a red kite, photographed on 3 May 2019" goes, "a red kite over a wide green field
in the late summer sun, photographed on 3 May 2019" stays.
"""

import re

MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
DAY = r"\d{1,2}(?:st|nd|rd|th)?"
WEEKDAY = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?,?\s+)?"
TIME = r"(?:,?\s+(?:at\s+)?\d{1,2}:\d{2}(?::\d{2})?(?:\s*[ap]\.?m\.?)?)?"
DATE = (
    WEEKDAY
    + r"(?:the\s+)?(?:"
    + "|".join(
        (
            rf"{DAY}\s+(?:of\s+)?{MONTH},?\s+\d{{4}}",  # 3 May 2019, 3rd of May, 2019
            rf"{MONTH}\s+{DAY}(?:,?\s+\d{{4}})?\b",  # May 3, 2019; May 3rd
            rf"{DAY}\s+(?:of\s+)?{MONTH}\b",  # 3 May
            rf"{MONTH},?\s+\d{{4}}",  # May 2019
            r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}",  # 2019-05-03
            r"\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}",  # 03/05/2019, 3.5.19
            r"(?:19|20)\d{2}\b",  # 2019
        )
    )
    + ")"
    + TIME
)
VERB = (
    r"(?:photographed|photo(?:graph)?(?:\s+was)?\s+taken|picture(?:\s+was)?\s+taken|taken|captured"
    r"|shot|uploaded|posted|published|added|created|updated|seen|date)"
)
PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?:https?://|www\.)\S+",
        r"\b(?:this\s+|the\s+)?(?:image|photo|picture)\s+(?:was\s+)?" + VERB,
        rf"\b{VERB}\s*:?\s*(?:(?:on|in|at|by)\s+)?{DATE}",
        r"\b" + DATE,
        r"\b[\w()-]+\.(?:jpe?g|png|gif|webp|bmp|tiff?|svg|heic|raw)\b",
        r"\b(?:img|dsc[nf]?|pict?|p|image|photo|picture|screen\s?shot|scan)[ _-]*\d{2,}\w*",
        r"\b(?:image|photo|picture)\s+\d+(?:\s+(?:of|/)\s+\d+)?",
        r"\b(?:image|photo)\s+may\s+contain\b.*",
        r"\bno\s+(?:photo\s+|alt\s+)?(?:description|caption|text)(?:\s+available)?",
        r"\bclick\s+(?:here\s+)?(?:to|for|on)\b.*",
        r"\bview\s+(?:larger|full[ -]size|original)\b.*",
        r"\b(?:file|stock|royalty[ -]free)\s+(?:photo|image|picture)s?\b",
        r"\ball\s+rights\s+reserved\b",
        r"(?:©|\(c\)|\bcopyright)[\s\w]*",
        r"\b(?:untitled|thumbnail|placeholder|no\s+image(?:\s+available)?)\b",
        r"[#@]\w+",
    )
)


def is_boilerplate(caption: str) -> bool:
    """Say whether most of the caption's letters and digits belong to boilerplate."""
    rest = caption
    for pattern in PATTERNS:
        rest = pattern.sub(" ", rest)
    left, all_of_it = _letters(rest), _letters(caption)
    return all_of_it == 0 or left < all_of_it - left


def _letters(text: str) -> int:
    return sum(c.isalnum() for c in text)
