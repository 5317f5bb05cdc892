"""The bench for a GPU, at a size for which there need be none."""

from tests.bench import dvae_gpu

SMALL = "--device cpu --width 4 --blocks 1 --codes 16 --side 16 --tile 4 --updates 1 --matrix 64"


def test_it_measures_all_it_is_asked_for_and_leaves_it_in_a_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OUT", str(tmp_path))
    dvae_gpu.main([*SMALL.split(), "--rows", "2", "3", "--modes", "eager", "recompute"])
    table = capsys.readouterr().out
    assert (tmp_path / "dvae_gpu.txt").read_text() == table
    lines = [line.split() for line in table.splitlines()]
    kinds = [line[0] for line in lines]
    assert kinds[3:7] == ["eager", "recompute"] * 2
    assert kinds[8:] == ["float32", "TF32", "bfloat16"]
    eager, recomputed = lines[3], lines[4]
    assert eager[-1] == recomputed[-1]  # the same gradient, otherwise come by
    assert lines[8][-1] == "100.00%"
    assert all(float(line[2]) > 0 for line in [*lines[3:7], *lines[8:]])
