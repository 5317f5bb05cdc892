"""Captions with the answers of a person, and how often a filter agrees.

`captions.jsonl` holds web captions written and labelled by hand: `english` (null where there is no
language to speak of: a file name, a date), `boilerplate` (most of it says nothing of the picture)
and the `kind` it was written as. Half of it, by a hash, is for tuning; only the `held` half is
reported. Tux Paint's stamps, where installed, carry one caption in dozens of languages; they are
read where they lie, for their licence is not ours. `short_captions.txt` holds captions of one to
four words in English and 14 other languages, also written by hand.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from stages.measure.boilerplate import boilerplate_share

STAMPS = Path("/usr/share/tuxpaint/stamps")  # Debian's tuxpaint-stamps-default


@dataclass(frozen=True)
class Labelled:
    """One caption and what a careful person says of it."""

    caption: str
    kind: str  # for stamps, the language
    english: bool | None
    boilerplate: bool

    @property
    def held(self) -> bool:
        """Say whether it is in the half that nothing was tuned on."""
        return hashlib.sha256(self.caption.encode()).digest()[0] % 2 == 1


@dataclass
class Agreement:
    """Counts of a yes-or-no filter against labels; the caption of every disagreement is kept."""

    right_yes: int = 0
    right_no: int = 0
    wrong_yes: list[Labelled] = field(default_factory=list)
    wrong_no: list[Labelled] = field(default_factory=list)

    @property
    def precision(self) -> float:
        """Share of what the filter says yes to that a person does too."""
        return self.right_yes / (self.right_yes + len(self.wrong_yes))

    @property
    def recall(self) -> float:
        """Share of what a person says yes to that the filter does too."""
        return self.right_yes / (self.right_yes + len(self.wrong_no))


def captions() -> list[Labelled]:
    """Return the set labelled by hand, both halves."""
    lines = Path(__file__).with_name("captions.jsonl").read_text().splitlines()
    return [Labelled(**json.loads(line)) for line in lines]


def short_captions() -> list[Labelled]:
    """Return the set of captions of one to four words."""
    lines = Path(__file__).with_name("short_captions.txt").read_text("utf-8").splitlines()
    named = [(code, said) for code, _, all_ in (line.partition(": ") for line in lines)
             for said in all_.split(", ")]  # fmt: skip
    return [Labelled(said, code, english=code == "en", boilerplate=False) for code, said in named]


def stamps(folder: Path = STAMPS) -> list[Labelled]:
    """Return each stamp's caption in every language it has; none where they are not installed."""
    found = {}
    for path in sorted(folder.rglob("*.txt")):
        english, *others = path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
        found.setdefault(english.strip(), "en")
        for line in others:
            code, _, caption = line.partition(".utf8=")
            if caption.strip():
                found.setdefault(caption.strip(), code)
    return [
        Labelled(caption, code, english=code.startswith("en"), boilerplate=False)
        for caption, code in found.items()
        if caption
    ]


def compare(
    rows: Iterable[Labelled],
    label: Callable[[Labelled], bool | None],
    says: Callable[[str], bool],
) -> Agreement:
    """Ask the filter about every caption that has a label."""
    found = Agreement()
    for row in rows:
        answer = says(row.caption)
        if label(row) is None:
            continue
        if answer == label(row):
            found.right_yes += answer
            found.right_no += not answer
        else:
            (found.wrong_yes if answer else found.wrong_no).append(row)
    return found


def is_boilerplate(caption):
    """Say whether most of the caption's letters and digits are boilerplate."""
    return boilerplate_share(caption) > 0.5
