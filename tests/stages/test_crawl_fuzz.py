"""Broken files of every format get a reason: no crash, no hang, no row without an outcome."""

import io
import random
import time

import pytest

from schemas.settings import CrawlSettings
from stages import pictures
from stages.crawl.reasons import OWN, reason_of
from tests.stages import formats

pytestmark = pytest.mark.filterwarnings("ignore")  # decoders have much to say of such files
FILES = formats.in_colour() | formats.in_grey()
REASONS = {"not_an_image", "truncated", "too_large"}
SLOWEST_SECONDS = 10


@pytest.fixture(scope="module")
def shrink():
    from stages.crawl.fetch import Shrink

    return Shrink(CrawlSettings(side=64, max_pixels=2**22))


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Do a few small wrongs to a file: bits, bytes, runs, cuts, doubled and swapped pieces."""
    file = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(file)) if rng.random() < 0.6 else rng.randrange(min(64, len(file)))
        run = rng.randrange(1, 33)
        match rng.randrange(8):
            case 0:
                file[at] ^= 1 << rng.randrange(8)
            case 1:
                file[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 2:
                file[at : at + run] = rng.randbytes(run)
            case 3:
                file[at : at + run] = b"\xff" * run
            case 4:
                del file[at : at + run]
            case 5:
                file[at:at] = file[at : at + run]
            case 6:
                del file[max(at, 1) :]
            case 7:
                other = rng.randrange(len(file))
                file[at : at + run], file[other : other + run] = (
                    file[other : other + run],
                    file[at : at + run],
                )
        if not file:
            break
    return bytes(file)


def check(shrink, form, count):
    """Shrink so many mutations of a file; return how many were refused."""
    refused = 0
    for seed in range(count):
        data = mutated(FILES[form], random.Random(f"{form} {seed}"))
        started = time.process_time()
        image, width, height, original_width, original_height, error = shrink(io.BytesIO(data))
        assert time.process_time() - started < SLOWEST_SECONDS, seed
        if error is not None:
            assert image is None
            assert reason_of(error) in REASONS, (seed, error)
            assert " at 0x" not in error
            refused += 1
            continue
        assert original_width * original_height <= 2**22
        assert pictures.decode(image).shape == (height, width, 3), seed
    return refused


@pytest.mark.parametrize("form", FILES)
def test_a_few_mutations_have_an_outcome(shrink, form):
    assert 0 < check(shrink, form, 200) <= 200


@pytest.mark.soak
@pytest.mark.parametrize("form", FILES)
def test_ten_thousand_mutations_have_an_outcome(shrink, form):
    check(shrink, form, 10_000)


def test_all_reasons_are_known():
    assert set(OWN) >= REASONS
