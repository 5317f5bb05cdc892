"""Rotary positions against their definition: complex numbers, and distances on the grid."""

import torch

from stages.models import rotary
from stages.models.masks import SequenceLayout

LAYOUT = SequenceLayout(text_slots=3, grid=4, conv_kernel=3)


def slot(row, column):
    return 3 + 4 * row + column


def test_each_pair_is_a_complex_number_that_turns():
    by = rotary.rotary_angles(LAYOUT, 8)
    x = torch.randn(LAYOUT.slots, 8, generator=torch.Generator().manual_seed(0))
    wanted = torch.complex(x[:, :4], x[:, 4:]) * torch.polar(torch.ones_like(by), by)
    found = rotary.rotate(x, by)
    torch.testing.assert_close(found, torch.cat([wanted.real, wanted.imag], dim=-1))


def test_angles_are_places_times_speeds():
    by = rotary.rotary_angles(LAYOUT, 8)
    assert by.shape == (LAYOUT.slots, 4)
    for row, column in [(0, 0), (2, 3), (3, 1)]:
        wanted = torch.tensor([row, row / 10, column, column / 10])
        torch.testing.assert_close(by[slot(row, column)], wanted)
    for text in range(3):
        place = text - 3
        wanted = torch.tensor([place, place / 10, place, place / 10])
        torch.testing.assert_close(by[text], wanted)


def test_a_product_depends_on_how_far_apart_two_codes_are_and_not_on_where():
    by = rotary.rotary_angles(LAYOUT, 16)
    q, k = torch.randn(2, 1, 16, generator=torch.Generator().manual_seed(0))

    def product(query, key):
        query, key = (by[slot(*place)][None] for place in (query, key))
        return (rotary.rotate(q, query) * rotary.rotate(k, key)).sum()

    torch.testing.assert_close(product((1, 1), (0, 1)), product((3, 2), (2, 2)))
    torch.testing.assert_close(product((1, 3), (1, 1)), product((2, 2), (2, 0)))
    assert not torch.allclose(product((1, 1), (0, 1)), product((1, 1), (1, 0)))


def test_turning_keeps_the_type_of_half_precision():
    x = torch.randn(LAYOUT.slots, 8).bfloat16()
    assert rotary.rotate(x, rotary.rotary_angles(LAYOUT, 8)).dtype == torch.bfloat16
