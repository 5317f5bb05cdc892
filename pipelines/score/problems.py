"""What is wrong with pictures and captions that were handed in: each thing named and counted."""

from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict

EXAMPLES = 3  # that a sentence names

# What was found, and what is done about it.
SENTENCES: Mapping[str, str] = {
    "no_picture": "captions without a picture: {found}; left out",
    "no_caption": "pictures of no chosen caption: {found}; left out",
    "no_reference": "chosen captions whose own picture is not in the reference: {found}; all "
    "pictures that are there count",
    "unreadable": "files that cannot be read as pictures: {found}; left out",
    "doubled_caption": "captions with the words of an earlier one: {found}; all count",
    "repeated_caption": "captions with the words of an earlier one: {found}; the first counts",
    "doubled_name": "rows that name the picture of an earlier row: {found}; the first counts",
    "doubled_picture": "pictures with the name of another one: {found}; the first counts",
    "empty_caption": "empty captions: {found}; left out",
    "unlisted_picture": "captions of pictures that the file does not list: {found}; left out",
    "captionless": "listed pictures without a caption: {found}; left out",
    "few_candidates": "captions with fewer candidates than asked for: {found}; the best of those "
    "that are there counts",
    "no_score": "candidates without a score: {found}; they cannot be chosen",
    "foreign_overlap": "names of the overlap list that are not in the reference: {found}; they "
    "change nothing",
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
        found = f"{self.count:,} ({', '.join(self.examples)}{more})"
        return SENTENCES[self.kind].format(found=found)

    @property
    def is_loss(self) -> bool:
        return self.kind in LOSSES


def problem(kind: str, names: Iterable[str]) -> list[Problem]:
    """Return the problem that these names have; none if there are no names."""
    found = list(names)
    return [Problem(kind=kind, count=len(found), examples=tuple(found[:EXAMPLES]))] if found else []
