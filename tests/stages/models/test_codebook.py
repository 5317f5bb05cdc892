"""How many codes are in use, and as if how many."""

import pytest
import torch

from stages.models.codebook import code_counts, codebook_health


def test_perplexity_counts_codes_as_if_equally_frequent():
    counts = code_counts(torch.tensor([[0, 0], [3, 3]]), 6) + code_counts(torch.tensor([5, 5]), 6)
    health = codebook_health(counts)
    assert health.used == 3
    assert health.perplexity == pytest.approx(3)
    assert codebook_health(code_counts(torch.zeros(4).long(), 6)).perplexity == pytest.approx(1)
