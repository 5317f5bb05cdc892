"""The README is true: its table is printed by the code, its links lead somewhere, its code runs."""

import re
import shlex
from collections import Counter
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from pipelines import draw
from pipelines.full import dalle, parser
from pipelines.options import leaf_paths
from pipelines.presets import PRESETS
from pipelines.tables import stage_table
from schemas.configs import Settings

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line
    for language, block in BLOCKS
    if language == "bash"
    for line in block.replace("\\\n", " ").splitlines()
]
FULL = [c.split("pipelines/full.py", 1)[1] for c in COMMANDS if "pipelines/full.py" in c]

DRAW = [c.split("-m pipelines.draw ", 1)[1] for c in COMMANDS if "-m pipelines.draw " in c]


def test_the_stage_table_is_what_the_code_prints():
    shown = re.search(r"<!-- stages:begin.*?-->\n(.*?)\n<!-- stages:end -->", README, re.DOTALL)
    assert shown is not None
    assert shown.group(1) == stage_table(dalle(Settings()))


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http|#)([^)]+)\)", README))
def test_each_relative_link_leads_somewhere(target):
    assert (ROOT / target.split("#")[0]).exists()


@pytest.mark.parametrize("arguments", FULL)
def test_each_command_line_of_the_pipeline_is_understood(arguments):
    args = parser().parse_args(shlex.split(arguments, comments=True))
    known = set(leaf_paths())
    assert all(assignment.partition("=")[0] in known for assignment in args.assignments)


@pytest.mark.parametrize("arguments", DRAW)
def test_each_command_line_that_draws_is_understood(arguments):
    draw.parser().parse_args(shlex.split(arguments, comments=True))


@pytest.mark.parametrize("target", re.findall(r"^make (\w+)", README, re.MULTILINE))
def test_each_make_target_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_preset_is_named():
    assert all(f"`{name}`" in README for name in PRESETS)


@pytest.mark.slow
def test_the_three_lines_of_python_draw_a_picture(tiny_run, tmp_path, monkeypatch):
    (code,) = (
        block for language, block in BLOCKS if language == "python" and "TextToImage" in block
    )
    monkeypatch.chdir(tmp_path)
    exec(code.replace("runs/demo", str(tiny_run)), {})
    assert (tmp_path / "star.png").stat().st_size > 100


def test_token_shards_open_in_the_tools_that_are_named(tiny_run):
    def block(word):
        (code,) = (block for _, block in BLOCKS if word in block)
        return code.replace("runs/demo", str(tiny_run))

    frames, arrays = {}, {}
    exec(block("pandas"), frames)
    exec(block("pyarrow.dataset"), arrays)
    uses = dict(duckdb.sql(block("DuckDB")).fetchall())

    shards = sorted((tiny_run / "token_pairs").glob("*/train/*.parquet"))
    rows = [row for shard in shards for row in pq.read_table(shard).to_pylist()]
    assert sorted(frames["frame"]["caption"]) == sorted(row["caption"] for row in rows)
    assert sorted(arrays["codes"].tolist()) == sorted(row["image"] for row in rows)
    assert uses == Counter(code for row in rows for code in row["image"])
