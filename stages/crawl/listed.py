"""The one form that every source of pairs is brought to before anything is fetched."""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from schemas.configs import SourceSettings
from schemas.errors import ConfigError

LISTED = pa.schema(
    [
        pa.field("url", pa.string(), nullable=False),
        pa.field("caption", pa.string()),
        pa.field("caption_file", pa.string()),  # where the caption is, if it is not here
        pa.field("source", pa.string()),  # the other columns, as JSON
    ]
)


def check_columns(found: Sequence[str], source: SourceSettings, file: str) -> None:
    """Raise ConfigError unless the url and caption columns are among those found."""
    for setting in ("url_column", "caption_column"):
        wanted = getattr(source, setting)
        if wanted not in found:
            raise ConfigError(
                f"wanted a column '{wanted}' in {file}, found {list(found)}; "
                f"set crawl.source.{setting} to one of them"
            )


def normal(rows: pa.Table, source: SourceSettings, file: str) -> pa.Table:
    """Bring a user's own table to the LISTED form; all other columns become JSON."""
    check_columns(rows.column_names, source, file)
    rest = rows.drop_columns([source.url_column, source.caption_column]).to_pylist()
    return pa.table(
        {
            "url": rows[source.url_column].cast(pa.string()).fill_null(""),
            "caption": rows[source.caption_column].cast(pa.string()),
            "caption_file": pa.nulls(len(rows), pa.string()),
            "source": pa.array([as_json(row) for row in rest], pa.string()),
        },
        schema=LISTED,
    )


def as_json(row: dict[str, Any]) -> str | None:
    """Return the columns as JSON in a fixed order, or None if there are none."""
    return json.dumps(row, default=str, ensure_ascii=False, sort_keys=True) if row else None
