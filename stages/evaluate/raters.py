"""What raters chose between two pictures: counts, majorities, and how far each rater stands apart.

Paper: section 3.1 and appendix F, five votes a pair and their majority. An answer is FIRST or
SECOND, a picture of the pair, or NEITHER; a vote that was not given is MISSING.
"""

import numpy as np
from jaxtyping import Int

FIRST, SECOND, NEITHER, MISSING = 0, 1, 2, -1
ANSWERS = 3
TIE = -1  # no answer has more votes than each other one

Choices = Int[np.ndarray, "raters pairs"]
Counts = Int[np.ndarray, "pairs answers"]


def vote_counts(choices: Choices) -> Counts:
    """Count the votes of each pair for each of the three answers."""
    return np.stack([(choices == answer).sum(axis=0) for answer in range(ANSWERS)], axis=1)


def majorities(counts: Counts) -> Int[np.ndarray, " pairs"]:
    """Return the answer of each pair with more votes than any other one, else TIE."""
    most = counts.max(axis=1, initial=0)
    alone = (counts == most[:, None]).sum(axis=1) == 1
    return np.where(alone, counts.argmax(axis=1), TIE)


def disagreements(choices: Choices) -> Int[np.ndarray, "raters 2"]:
    """Return how often each rater differs from the majority of the others, and of how many votes.

    Votes on a pair where the others have no majority do not count.
    """
    counts = vote_counts(choices)
    found = []
    for own in choices:
        others = majorities(counts - vote_counts(own[None]))
        compared = (own != MISSING) & (others != TIE)
        found.append([(own != others)[compared].sum(), compared.sum()])
    return np.array(found, dtype=np.int64).reshape(-1, 2)
