"""The bench for a GPU, at a size for which there need be none."""

from tests.bench import prior_gpu

SMALL = (
    "--device cpu --layers 2 --heads 2 --head-dim 8 --text 8 --grid 4 --text-vocab 16 "
    "--image-vocab 16 --updates 1 --rows 2 --modes eager"
)


def test_it_checks_the_kernels_and_times_both_models(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OUT", str(tmp_path))
    prior_gpu.main(SMALL.split())
    table = capsys.readouterr().out
    assert (tmp_path / "prior_gpu.txt").read_text() == table
    lines = table.splitlines()
    for line in lines[1:4]:
        assert float(line.split("error ")[1].split()[0]) < 1e-5
    times = [line for line in lines if line.startswith(("eager", "llama"))]
    assert len(times) == 2
    assert all("%" in line for line in times)
