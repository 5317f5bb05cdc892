"""Count the files of a source that are read and passed over, for one line in the log."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from stages.crawl.sources.listed import Row

LOG = logging.getLogger(__name__)
SHOWN = 3  # names of one kind that are passed over
SECOND = "captions of pictures that have a better one"  # a reason, of folders and of tars


@dataclass
class Survey:
    """Counts of files: those that are read, and the others by the reason why they are not."""

    what: str  # is read: "pictures", "url lists", "tars"
    found: int = 0
    passed: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    noted: Counter[str] = field(default_factory=Counter)  # read, but mentioned in the log

    def pass_over(self, why: str, name: str) -> None:
        """Count a file that is not read; `why` names its kind, such as "hidden files"."""
        self.passed[why] += 1
        self._show(why, name)

    def note(self, why: str, name: str) -> None:
        """Count a file that is read, but of which there is something to say."""
        self.noted[why] += 1
        self._show(why, name)

    def _show(self, why: str, name: str) -> None:
        shown = self.examples.setdefault(why, [])
        if len(shown) < SHOWN:
            shown.append(name)

    def unless_empty(self, rows: Iterable[Row], why: str, name: str) -> Iterator[Row]:
        """Yield the rows of a file that was found; one without any is passed over after all."""
        is_empty = True
        for row in rows:
            is_empty = False
            yield row
        if is_empty:
            self.take_back(why, name)

    def take_back(self, why: str, name: str) -> None:
        """Pass a file over that was found."""
        self.found -= 1
        self.pass_over(why, name)

    def add(self, other: "Survey") -> None:
        self.what, self.found = other.what, self.found + other.found
        self.passed += other.passed
        for why, names in other.examples.items():
            for name in names:
                self._show(why, name)

    def sentence(self, where: str) -> str:
        """Return `found N pictures in WHERE, passed over M: ...` for people."""
        found = f"found {self.found:,} {self.what} in {where}"
        if self.noted:
            found += f", of them {self._kinds(self.noted)}"
        if not self.passed:
            return found
        return f"{found}, passed over {self.passed.total():,}: {self._kinds(self.passed)}"

    def _kinds(self, counts: Counter[str]) -> str:
        return "; ".join(
            f"{count:,} {why} ({', '.join(self.examples[why])}{', ...' * (count > SHOWN)})"
            for why, count in sorted(counts.items())
        )

    def counts(self) -> dict[str, Any]:
        """Return the numbers, without names, for a manifest."""
        return {"found": self.found, "passed_over": dict(sorted(self.passed.items()))}
