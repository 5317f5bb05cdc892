"""Captions that say nothing of the picture: dates, file names, addresses, a web page's own words.

A caption is boilerplate when more than half of its letters and digits are: "a red kite,
photographed on 3 May 2019" goes, "a red kite over a wide green field in the late summer sun,
photographed on 3 May 2019" stays. Words that could belong to a page or to a picture alike
(`PAGE_WORDS`) count only where nothing else is left: "Photo gallery 2" goes, "a photo of a gallery"
and "Picture frame" stay.
"""

import re
from collections import Counter

from stages.filter.dates import CLOCK, DATE

EXAMINED = 2_000  # characters; a longer caption is judged by its beginning
FEWEST_IN_A_RUN = 6  # words; fewer are not a run of keywords, however often one is repeated
SAID_OFTEN = 3  # times

FILE_ENDINGS = (
    ".jpg", ".jpeg", ".jpe", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".svg", ".heic",
    ".heif", ".avif", ".raw", ".cr2", ".nef", ".psd", ".pdf", ".mp4", ".mov",
)  # fmt: skip
ADDRESS = re.compile(
    r"(?://)?(?:[\w-]+\.)+(?:com|org|net|edu|gov|info|biz|io|co|uk|eu|de|fr|it|es|nl|us|ca|au|ru|jp)"
    r"(?:/.*)?",
    re.IGNORECASE,
)
IDENTIFIER = re.compile(r"(?=[a-f-]*\d)[\da-f-]{12,}", re.IGNORECASE)  # a hash, a UUID

VERB = (
    r"(?:photographed|photo(?:graph)?(?: was)? taken|picture(?: was)? taken|date taken|taken"
    r"|captured|shot|uploaded|posted|published|added|created|(?:last )?updated|seen|date)"
)
NAME = r"(?-i:(?: [A-Z][\w.'\u2019-]*){1,4})"
PICTURE = r"(?:image|photo|photograph|picture|pic)"
AGENCY = (
    r"(?:reuters|getty ?images|afp|shutterstock|alamy|i?stock ?photo|dreamstime|123rf"
    r"|deposit ?photos|adobe ?stock|flickr|unsplash|pixabay|pexels|wikimedia(?: commons)?)"
)
STOCK = r"(?:vector|photo|photography|image|picture|illustration|graphic|clip ?art|footage)s?"
CAMERA = (
    r"(?:(?:mv)?img|imgp|imag|dsc[nf]?|pict?|p(?=\d{6})|gopr|dji|sam|cimg|pxl|vid|scan|slide|file"
    r"|image|photo|picture|unnamed|download|screen ?shot)"
)
ENLARGE = r"(?:enlarge|zoom|view|see|open|expand|download|show|read|larger?|full|more|details)"
PHRASES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?:(?:this|the) )?{PICTURE} (?:was )?(?={VERB}\b)",
        rf"\b{VERB}:?(?: (?:by|with|using)(?: [^ ]+){{1,3}}?)?,?(?: (?:on|in|at))? ?{DATE}",
        rf"\b{DATE}",
        rf"\b(?:at )?{CLOCK}\b",
        rf"(?<![^\W_]){CAMERA}[ _-]*(?:\d{{2,}}[\w-]*|\(\d+\))",
        rf"\b{PICTURE} \d+(?: ?(?:of|/) ?\d+)?\b",
        r"\b\d{2,5} ?[x\xd7] ?\d{2,5}(?: ?(?:px|pixels))?\b",
        r"\bimage may contain\b.*|\bmay be (?:an image|a picture|art|a graphic) of\b.*",
        r"\bno (?:photo |(?:automatic )?alt )?(?:description|caption|text)(?: available)?\b",
        rf"\b(?:{PICTURE} (?:search )?results? for|related {PICTURE})\b",
        rf"\b{PICTURE} of the (?:day|week|month)\b(?: \d+)?",
        rf"\b(?:click|tap|hover|swipe|press)(?: here)?(?: (?:on|the|this|{PICTURE})){{0,4}}"
        rf" (?:to|for)(?: an?)? {ENLARGE}\b",
        rf"\bclick (?:here|on(?: the| this)? {PICTURE})\b",
        rf"\b(?:view|see|open) (?:larger|bigger|full[ -]?size|original|{PICTURE} in)\b"
        rf"(?: (?:{PICTURE}|size|version|new (?:window|tab)))*",
        rf"\b(?:(?:stock|file|royalty[ -]free)\b ?){{1,3}}(?:{STOCK}\b ?){{1,4}}(?:#\d+)?",
        rf"(?<=[-|,.;:(] )(?:free )?vector(?: {STOCK}){{0,4}}\b",
        rf"\b{AGENCY}\b(?:[ _#-]*\d+)?",
        rf"\b(?:{PICTURE}s?|photographed|captured|shot)"
        rf"(?: (?:by|credits?|courtesy(?: of)?|via|source):?){{1,3}}"
        rf"(?:{NAME})?(?: (?:on|via) {AGENCY})?",
        rf"(?:©|\(c\)|\b(?:{PICTURE} )?copyright\b)(?: by)?(?: ?\d{{4}})?,?(?:{NAME})?",
        r"\ball rights reserved\b",
        r"\b(?:add to (?:cart|basket|wishlist)|read more|learn more|sign up for our newsletter)\b",
        r"\b(?:share on (?:facebook|twitter|pinterest)|follow us on \w+)\b",
        r"\b(?:untitled|thumbnail|placeholder)\b",
    )
)
PAGE_VOCABULARY = """
    a ad added advertisement album all alt an and at attached attachment automatic available
    avatar banner by caption captured click close coming content copy copyright cover created
    credit date default description design download edited enlarge enter error facebook featured
    figure file final footer for found free full gallery graphic hd header here hero home hover
    illustration image images img in insert item large larger last loading logo main media missing
    more my n na new next no none not null of on open our page pdf photo photographed photography
    photos pic pics picture pictures placeholder post posted preview previous product profile
    published read related reserved rights royalty sample scan screen screenshot share shot size
    slide slideshow soon source stock taken tap text the this thumbnail to twitter unavailable
    undefined unknown unnamed untitled updated upload uploaded user vector view was whatsapp with
    zoom
"""
PAGE_WORDS = frozenset(PAGE_VOCABULARY.split())
WORD = re.compile(r"[^\W\d_]+")


