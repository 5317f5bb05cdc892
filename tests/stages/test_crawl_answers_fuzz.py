"""Answers with holes, other bytes and other words in them: each is a picture or has a reason."""

import random

import pytest

from stages.crawl.reasons import Refused, reason_of
from tests.stages.answers import fetch, opener
from tests.stages.test_crawl_answers import KEPT, REFUSED

WORDS = (
    b"gzip", b"chunked", b"\r\n", b"-1", b"9" * 20, b"\0", b"\xff", b": ", b"302",
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Encoding: deflate\r\n",
    b"HTTP/1.1 103 x\r\n\r\n", b"Location: /x\r\n",
)  # fmt: skip


def damaged(answer, rng):
    """Change an answer in one to four places, most of them in its head."""
    made = bytearray(answer)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(min(len(made), rng.choice((200, 10**9))) + 1)
        match rng.randrange(4):
            case 0:
                made[place:place] = rng.choice(WORDS)
            case 1:
                del made[place : place + rng.randint(1, 20)]
            case 2:
                made[place : place + 1] = rng.randbytes(1)
            case 3 if rng.random() < 0.3:
                del made[place:]
    return bytes(made)


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_answer_is_a_picture_or_has_a_reason(server, seed):
    rng, own = random.Random(seed), opener(server.place)
    whole = [*KEPT.values(), *(sent for sent, _ in REFUSED.values())]
    for _ in range(150):
        try:
            body = fetch(own, server.url(damaged(rng.choice(whole), rng), path="/x"))
        except Refused as error:
            said = str(error)
            assert reason_of(said) == said.partition(":")[0]
            assert said.isprintable()
            assert len(said) < 450
        else:
            own.budget.give_back(len(body))
        assert own.budget.held == 0
