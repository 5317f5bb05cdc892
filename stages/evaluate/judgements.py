"""What the judge saw in the pictures of each prompt, which it had no part in choosing."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from stages import shapes
from stages.evaluate.intervals import Names
from stages.evaluate.reading import DrawnPrompt
from stages.pictures import decode


@dataclass(frozen=True)
class Judgement:
    """The shapes that the judge found in the pictures of one prompt."""

    prompt: str
    set: str
    single: shapes.Seen
    best_of: Mapping[int, shapes.Seen]  # by the number of candidates to choose from
    clip_scores: Mapping[int, float]  # of those favourites
    found: Mapping[int, shapes.Seen]  # by candidate, of every picture that was looked at

    @cached_property
    def _wanted(self) -> Counter[shapes.ShapeKind]:
        return Counter(shapes.named(self.prompt))

    @cached_property
    def atoms(self) -> tuple[shapes.Atom, ...]:
        """Return everything that the prompt says."""
        return shapes.atoms(self.prompt)

    @property
    def names(self) -> Names:
        """Return the combinations of colour and shape that the prompt names."""
        return frozenset(self._wanted)

    @property
    def favourite(self) -> shapes.Seen:
        """Return what the favourite of all shows."""
        return self.best_of[max(self.best_of)]

    def right(self, seen: shapes.Seen) -> bool:
        """Say whether a picture with these shapes shows every colour and shape that is named."""
        return self._wanted <= Counter(one.kind for one in seen)

    def wrong(self, seen: shapes.Seen) -> list[shapes.Aspect]:
        """Return in which aspects a picture with these shapes is not as the prompt says."""
        failed = {atom.aspect for atom in self.atoms if not atom.holds(seen)}
        return [aspect for aspect in shapes.ASPECTS if aspect in failed]

    def whole(self, seen: shapes.Seen) -> bool:
        """Say whether a picture with these shapes shows everything that the prompt says."""
        return all(atom.holds(seen) for atom in self.atoms)


def halvings(candidates: int) -> list[int]:
    """Return 1, 2, 4, ... up to all candidates: the counts at which reranking is measured."""
    return sorted({candidates} | {2**i for i in range(candidates.bit_length())})


def judged(prompt: DrawnPrompt, shown: int) -> Judgement | None:
    """Judge the first picture, the favourites of every count, and the `shown` best.

    None when the prompt names no shape of the world, so that there is nothing to be right about.
    """
    if not shapes.named(prompt.text):
        return None
    best_of = {count: prompt.best_of(count) for count in halvings(len(prompt.ranked))}
    wanted = [prompt.first, *best_of.values(), *prompt.ranked[:shown]]
    found = {
        number: shapes.find_shapes(decode(png))
        for number, png in {d.candidate: d.png for d in wanted}.items()
        if png is not None
    }
    return Judgement(
        prompt=prompt.text,
        set=prompt.set,
        single=found[prompt.first.candidate],
        best_of={count: found[drawn.candidate] for count, drawn in best_of.items()},
        clip_scores={count: drawn.clip_score for count, drawn in best_of.items()},
        found=found,
    )
