"""kill -9 of encode's driver, a worker, a Ray node: the shards end the same to the byte."""

import numpy as np
import pytest

from infra.store import open_folder
from schemas.settings import TokenSpec
from stages import encode
from tests.stages.finished import contents
from tests.stages.killing import (
    InTheMiddle,
    Moment,
    kill_the_driver,
    one_worker,
    run_and_lose_a_node,
)
from tests.stages.test_encode import artifacts, clean_pair, job

pytestmark = [pytest.mark.ray, pytest.mark.slow]

TOKENS = TokenSpec(text_vocab=300, text_len=24, image_vocab=32, grid=8)
SHARDS, ROWS = 18, 8
CFG = job(tokens=TOKENS, tile=8, run={"workers": 2, "decoders": 1})


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    pairs = {
        f"{split}/shard-{n:05d}.parquet": [clean_pair(n * ROWS + i, 64) for i in range(ROWS)]
        for split, numbers in (("train", range(16)), ("val", range(16, SHARDS)))
        for n in numbers
    }
    return artifacts(tmp_path_factory.mktemp("in"), TOKENS, pairs, width=16)


@pytest.fixture(scope="module")
def whole(ray_cluster, inputs, tmp_path_factory):
    """Return the result and the files of an undisturbed run."""
    out = open_folder(tmp_path_factory.mktemp("whole"))
    return encode.run(inputs, out, CFG), contents(out)


def killed_driver(inputs, out, moment):
    before = kill_the_driver(encode, inputs, out.url, CFG, moment)
    result = encode.run(inputs, out, CFG)
    assert len(before) >= moment.done
    for name, at in before.items():  # what was done was not done again
        assert (out.path / name).stat().st_mtime_ns == at
    return result, before


def killed_worker(inputs, out, moment):
    with InTheMiddle(out, one_worker, moment) as kill:
        result = encode.run(inputs, out, CFG)
    return result, kill.dead


def killed_node(inputs, out, moment):
    result, dead, _ = run_and_lose_a_node(encode, inputs, out.url, CFG, moment)
    return result, dead


@pytest.mark.parametrize("lose", [killed_driver, killed_worker, killed_node])
def test_the_shards_are_the_same_to_the_byte(inputs, whole, tmp_path, lose):
    out = open_folder(tmp_path / "out")
    result, dead = lose(inputs, out, Moment())
    assert any("_Actor" in title for title in dead) or lose is killed_driver
    assert (result, contents(out)) == whole


@pytest.mark.soak
def test_twenty_kills_at_random_moments(inputs, whole, tmp_path):
    draw = np.random.default_rng(0)
    struck = 0
    for number in range(20):
        lose = (killed_driver, killed_worker, killed_node)[number % 3]
        moment = Moment(int(draw.integers(0, SHARDS - 1)), float(draw.uniform(0, 0.5)))
        out = open_folder(tmp_path / str(number))
        result, dead = lose(inputs, out, moment)
        struck += bool(dead)
        assert (result, contents(out)) == whole, (lose, moment)
    assert struck >= 10  # the others came when all was done
