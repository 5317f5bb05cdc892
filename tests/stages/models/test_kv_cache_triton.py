"""The kernel of a step's attention beside the same written out; also interpreted, without a GPU.

`TRITON_INTERPRET=1 pytest tests/stages/models/test_decode.py` where Triton is installed.
"""

import os

import pytest
import torch

from stages.models.attention import Layout, make_mask
from stages.models.cache import LayerCache, reach_of

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
GRID, TEXT, WIDTH = 6, 70, 16
SHORT = torch.float16 if INTERPRETED else torch.bfloat16  # NumPy, which interprets, has no bfloat16

pytestmark = [] if INTERPRETED else [pytest.mark.gpu]


@pytest.mark.parametrize("name", ["row", "column", "conv", "causal"])
@pytest.mark.parametrize("rows", [1, 7, 16, 40])
@pytest.mark.parametrize("kind", [torch.float32, SHORT])
def test_the_kernel_computes_what_is_written_out(name, rows, kind):
    decode = pytest.importorskip("stages.models.decode")
    device = torch.device("cpu" if INTERPRETED else "cuda")
    generator = torch.Generator().manual_seed(0)
    reach = reach_of(make_mask(name, Layout(TEXT, GRID, 5))[TEXT:, TEXT:]).to(device)
    cache = LayerCache.empty(reach, TEXT, rows, torch.zeros(2, 3, WIDTH, dtype=kind, device=device))
    for part in cache[:2]:
        part.copy_(torch.randn(part.shape, generator=generator))
    exact = LayerCache(*(part.float() for part in cache))
    for code in range(GRID**2 - 1):
        qkv = torch.randn(2, rows, 3, 3, WIDTH, generator=generator).to(device, kind)
        q, k, v = (x.transpose(1, 2) for x in qkv.unbind(2))  # as a layer has them in memory
        at = reach.anywhere(torch.tensor([code], device=device))
        cache.keep(k, v, at)
        exact.keep(k.float(), v.float(), at)
        if code % 5 == 4 or code < 2:
            off = (decode.attend(q, cache, at).float() - exact.look(q.float(), at)).abs().max()
            assert off < (1e-5 if kind == torch.float32 else 0.02)
