"""Whether two values of a metric compare: only if they were made alike."""

from typing import NamedTuple

from schemas.errors import UserError
from schemas.metric_value import FeatureNetwork, ReferenceSet, Reported, Resize

__all__ = ["FeatureNetwork", "ReferenceSet", "Reported", "Resize", "comparable", "difference"]


def comparable(a: Reported, b: Reported) -> tuple[str, ...]:
    """Return why two values must not be compared: what they were made with, where it differs.

    Empty if they may be. Seeds are free to differ, and counts where the value does not depend on
    them. A network or a reference is the same if its content is, whatever it is called.
    """
    with_count = a.depends_on_count or b.depends_on_count
    ours, theirs = _made_with(a, with_count=with_count), _made_with(b, with_count=with_count)
    nothing = _Part(None, "none")
    pairs = {
        what: (ours.get(what, nothing), theirs.get(what, nothing))
        for what in dict.fromkeys([*ours, *theirs])
    }
    return tuple(
        f"{what}: {one.words} and {other.words}"
        for what, (one, other) in pairs.items()
        if one.identity != other.identity
    )


def difference(a: Reported, b: Reported) -> float:
    """Return a - b. Raises UserError with the reasons if the two were made differently."""
    if reasons := comparable(a, b):
        raise UserError(
            f"two values of {a.metric} compare only if they were made alike; they differ in "
            f"{'; '.join(reasons)}: measure both with one command"
        )
    return a.value - b.value


class _Part(NamedTuple):
    """One thing that a value was made with: what tells it apart, and how it is written."""

    identity: object
    words: str


def _made_with(one: Reported, *, with_count: bool) -> dict[str, _Part]:
    resize = one.resize
    how = f"{resize.method} to {resize.side}, {'with' if resize.antialias else 'no'} antialias"
    found = {
        "metric": _Part(one.metric, one.metric),
        "feature network": _by_content(one.network),
        "resize": _Part(resize, how),
        **{name: _Part(value, str(value)) for name, value in one.parameters.items()},
    }
    if one.reference is not None:
        found["reference"] = _by_content(one.reference)
    if with_count:
        found["drawn pictures"] = _Part(one.count, f"{one.count:,}")
    return found


def _by_content(thing: FeatureNetwork | ReferenceSet) -> _Part:
    return _Part(thing.sha256, f"{thing.name} ({thing.sha256[:12]})")
