"""In which type a run multiplies its matrices; weights are kept in float32 either way."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from schemas.settings import Precision

# What a processor says of itself (x86, ARM) if it multiplies bfloat16 without a detour.
UNITS = ("amx_bf16", "avx512_bf16", "bf16")


def product_type(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the type; `auto` is bfloat16 where the device has a unit for it, else float32.

    Without one a processor is some twenty times slower in bfloat16 than in float32.
    """
    if precision != "auto":
        named: torch.dtype = getattr(torch, precision)
        return named
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        found = torch.cpu.get_capabilities()
        fast = any(found.get(unit, False) for unit in UNITS)
    return torch.bfloat16 if fast else torch.float32


@contextmanager
def without_subnormals() -> Iterator[None]:
    """Take numbers below 1.2e-38 for zero, as GPUs do.

    A processor computes with them in a slow way of its own, and a relaxed sample at the paper's
    last temperature is full of them: a step of the dVAE takes half as long again.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
