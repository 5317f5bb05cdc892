"""What is wrong with pictures and captions that were handed in: each thing named and counted."""

from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict

EXAMPLES = 3  # that a sentence names

# What was found, how many, and what is done about it.
SENTENCES: Mapping[str, str] = {
    "no_picture": "{count} captions have no picture ({examples}); they are left out",
    "no_caption": "{count} pictures belong to no chosen caption ({examples}); they are left out",
    "no_reference": "{count} chosen captions have their own picture not in the reference "
    "({examples}); all pictures that are there count",
    "unreadable": "{count} files cannot be read as pictures ({examples}); they are left out",
    "doubled_caption": "{count} captions have the words of an earlier one ({examples}); all count",
    "repeated_caption": "{count} captions have the words of an earlier one ({examples}); the first "
    "of each counts",
    "doubled_name": "{count} rows name the picture of an earlier row ({examples}); the first "
    "one counts",
    "doubled_picture": "{count} pictures have the name of another one ({examples}); the first "
    "counts",
    "empty_caption": "{count} captions are empty ({examples}); they are left out",
    "unlisted_picture": "{count} captions are of pictures that the file does not list "
    "({examples}); they are left out",
    "captionless": "{count} pictures are listed without a caption ({examples}); they are left out",
    "few_candidates": "{count} captions have fewer candidates than asked for ({examples}); the "
    "best of those that are there counts",
    "no_score": "{count} candidates have no score ({examples}); they cannot be chosen",
    "foreign_overlap": "{count} names of the overlap list are not in the reference ({examples}); "
    "they change nothing",
}
# Of these, something is missing from the measurement that should be in it.
LOSSES = ("no_picture", "unreadable", "empty_caption", "unlisted_picture", "few_candidates",
          "no_score")  # fmt: skip


class Problem(BaseModel):
    """One kind of problem, with how often it was met and its first few names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    count: int
    examples: tuple[str, ...]

    @property
    def sentence(self) -> str:
        more = ", ..." if self.count > len(self.examples) else ""
        named = ", ".join(self.examples) + more
        return SENTENCES[self.kind].format(count=f"{self.count:,}", examples=named)

    @property
    def is_loss(self) -> bool:
        return self.kind in LOSSES


def problem(kind: str, names: Iterable[str]) -> list[Problem]:
    """Return the problem that these names have; none if there are no names."""
    found = list(names)
    return [Problem(kind=kind, count=len(found), examples=tuple(found[:EXAMPLES]))] if found else []
