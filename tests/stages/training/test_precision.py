import torch

from stages.training.precision import UNITS, in_bfloat16

CPU = torch.device("cpu")


def test_what_is_asked_for_is_done():
    assert in_bfloat16("bfloat16", CPU)
    assert not in_bfloat16("float32", CPU)


def test_auto_uses_bfloat16_only_where_the_processor_has_a_unit_for_it(monkeypatch):
    for unit in UNITS:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda unit=unit: {unit: True})
        assert in_bfloat16("auto", CPU)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False, "avx2": True})
    assert not in_bfloat16("auto", CPU)
