import pyarrow as pa
import pytest

from infra.store import open_folder
from stages.data.parquet import parquet_bytes
from tests import tiny_run
from tests.stages.answers import answering


@pytest.fixture(scope="module")
def server():
    """Start a server that sends what a test wrote down for a path."""
    with answering() as server:
        yield server


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    """Return the artifacts of a small finished run, which nobody may change."""
    return tiny_run.inputs(tiny_run.build(tmp_path_factory.mktemp("run")))


@pytest.fixture
def folder(tmp_path):
    return open_folder(tmp_path / "artifact")


@pytest.fixture
def write():
    """Commit a table as a Parquet file of row groups of `group` rows."""

    def write(folder, name, table, group=4):
        folder.commit(name, parquet_bytes(table, {"row_group_size": group}))

    return write


@pytest.fixture
def numbered(folder, write):
    """Rows "0".."n-1" over three files of different sizes, and the schema they have."""
    schema = pa.schema(
        [
            pa.field("key", pa.string(), nullable=False),
            pa.field("pair", pa.list_(pa.uint16(), 2), nullable=False),
        ]
    )

    def rows(start, stop):
        keys = [str(n) for n in range(start, stop)]
        pairs = pa.array([[n, 2 * n] for n in range(start, stop)], pa.list_(pa.uint16(), 2))
        return pa.Table.from_arrays([pa.array(keys), pairs], schema=schema)

    for number, (start, stop) in enumerate([(0, 10), (10, 23), (23, 30)]):
        write(folder, f"train/shard-{number:05d}.parquet", rows(start, stop))
    return schema
