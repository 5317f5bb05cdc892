"""Dates and times as captions write them: German, ISO, American, of cameras, in words.

Patterns are for text with single spaces, and nothing in them repeats without a bound, so that a
search takes a time in proportion to the text.
"""

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
