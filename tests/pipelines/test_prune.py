from infra.store import Store
from pipelines.planner import Selection, plan
from pipelines.prune import main, unused
from tests.pipelines.test_runner import A, Kitchen


def nobody(prompt):
    raise EOFError


def test_what_the_newest_run_does_not_use_is_listed_and_deleted_when_told(
    tmp_path, capsys, monkeypatch
):
    kitchen = Kitchen(tmp_path)
    kitchen.run()
    monkeypatch.setattr("pipelines.prune.NAMES", ["a", "b", "c"])
    old = [step.address for step in plan(kitchen.stages(), kitchen.store, Selection())]
    Kitchen(tmp_path, two="II").run()
    assert [address for address, _, _ in unused(Store(str(tmp_path)))] == old[1:]
    for answer in (lambda prompt: "n", lambda prompt: "", lambda prompt: "ya", nobody):
        monkeypatch.setattr("builtins.input", answer)
        assert main([str(tmp_path)]) == 0
        assert "nothing was deleted" in (said := capsys.readouterr().out)
    assert "--yes deletes without asking" in said
    assert [address for address, _, _ in unused(Store(str(tmp_path)))] == old[1:]
    assert main([str(tmp_path), "--yes"]) == 0
    assert list(unused(Store(str(tmp_path)))) == []
    assert not (tmp_path / old[1]).exists()
    assert kitchen.store.newest(A).exists("text")


def test_a_root_without_a_run_is_one_sentence(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "found no summary.json there" in capsys.readouterr().err
