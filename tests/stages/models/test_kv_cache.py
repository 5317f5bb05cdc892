"""What a layer keeps must be all that its mask sees, and no more."""

import pytest
import torch

from stages.models.kv_cache import CacheLayout, KVCache
from stages.models.masks import SequenceLayout, make_mask

GRIDS = [(2, 3), (4, 3), (5, 3), (6, 5), (12, 11), (32, 11)]


def layout(name: str, grid: int, kernel: int) -> tuple[torch.Tensor, CacheLayout]:
    mask = make_mask(name, SequenceLayout(1, grid, kernel))[1:, 1:]
    return mask, CacheLayout.of_mask(mask)


@pytest.mark.parametrize("name", ["row", "column", "conv", "causal"])
@pytest.mark.parametrize(("grid", "kernel"), GRIDS)
def test_each_code_finds_exactly_what_its_mask_allows(name, grid, kernel):
    """Written down step by step, as a cache is: each slot holds the last code put there."""
    mask, found = layout(name, grid, kernel)
    held = torch.full((found.groups, found.slots), -1)
    for code in range(len(mask)):
        held[found.group[code], found.slot[code]] = code
        own = held[found.group[code]]
        assert sorted(own[~found.hidden[code]].tolist()) == mask[code].nonzero().flatten().tolist()
        kept = found.stored_after(code + 1)
        assert torch.equal(kept[held >= 0], held[held >= 0])


@pytest.mark.parametrize(
    ("name", "groups", "slots"),
    [("row", 1, 33), ("column", 32, 32), ("conv", 1, 166), ("causal", 1, 1023)],
)
def test_no_more_is_kept_than_can_be_seen_again(name, groups, slots):
    """At the paper's size; a convolution of 11 looks back five rows and five columns."""
    assert layout(name, 32, 11)[1][:2] == (groups, slots)


def test_nothing_is_kept_of_no_codes():
    assert layout("row", 4, 3)[1].stored_after(0).tolist() == [[0] * 5]


@pytest.mark.parametrize("name", ["row", "column", "conv", "causal"])
def test_reading_whole_groups_by_number_is_the_same(name):
    """As a GPU does, which does the same work at every step."""
    _, found = layout(name, 4, 3)
    generator = torch.Generator().manual_seed(0)
    some, whole = (
        KVCache.empty(found, 3, 5, torch.zeros(2, 2, 8))._replace(
            text_keys=torch.ones(2, 2, 3, 8), text_values=torch.ones(2, 2, 3, 8)
        )
        for _ in range(2)
    )
    for code in range(15):
        q, k, v = torch.randn(3, 2, 2, 5, 8, generator=generator).unbind()
        number = torch.tensor([code])
        known, unknown = found.at(number), found.at_unknown(number)
        some.update(k, v, known)
        whole.update(k, v, unknown)
        one, other = some.attend(q, known), whole.attend(q, unknown)
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)
