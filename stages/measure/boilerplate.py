"""Score captions that do not describe the picture: dates, file names, addresses, page words.

A caption is boilerplate when more than half of its letters and digits are: "a red kite,
photographed on 3 May 2019" goes, "a red kite over a wide green field in the late summer sun,
photographed on 3 May 2019" stays. Words that could belong to a page or to a picture alike
(`PAGE_WORDS`) count only where nothing else is left: "Photo gallery 2" goes, "a photo of a gallery"
and "Picture frame" stay.
"""

import re
from collections import Counter

# Dates and times as captions write them. Patterns are for text with single spaces, and repeat
# nothing without a bound, so that a search takes a time in proportion to the text.
MONTH = (
    r"(?:jan(?:uary?)?|feb(?:ruary?)?|mar(?:ch)?|märz|apr(?:il)?|may|mai|june?|juni|july?|juli"
    r"|aug(?:ust)?|sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)\b\.?"
)
DAY = r"\d{1,2}(?:st|nd|rd|th|\.)?"
YEAR = r"(?:\d{4}|['\u2019]\d{2})"
WEEKDAY = (
    r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\b\.?"
    r"(?: (?:morning|afternoon|evening|night))?,? )?"
)
CLOCK = r"\d{1,2}[:.]\d{2}(?:[:.]\d{2})?(?: ?[ap]\.?m\b\.?)?"
TIME = rf"(?:(?:,? (?:at )?|T){CLOCK}Z?)?"
DATE = (
    WEEKDAY
    + r"(?:the )?(?:(?:early|mid|late)[ -])?(?:"
    + "|".join(
        (
            rf"{DAY}[ -]?(?:of )?{MONTH},?[ -]?{YEAR}",  # 3 May 2019, 3. Mai 2019, 3rd of May '19
            rf"{MONTH} {DAY}(?:,? {YEAR})?\b",  # May 3, 2019; May 3rd
            rf"{DAY} (?:of )?{MONTH}",  # 3 May
            rf"{MONTH},? {YEAR}",  # May 2019
            rf"(?:spring|summer|autumn|fall|winter) (?:of )?{YEAR}",
            r"\d{4}(?P<iso>[-/.:])\d{1,2}(?P=iso)\d{1,2}",  # 2019-05-03, and 2019:05:03 of cameras
            r"\d{1,2}(?P<dot>[-/.])\d{1,2}(?P=dot)\d{2,4}",  # 03/05/2019, 3.5.19
            r"(?:19|20)\d{6}(?:[T_-]?\d{4,6})?\b",  # 20190503, 20190503_101112
            r"(?:19|20)\d{2}\b",  # 2019
        )
    )
    + ")"
    + TIME
)
AGO = r"(?:\d+|an?|one|two|three|four|five) (?:second|minute|hour|day|week|month|year)s? ago\b"


