"""report.json as a typed model: what is written is read, what is no report of ours is refused."""

import json

import pytest
from pydantic import ValidationError

from schemas.errors import SchemaMismatch
from schemas.run_report import VERSION, Report, parse_report
from schemas.run_report.report_part import Change
from tests.stages.reports import small_report

REPORT = small_report()
TREE = json.loads(REPORT.model_dump_json())


def refused(data):
    with pytest.raises(SchemaMismatch) as error:
        parse_report(data, "old/report.json")
    assert str(error.value).count("\n") == 0
    assert "--only evaluate" in str(error.value)
    return str(error.value)


def test_what_is_written_is_read():
    assert parse_report(REPORT.model_dump_json(indent=2).encode(), "report.json") == REPORT
    assert TREE["version"] == VERSION


@pytest.mark.parametrize(
    ("version", "found"), [(None, "none"), (0, "0"), (VERSION + 1, f"{VERSION + 1}"), ("1", "1")]
)
def test_another_version_is_refused_in_one_sentence(version, found):
    data = json.dumps(TREE | {"version": version, "more": "of another release"}).encode()
    assert f"wanted version {VERSION} of old/report.json, found {found};" in refused(data)


def test_what_is_no_report_is_refused():
    assert "wanted JSON in old/report.json" in refused(b"<html>")
    assert "found none" in refused(b"[1]")
    assert "accuracy: Field required" in refused(json.dumps({"version": VERSION}).encode())
    assert "more: Extra inputs" in refused(json.dumps(TREE | {"more": 1}).encode())


def test_a_number_that_is_none_is_not_written():
    with pytest.raises(ValidationError):
        Change(share=float("nan"), standard_error=None)


def test_the_schema_describes_the_parts():
    schema = Report.model_json_schema()
    assert TREE.keys() == schema["properties"].keys()
    assert schema["properties"]["version"]["const"] == VERSION
    lost = schema["$defs"]["LostRows"]["properties"]["wanted"]
    assert lost["description"] == "what the filter's rule asks for"
    assert "chance" in schema["$defs"]["SetAccuracy"]["required"]
