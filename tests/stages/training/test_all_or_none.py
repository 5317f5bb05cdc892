"""What one worker cannot do, all hear of."""

import itertools

import pytest

from schemas.errors import SchemaMismatch, UserError
from stages.training.distributed import FailedElsewhere
from tests.stages.training.toy import ALONE
from tests.stages.training.workers import each


class Full(OSError):
    pass


FAILURES = {
    "storage": (Full("no space"), ("UserError", "wanted to write, found: no space")),
    "a sentence": (SchemaMismatch("wanted this"), ("SchemaMismatch", "wanted this")),
    "a fault of ours": (KeyError("x"), ("KeyError", "'x'")),
}


MOMENTS = ("before", "between", "after")  # the others meet twice


def fail(context, root):
    """Fail on rank 1 at each of the moments, in each of the ways."""
    for when, (kind, (error, _)) in itertools.product(MOMENTS, FAILURES.items()):
        said = "nothing", ""
        try:
            with context.all_or_none("to write"):
                for moment in MOMENTS:
                    if context.rank == 1 and moment == when:
                        raise error
                    if moment != "after":
                        assert context.all_gather(context.rank) == [0, 1, 2]
        except (UserError, FailedElsewhere, KeyError) as found:
            said = type(found).__name__, str(found)
        (root / f"{when} {kind} {context.rank}").write_text("\n".join(said))
    with context.all_or_none("to go on"):
        (root / f"went on {context.rank}").write_text(str(context.all_gather(context.rank)))


def test_all_workers_end_with_the_sentence_of_the_one_that_failed(tmp_path):
    each(3, fail, tmp_path)
    for when, (kind, (_, (own, sentence))) in itertools.product(MOMENTS, FAILURES.items()):
        said = [(tmp_path / f"{when} {kind} {n}").read_text().split("\n") for n in range(3)]
        others = "FailedElsewhere" if kind == "a fault of ours" else "UserError"
        assert [name for name, _ in said] == [others, own, others]
        assert {words for _, words in said} == {sentence}
    assert [(tmp_path / f"went on {n}").read_text() for n in range(3)] == ["[0, 1, 2]"] * 3


def test_one_worker_alone_raises_what_it_found():
    found = "wanted to write, found: no space"
    with pytest.raises(UserError, match=found), ALONE.all_or_none("to write"):
        raise Full("no space")
    with pytest.raises(KeyError), ALONE.all_or_none("to write"):
        raise KeyError("x")