EXAMINED = 2_000  # characters; a longer caption is judged by its beginning
FEWEST_IN_A_RUN = 7  # words; fewer are not a run of keywords, however often one is repeated
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
    r"(?:(?:photo(?:graph)?|picture)(?: was)? taken|(?:date )?(?:photographed|taken|captured|shot)"
    r"|pictured|snapped|recorded|uploaded|posted|published|submitted|added|created"
    r"|(?:last )?updated|seen|date)"
)
NAME = r"(?-i:(?: [A-Z][\w.'\u2019-]*){1,4})"
PICTURE = r"(?:image|photo|photograph|picture|pic)"
AGENCY = (
    r"(?:reuters|getty ?images|afp|shutterstock|alamy|istock(?: ?photo)?|stock ?photo|dreamstime"
    r"|123rf|deposit ?photos|adobe ?stock|flickr|unsplash|pixabay|pexels|wikimedia(?: commons)?)"
)
STOCK = r"(?:vector|photo|photography|image|picture|illustration|graphic|clip ?art|footage)s?"
CAMERA = (
    r"(?:(?:mv)?img|_mg|imgp|imag|dsc[nf]?|pict?|p(?=\d{6})|gopr|dji|sam|cimg|pxl|vid|scan|slide|file"
    r"|image|photo|picture|unnamed|download|screen ?shot)"
)
ENLARGE = r"(?:enlarge|zoom|view|see|open|expand|download|show|read|larger?|full|more|details)"
PHRASES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?:(?:this|the) )?{PICTURE} (?:was )?(?={VERB}\b)",
        rf"\b{VERB}:?(?: (?:by|with|using)(?: [^ ]+){{1,3}}?)?,?(?: (?:on|in|at))?"
        rf" ?(?:{DATE}|{AGO}|yesterday|last (?:night|week|month|year))",
        rf"(?<![^\W_]){DATE}",
        rf"\b(?:at )?{CLOCK}\b",
        rf"(?<![^\W_]){CAMERA}[ _-]*(?:\d{{2,}}[\w-]*|\(\d+\))",
        rf"\b{PICTURE} \d+(?: ?(?:of|/) ?\d+)?\b",
        r"\b\d{2,5} ?[x\xd7] ?\d{2,5}(?: ?(?:px|pixels))?\b|\b\d{3,4}p\b",
        rf"\b(?:(?:taken|shot|captured) with(?: an?| my)?|camera:){NAME}",
        r"\biso:? ?\d{2,}\b|\bf/\d+(?:\.\d)?\b|\b1/\d{2,4} ?s(?:ec)?\b",
        r"\b\d(?:\.\d)? (?:stars? )?out of \d+\b",
        r"\b(?:back to top|skip to (?:main )?content|lorem ipsum dolor sit amet)\b",
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
        rf"(?<![^\W_]){AGENCY}(?![^\W_])(?:[ _#-]*\d+)?",
        rf"\b{PICTURE}s?:{NAME} ?/{NAME.replace(' ', ' ?', 1)}",
        rf"\b(?:{PICTURE}s?|photographed|captured|shot)"
        rf"(?: (?:by|credits?|courtesy(?: of)?|via|source):?){{1,3}}"
        rf"(?:{NAME})?(?: (?:on|via) {AGENCY})?",
        rf"(?:©|\(c\)|\b(?:{PICTURE} )?copyright\b:?)(?: by)?(?: ?\d{{4}})?,?(?:{NAME})?",
        r"\ball rights reserved\b",
        r"\b(?:add to (?:cart|basket|wishlist)|read more|learn more|sign up for our newsletter)\b",
        r"\b(?:share on (?:facebook|twitter|pinterest)|follow us on \w+)\b",
        r"\b(?:untitled|thumbnail|placeholder)\b",
    )
)
PAGE_VOCABULARY = """
a ad added admin advertisement album all alt an and are at attached attachment author automatic
available avatar banner browser buy by call caption captured channel click clip clipart close
coming comment comments contact content copy copyright cover created credit date default
description does download edited email enable enabled enlarge enter error facebook featured figure
file final follow footer for found free full gallery go hd header here hero homepage hover
illustration image images img in information insert instagram is it item javascript large larger
last leave less link linkedin loading longer main me media missing more my n na new newsletter
next no none not now null of off on open or our out page pdf permalink photo photographed
photography photos pic pics picture pictures pinterest placeholder please post posted premium
preview previous product profile protected published quick rated re read reader related reply
reserved review reviews rights royalty sample scan screen screenshot see share shot show size skip
slide slideshow sold soon sorry source stock submit submitted subscribe support supported tag
taken tap text the this thumbnail to today tweet twitter unavailable undefined unknown unnamed
untitled updated upload uploaded us user vector version video view views visit was we website
whatsapp with you your youtube zoom
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


def is_reference(word: str) -> bool:
    """Return whether a word is an address, a tag, a file name or an identifier."""
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
    return sum(c.isalnum() for c in text)
