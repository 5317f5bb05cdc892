"""Answers with holes, other bytes and other words in them: each is a picture or has a reason."""

import random
import urllib.request

import pytest

from stages.crawl.reasons import Refused, reason_of
from tests.stages.answers import answering, web_opener
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


def why_not(own, url):
    """Fetch and let go; return why that cannot be done, if it cannot."""
    try:
        body = own.open(urllib.request.Request(url), None, 10.0).read()
    except Refused as error:
        return str(error)
    own.budget.give_back(len(body))
    return None


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_answer_is_a_picture_or_has_a_reason(seed):
    rng = random.Random(seed)
    whole = [*KEPT.values(), *(sent for sent, _ in REFUSED.values())]
    with answering() as server:
        own = web_opener(server.place)
        for _ in range(150):
            url = server.url(damaged(rng.choice(whole), rng), path="/x")
            said = why_not(own, url)
            assert said is None or reason_of(said) == said.partition(":")[0]
            assert said is None or (said.isprintable() and len(said) < 450)
            assert own.budget.held == 0
