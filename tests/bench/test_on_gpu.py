"""The benches for a GPU, at sizes for which there need be none."""

import pytest

from schemas.settings import PriorShape, TokenSpec
from tests.bench import drawing_gpu, dvae_gpu, prior_gpu
from tests.bench.drawing_floor import Machine, step_of

PRIOR = (
    "--device cpu --layers 2 --heads 2 --head-dim 8 --text 8 --grid 4 --text-vocab 16 "
    "--image-vocab 16 --updates 1"
)
DVAE = "--device cpu --width 4 --blocks 1 --codes 16 --side 16 --tile 4 --updates 1 --matrix 64"


@pytest.fixture
def lines(tmp_path, monkeypatch, capsys):
    """Run a bench; return the lines that it prints and leaves in a folder."""
    monkeypatch.setenv("OUT", str(tmp_path))

    def lines(bench, arguments):
        bench.main(arguments.split())
        table = capsys.readouterr().out
        assert (tmp_path / f"{bench.__name__.rpartition('.')[2]}.txt").read_text() == table
        return table.splitlines()

    return lines


def test_the_dvae_is_measured_in_all_that_is_asked_for(lines):
    found = lines(dvae_gpu, f"{DVAE} --rows 2 3 --modes eager recompute")
    cells = [line.split() for line in found]
    kinds = [line[0] for line in cells]
    assert kinds[3:7] == ["eager", "recompute"] * 2
    assert kinds[8:] == ["float32", "TF32", "bfloat16"]
    eager, recomputed = cells[3], cells[4]
    assert eager[-1] == recomputed[-1]  # the same gradient, otherwise come by
    assert cells[8][-1] == "100.00%"
    assert all(float(line[2]) > 0 for line in [*cells[3:7], *cells[8:]])


def test_the_priors_kernels_are_checked_and_both_models_timed(lines):
    found = lines(prior_gpu, f"{PRIOR} --rows 2 --modes eager")
    for line in found[1:4]:
        assert float(line.split("error ")[1].split()[0]) < 1e-5
    times = [line for line in found if line.startswith(("eager", "llama"))]
    assert len(times) == 2
    assert all("%" in line for line in times)


def test_it_draws_by_every_tile(lines):
    found = lines(drawing_gpu, f"{PRIOR} --copied 1 --candidates 1 16 --tiles 1 16")
    assert sum(line.startswith("floor") for line in found) == 2
    times = [line.split()[:2] for line in found if "times" in line]
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
