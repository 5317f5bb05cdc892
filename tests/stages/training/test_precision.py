import torch

from stages.training.precision import BF16_UNITS, product_type

CPU = torch.device("cpu")


def test_what_is_asked_for_is_done():
    for precision in ("float32", "bfloat16", "float16"):
        assert str(product_type(precision, CPU)) == f"torch.{precision}"


def test_auto_uses_bfloat16_only_where_the_processor_has_a_unit_for_it(monkeypatch):
    for unit in BF16_UNITS:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda unit=unit: {unit: True})
        assert product_type("auto", CPU) is torch.bfloat16
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False, "avx2": True})
    assert product_type("auto", CPU) is torch.float32
