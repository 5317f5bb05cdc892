"""The bench for a GPU, at a size for which there need be none."""

import pytest

from schemas.settings import PriorShape, TokenSpec
from tests.bench import drawing_gpu
from tests.bench.drawing_floor import Machine, step_of

SMALL = (
    "--device cpu --layers 2 --heads 2 --head-dim 8 --text 8 --grid 4 --text-vocab 16 "
    "--image-vocab 16 --updates 1 --copied 1 --candidates 1 16 --tiles 1 16"
)


def test_it_draws_by_every_tile(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OUT", str(tmp_path))
    drawing_gpu.main(SMALL.split())
    table = capsys.readouterr().out
    assert (tmp_path / "drawing_gpu.txt").read_text() == table
    lines = table.splitlines()
    assert sum(line.startswith("floor") for line in lines) == 2
    times = [line.split()[:2] for line in lines if "times" in line]
    assert times == [["1", "1"], ["16", "16"]]


def test_the_floor_is_counted_by_hand():
    """One layer, a window of one code: each code sees itself and the three slots of text."""
    tokens = TokenSpec(text_vocab=5, text_len=2, image_vocab=7, grid=2)
    step = step_of(tokens, PriorShape(layers=1, heads=1, head_dim=8, conv_kernel=1), 10, 2)
    block = 12 * 8 * 8 + 9 * 8 + 4 * 8  # matrices, biases, two norms
    assert step.weights == 2 * block + 4 * 7 * 8
    assert step.prompt == 2 * 3 * 8 * 2
    assert step.codes == 2 * 1 * 8 * 2 * 10
    assert step.flops == 10 * (2 * (block + 7 * 8) + 4 * 8 * 4)
    assert step.seconds(Machine(1.0, 1e9)) == step.weights + step.prompt + step.codes
    assert step.seconds(Machine(1e9, 1.0)) == pytest.approx(step.flops)
