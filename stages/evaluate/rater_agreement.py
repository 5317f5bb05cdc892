"""How far raters agree with each other: Krippendorff's alpha, and the plain share.

K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), for nominal data. Raters may
be many or few, and votes may be missing.
"""

import numpy as np
from jaxtyping import Int

Counts = Int[np.ndarray, "units categories"]  # votes for each category, of one unit a row


def krippendorff_alpha(counts: Counts) -> float | None:
    """Return 1 where raters always agree, 0 where they agree as often as by chance.

    Units with fewer than two votes say nothing of agreement and are left out. None if no unit is
    left, or if all votes are for one category, so that nobody could have disagreed.
    """
    counts = counts[counts.sum(axis=1) > 1]
    votes, of_each = counts.sum(axis=1), counts.sum(axis=0)
    total = int(votes.sum())
    unlike_by_chance = total**2 - int(np.square(of_each).sum())
    if not unlike_by_chance:
        return None
    unlike = (np.square(votes) - np.square(counts).sum(axis=1)) / (votes - 1)
    return 1 - float(unlike.sum()) * (total - 1) / unlike_by_chance


def agreeing_share(counts: Counts) -> float | None:
    """Return the share of pairs of votes on one unit that are alike; None if there is no pair."""
    votes = counts.sum(axis=1)
    pairs = int((votes * (votes - 1)).sum())
    return int((counts * (counts - 1)).sum()) / pairs if pairs else None
