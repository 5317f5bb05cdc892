"""Two values compare only if they were made alike, and few pictures are flagged."""

import pytest
from pydantic import ValidationError

from schemas.errors import UserError
from stages.metrics.reported import (
    FeatureNetwork,
    ReferenceSet,
    Reported,
    Resize,
    comparable,
    difference,
)

FID = Reported(
    metric="FID",
    value=27.5,
    network=FeatureNetwork(name="inception", sha256="a" * 64),
    reference=ReferenceSet(name="val2014", sha256="b" * 64, count=30_000),
    resize=Resize(method="bicubic", antialias=True, side=299),
    count=30_000,
    depends_on_count=True,
    seed=0,
    parameters={"blur radius": 0},
)


def changed(**fields):
    return Reported.model_validate(FID.model_dump() | fields)


def test_equal_values_and_those_of_another_seed_name_or_system_compare():
    assert comparable(FID, FID) == ()
    other = changed(
        seed=9,
        value=20.0,
        network={"name": "the same file", "sha256": "a" * 64},
        reference={"name": "elsewhere", "sha256": "b" * 64, "count": 30_000},
    )
    assert comparable(FID, other) == ()
    assert difference(FID, other) == 7.5


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"metric": "KID"}, "metric: FID and KID"),
        (
            {"network": {"name": "other", "sha256": "c" * 64}},
            "feature network: inception (aaaaaaaaaaaa) and other (cccccccccccc)",
        ),
        ({"reference": None}, "reference: val2014 (bbbbbbbbbbbb) and none"),
        (
            {"resize": {"method": "bilinear", "antialias": False, "side": 299}},
            "resize: bicubic to 299, with antialias and bilinear to 299, no antialias",
        ),
        ({"count": 5_000}, "drawn pictures: 30,000 and 5,000"),
        ({"parameters": {"blur radius": 2}}, "blur radius: 0 and 2"),
        ({"parameters": {}}, "blur radius: 0 and none"),
    ],
)
def test_what_was_made_differently_is_named_and_refused(fields, reason):
    other = changed(**fields)
    assert comparable(FID, other) == (reason,)
    with pytest.raises(UserError, match="compare only if they were made alike"):
        difference(FID, other)


def test_counts_are_free_where_the_value_does_not_depend_on_them():
    few, many = (changed(metric="KID", depends_on_count=False, count=n) for n in (5_000, 30_000))
    assert comparable(few, many) == ()


def test_fewer_than_10000_pictures_are_flagged_on_either_side():
    assert FID.flag is None
    assert changed(count=10_000).flag is None
    assert changed(count=288).flag == "of only 288 drawn pictures, fewer than 10,000"
    small = {"name": "held out", "sha256": "b" * 64, "count": 512}
    both = changed(count=9_999, reference=small).flag
    assert both == "of only 9,999 drawn and 512 reference pictures, fewer than 10,000"


def test_it_is_json_and_back_and_refuses_what_is_no_value():
    assert Reported.model_validate_json(FID.model_dump_json()) == FID
    for wrong in ({"value": float("nan")}, {"count": 0}, {"network": {"name": "x", "sha256": "?"}}):
        with pytest.raises(ValidationError):
            changed(**wrong)