def boilerplate_share(caption: str) -> float:
    """Return the share of letters and digits that is boilerplate, 0 to 1; 1 without any letter."""
    words = caption[:EXAMINED].split()
    text = " ".join(words)
    if not WORD.search(text):
        return 1.0
    rest = " ".join(word for word in words if not is_reference(word))
    for pattern in PHRASES:
        rest = pattern.sub(" ", rest)
    said = WORD.findall(rest.lower())
    if PAGE_WORDS.issuperset(said):
        return 1.0
    return 1 - (letters(rest) - letters_in_run(said)) / letters(text)


def is_boilerplate(caption: str) -> bool:
    """Say whether most of the caption's letters and digits belong to boilerplate."""
    return boilerplate_share(caption) > 0.5


def is_reference(word: str) -> bool:
    """Say whether what stands between two spaces is an address, a tag, a file or an identifier."""
    bare = word.strip(".,;:!?()[]<>\"'")
    return (
        "@" in bare
        or bare.startswith(("#", "www."))
        or "://" in bare
        or bare.lower().endswith(FILE_ENDINGS)
        or ADDRESS.fullmatch(bare) is not None
        or IDENTIFIER.fullmatch(bare) is not None
    )


def letters_in_run(said: list[str]) -> int:
    """Count the letters of words said again and again: "shoes, cheap shoes, buy shoes, shoes sale".

    Singular and plural are one word, and the small words of a sentence do not count.
    """
    if len(said) < FEWEST_IN_A_RUN:
        return 0
    stems = Counter(word.removesuffix("s").removesuffix("e") for word in said)
    return sum(
        len(word)
        for word in said
        if len(word) > 2
        and word not in ("the", "and")
        and stems[word.removesuffix("s").removesuffix("e")] >= SAID_OFTEN
    )


def letters(text: str) -> int:
    """Count letters and digits."""
    return sum(c.isalnum() for c in text)
