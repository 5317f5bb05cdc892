import pytest
import torch

from stages.models.kv_cache import CacheLayout


@pytest.fixture
def as_a_gpu(monkeypatch):
    """Steps that are always the same work."""
    monkeypatch.setattr(CacheLayout, "at", CacheLayout.at_unknown)


@pytest.fixture
def on_gpu(as_a_gpu):
    """Both in 32 bits, without shortened factors."""
    torch.backends.cuda.matmul.allow_tf32 = False
    return torch.device("cuda")
