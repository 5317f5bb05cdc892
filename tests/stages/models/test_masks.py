"""The masks against figure 11 and appendix B.1, restated token by token."""

import pytest
import torch

from stages.models.masks import (
    SequenceLayout,
    make_mask,
    mask_of_layer,
    masked_attention,
)

TEXT_SLOTS, GRID = 4, 5
SLOTS = TEXT_SLOTS + GRID**2 - 1


def says(name: str, query: int, key: int, kernel: int) -> bool:
    """Say in the description's words whether code `query` sees code `key` (raster positions)."""
    if key > query:
        return False
    if name == "row":  # the last one is in the same column, one row up
        return key in range(query - GRID, query + 1)
    if name == "column":
        return key % GRID == query % GRID
    return any(  # a window that runs over the edges of rows, as the row mask does
        key == query - GRID * up + right
        for up in range(kernel // 2 + 1)
        for right in range(-(kernel // 2), kernel // 2 + 1)
    )


def make(name: str, kernel: int = 3, text_slots: int = TEXT_SLOTS, grid: int = GRID):
    return make_mask(name, SequenceLayout(text_slots, grid, kernel))


@pytest.mark.parametrize(
    ("name", "kernel"), [("row", 3), ("column", 3), ("conv", 1), ("conv", 3), ("conv", 11)]
)
def test_each_mask_is_its_description(name, kernel):
    mask = make(name, kernel)
    assert mask.shape == (SLOTS, SLOTS)
    for query in range(SLOTS):
        for key in range(SLOTS):
            if query < TEXT_SLOTS:
                expected = key <= query
            elif key < TEXT_SLOTS:
                expected = True
            else:
                expected = says(name, query - TEXT_SLOTS, key - TEXT_SLOTS, kernel)
            assert mask[query, key] == expected, (query, key)


def test_figure_11_on_its_own_grid():
    """On a 4 x 4 grid a row query sees 5 codes, and a 3 x 3 convolution wraps at both edges."""
    row, conv = (make(name, 3, text_slots=0, grid=4) for name in ("row", "conv"))
    assert row[9].nonzero().flatten().tolist() == [5, 6, 7, 8, 9]
    assert conv[9].nonzero().flatten().tolist() == [4, 5, 6, 8, 9]
    assert conv[8].nonzero().flatten().tolist() == [3, 4, 5, 7, 8]  # left edge: 3 and 7 wrap
    assert conv[11].nonzero().flatten().tolist() == [6, 7, 8, 10, 11]  # right edge: 8 wraps


def test_the_paper_size_reads_a_third_of_the_keys():
    """Inner image queries see 33, at most 32, and 61 codes."""
    sizes = {name: make(name, 11, 257, 32)[257:, 257:].sum(1) for name in ("row", "column", "conv")}
    assert sizes["row"][33:].unique().tolist() == [33]
    assert sizes["column"].max() == 32
    assert sizes["conv"][200:].unique().tolist() == [61]


@pytest.mark.parametrize("layers", [1, 2, 3, 4, 6, 10, 64])
def test_the_last_layer_is_a_convolution_whatever_the_depth(layers):
    assert mask_of_layer(layers, layers, "sparse") == "conv"
    assert "conv" not in [mask_of_layer(i, layers, "sparse") for i in range(1, layers)]


def test_sixteen_of_the_papers_64_layers_are_columns():
    names = [mask_of_layer(i, 64, "sparse") for i in range(1, 65)]
    assert names[:4] == ["row", "column", "row", "row"]
    assert [i for i, name in enumerate(names, start=1) if name == "column"] == list(range(2, 63, 4))
    assert names.count("row") == 47


@pytest.mark.parametrize("name", ["row", "column", "conv"])
def test_attention_is_one_softmax_over_the_allowed_keys_query_by_query(name):
    mask = make_mask(name, SequenceLayout(3, 4, 3))
    q, k, v = torch.randn(3, 2, 4, len(mask), 8, generator=torch.manual_seed(0)).unbind()
    found = masked_attention(q, k, v, mask)
    for query, allowed in enumerate(mask):
        weights = (k[:, :, allowed] @ q[:, :, query, :, None] / 8**0.5).softmax(dim=2)
        torch.testing.assert_close(found[:, :, query], (weights * v[:, :, allowed]).sum(dim=2))


def test_attention_on_a_cpu_is_in_32_bits_under_autocast_too():
    mask = make_mask("row", SequenceLayout(3, 4, 3))
    q, k, v = torch.randn(3, 2, 4, len(mask), 8, generator=torch.manual_seed(0)).bfloat16().unbind()
    with torch.autocast("cpu", torch.bfloat16):
        found = masked_attention(q, k, v, mask)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, masked_attention(q.float(), k.float(), v.float(), mask))
