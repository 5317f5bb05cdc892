"""The kernel of a step's attention beside the same written out; also interpreted, without a GPU.

`TRITON_INTERPRET=1 pytest tests/stages/models/test_kv_cache_triton.py` where Triton is installed.
"""

import os

import pytest
import torch

from stages.models.kv_cache import CacheLayout, KVCache
from stages.models.masks import SequenceLayout, make_mask

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
GRID, TEXT, WIDTH = 6, 70, 16
SHORT = torch.float16 if INTERPRETED else torch.bfloat16  # NumPy, which interprets, has no bfloat16

pytestmark = [] if INTERPRETED else [pytest.mark.gpu]


@pytest.mark.parametrize("name", ["row", "column", "conv", "causal"])
@pytest.mark.parametrize("rows", [1, 7, 16, 40])
@pytest.mark.parametrize("kind", [torch.float32, SHORT])
def test_the_kernel_computes_what_is_written_out(name, rows, kind):
    kernel = pytest.importorskip("stages.models.kv_cache_triton")
    device = torch.device("cpu" if INTERPRETED else "cuda")
    generator = torch.Generator().manual_seed(0)
    mask = make_mask(name, SequenceLayout(TEXT, GRID, 5))[TEXT:, TEXT:]
    layout = CacheLayout.of_mask(mask).to(device)
    cache = KVCache.empty(layout, TEXT, rows, torch.zeros(2, 3, WIDTH, dtype=kind, device=device))
    for part in cache[:2]:
        part.copy_(torch.randn(part.shape, generator=generator))
    exact = KVCache(*(part.float() for part in cache))
    for code in range(GRID**2 - 1):
        qkv = torch.randn(2, rows, 3, 3, WIDTH, generator=generator).to(device, kind)
        q, k, v = (x.transpose(1, 2) for x in qkv.unbind(2))  # as a layer has them in memory
        at = layout.at_unknown(torch.tensor([code], device=device))
        cache.update(k, v, at)
        exact.update(k.float(), v.float(), at)
        if code % 5 == 4 or code < 2:
            found = kernel.attend(q, *cache, at.group, at.hidden).float()
            off = (found - exact.attend_in_torch(q.float(), at)).abs().max()
            assert off < (1e-5 if kind == torch.float32 else 0.02)
