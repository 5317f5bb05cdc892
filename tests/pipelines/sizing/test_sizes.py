"""The sizes that minutes, pictures and a speed come to: by hand, and which way they go."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.options import resolve, with_values
from pipelines.sizing import costs
from pipelines.sizing.sizes import (
    EPOCHS,
    candidates_in,
    divided,
    dropout_after,
    growth_of,
    prior_model,
    rounded_down,
    scaled,
    sizes_for,
)

SMALL = resolve("small")
SPEED = 100e9
MINUTES = (1, 3, 8, 20, 60, 61, 120, 300, 600)
PICTURES = (700, 7_000, 70_000)
# What grows with time; dropout grows with how often a picture is seen, in whatever time.
GROWING = (
    "dvae.width", "dvae.fit.steps", "prior.layers", "prior.head_dim", "prior.fit.steps",
    "clip.fit.steps", "sample.candidates",
)  # fmt: skip


def growing(minutes, pictures, speed=SPEED, preset=SMALL):
    values = sizes_for(preset, minutes, pictures, speed).values
    return [values[path] for path in GROWING]


def no_less(small, large):
    return all(one <= other for one, other in zip(small, large, strict=True))


@pytest.mark.parametrize("name", ["small", "demo", "tiny"])
@pytest.mark.parametrize("pictures", PICTURES)
def test_more_minutes_are_never_fewer_updates_nor_a_smaller_model(name, pictures):
    found = [growing(minutes, pictures, preset=resolve(name)) for minutes in MINUTES]
    assert all(no_less(*pair) for pair in pairwise(found))
    assert found[-1] > found[0]


@settings(max_examples=8)
@given(
    st.floats(1, 600), st.floats(1, 1.5), st.integers(50, 200_000), st.floats(5e9, 2e12)
)  # fmt: skip
def test_nor_are_they_for_any_small_step(minutes, times, pictures, speed):
    before, after = (growing(m, pictures, speed) for m in (minutes, minutes * times))
    assert no_less(before, after)


def test_few_pictures_have_a_smaller_prior_fewer_updates_and_more_dropout():
    few, some, many = (sizes_for(SMALL, 600, pictures, SPEED).values for pictures in PICTURES)
    for path in ("prior.layers", "prior.head_dim", "prior.fit.steps", "clip.fit.steps"):
        assert few[path] < some[path], path
    assert few["prior.dropout"] > some["prior.dropout"] > many["prior.dropout"]
    seen = few["prior.fit.steps"] * SMALL.prior.fit.batch_size / 700
    assert seen <= 2 * EPOCHS["prior"]  # half of them mirrored


def test_mirrored_pictures_are_more_for_the_prior_alone():
    plain = resolve("small", None, ["encode.flips=false"])
    once, mirrored = (sizes_for(preset, 600, 700, SPEED).values for preset in (plain, SMALL))
    assert mirrored["prior.fit.steps"] > 1.9 * once["prior.fit.steps"]
    assert mirrored["clip.fit.steps"] == once["clip.fit.steps"]
    by_hand = mirrored["prior.fit.steps"] * SMALL.prior.fit.batch_size / (2 * 700 * 0.92)
    assert mirrored["prior.dropout"] == dropout_after(by_hand)


@pytest.mark.parametrize("minutes", [1, 600, 10_080])
@pytest.mark.parametrize("pictures", [1, 5_000_000])
@pytest.mark.parametrize("speed", [1e8, 1e14])
def test_within_any_bounds_nothing_is_zero_and_the_settings_are_valid(minutes, pictures, speed):
    found = sizes_for(SMALL, minutes, pictures, speed)
    assert all(found.values[path] > 0 for path in found.values.keys() - {"prior.dropout"})
    sized = with_values(SMALL, found.values, where="a test")
    assert sized.prior.layers <= 4 * SMALL.prior.layers
    assert sized.prior.width <= 4 * SMALL.prior.width
    assert sized.dvae.width <= 4 * SMALL.dvae.width
    assert sized.sample.candidates <= 4 * SMALL.sample.candidates
    assert sized.prior.fit.steps >= SMALL.prior.fit.steps / 20
    assert sized.prior.dropout <= 0.3


@pytest.mark.parametrize("minutes", [20, 60, 600])
def test_a_run_takes_about_the_minutes_and_its_dvae_at_most_a_fifth(minutes):
    found = sizes_for(SMALL, minutes, 20_000, SPEED)
    assert 0.75 * minutes <= found.seconds / 60 <= minutes
    assert found.parts["dvae"].seconds <= 60 * minutes / 5
    assert not any(part.few_pictures for part in found.parts.values())


def test_in_the_time_that_a_preset_takes_it_stays_as_it_is():
    preset = resolve("small", None, ["dvae.fit.steps=1000", "sample.candidates=32"])
    pictures = 100_000
    trainings = {"dvae": costs.dvae_update, "prior": costs.prior_update, "clip": costs.clip_update}
    own = sum(
        getattr(preset, name).fit.steps * cost(getattr(preset, name), SPEED)
        for name, cost in trainings.items()
    )
    own += 32 * costs.candidate_of_each_prompt(preset, pictures, SPEED)
    other = costs.START_SECONDS + costs.PICTURE_SECONDS * pictures
    found = sizes_for(preset, (own + other) / 60, pictures, SPEED)
    assert with_values(preset, found.values, where="a test") == preset
    assert found.seconds == pytest.approx(own + other)


def test_what_is_given_stays_and_the_rest_fits_it():
    given_ = {"prior.layers", "dvae.fit.steps", "prior.dropout"}
    preset = resolve("small", None, ["prior.layers=24", "dvae.fit.steps=7", "prior.dropout=0.5"])
    found = sizes_for(preset, 60, 7_000, SPEED, given_)
    assert found.values.keys() & given_ == set()
    assert set(found.kept) == given_
    sized = with_values(preset, found.values, where="a test")
    assert (sized.prior.layers, sized.dvae.fit.steps, sized.prior.dropout) == (24, 7, 0.5)
    assert sized.prior.head_dim < sizes_for(SMALL, 60, 7_000, SPEED).values["prior.head_dim"]
    assert found.parts["prior"].seconds <= 60 * 60


def test_all_of_the_time_goes_into_what_is_not_given():
    fixed = {"prior.layers", "prior.head_dim"}
    hour, five = (sizes_for(SMALL, m, 700_000, SPEED, fixed).values for m in (120, 600))
    assert five["prior.fit.steps"] > 4 * hour["prior.fit.steps"]
    steps = {"prior.fit.steps"}
    hour, five = (sizes_for(SMALL, m, 700_000, SPEED, steps).values for m in (120, 600))
    assert five["prior.head_dim"] > hour["prior.head_dim"]
    both = sizes_for(SMALL, 600, 700_000, SPEED, fixed | steps)
    assert both.values.keys() & (fixed | steps) == set()


def test_what_is_pretrained_takes_no_time_and_has_no_sizes():
    preset = resolve("small", None, ["clip.pretrained=somebody/clip", "dvae.pretrained=/x"])
    found = sizes_for(preset, 60, 7_000, SPEED)
    assert found.parts.keys() == {"prior", "sample"}
    assert no_less(
        [sizes_for(SMALL, 60, 7_000, SPEED).values["prior.fit.steps"]],
        [found.values["prior.fit.steps"]],
    )


def test_growth_by_hand():
    def growth(times, by_pictures, steps_given=False, model_given=False):
        return growth_of(times, by_pictures, steps_given=steps_given, model_given=model_given)

    assert growth(4, 9) == (2, 2, False)  # four times the time: twice the updates, twice the cost
    assert growth(0.25, 9) == (0.5, 0.5, False)
    assert growth(4, 1.5) == (1.5, 1.5, True)  # pictures are enough for one and a half
    assert growth(4, 9, steps_given=True) == (1, 4, False)
    assert growth(4, 9, model_given=True) == (4, 1, False)
    assert growth(4, 3, model_given=True) == (3, 1, True)
    assert growth(4, 3, steps_given=True, model_given=True) == (1, 1, False)


def test_time_is_divided_by_hand():
    own = {"dvae": 10, "prior": 60, "sample": 10}
    assert divided(own, 40, 20) == {"dvae": 5, "prior": 30, "sample": 5}
    assert divided(own | {"dvae": 70}, 140, 35) == {"dvae": 35, "prior": 90, "sample": 15}
    assert divided({"prior": 60, "sample": 20}, 40, 20) == {"prior": 30, "sample": 10}


def test_a_prior_keeps_its_form():
    assert prior_model(SMALL.prior, 1.0) == {
        "layers": SMALL.prior.layers, "head_dim": SMALL.prior.head_dim,
    }  # fmt: skip
    six = SMALL.prior.model_copy(update={"layers": 6, "head_dim": 24})
    assert prior_model(six, 2.0) == {"layers": 12, "head_dim": 48}
    assert prior_model(six, 1.2) == {"layers": 7, "head_dim": 28}
    assert prior_model(six, 0.5) == {"layers": 3, "head_dim": 12}
    assert prior_model(six.model_copy(update={"head_dim": 6}), 0.25)["head_dim"] == 2


def test_sizes_are_scaled_in_steps_from_what_they_were():
    assert [scaled(32, times, 4, least=4) for times in (1, 1.124, 1.125, 0.99, 0.01)] == [
        32, 32, 36, 28, 4,
    ]  # fmt: skip


def test_candidates_by_hand():
    # of 32: in groups of four, at least one group, at most four times as many
    assert [candidates_in(time, 32) for time in (0.1, 4, 7, 8, 33, 500)] == [4, 4, 4, 8, 32, 128]
    assert [candidates_in(time, 2) for time in (0.1, 2, 3, 7.9, 9)] == [2, 2, 3, 4, 8]


def test_dropout_by_hand():
    # 0.1 for each doubling beyond 5.5 epochs, in steps of 0.05, at most 0.3
    epochs = (0.001, 5.5, 6, 11, 16, 22, 44, 1e9)
    assert [dropout_after(one) for one in epochs] == [0, 0, 0, 0.1, 0.15, 0.2, 0.3, 0.3]


def test_numbers_have_two_digits():
    numbers = (1.5, 99.9, 100, 1_199.9999999999, 1_299, 123_456)
    assert [rounded_down(number) for number in numbers] == [1, 99, 100, 1_200, 1_200, 120_000]
