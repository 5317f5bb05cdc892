"""The documents are true: tables are the code's, links lead somewhere, commands and code run."""

import argparse
import importlib
import re
import shlex
import subprocess
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.full import dalle
from pipelines.presets import PRESETS
from pipelines.renamed import RENAMED
from pipelines.run_tables import stage_table
from pipelines.settings_table import markdown
from schemas.rows import token_pair
from schemas.settings import Settings, leaves
from stages.crawl.reasons import OWN
from stages.filter.rules import reason_table

ROOT = Path(__file__).resolve().parents[1]
LIST = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
FILES = subprocess.run(LIST, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
DOCS = {name: (ROOT / name).read_text() for name in FILES if (ROOT / name).exists()}
CODE = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
RECIPE = re.compile(r"^## Add a .*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)  # test_recipes.py
BLOCKS = [block for text in DOCS.values() for block in CODE.findall(text)]
COMMANDS = sorted(
    {
        line.strip()
        for text in DOCS.values()
        for language, block in CODE.findall(RECIPE.sub("", text))
        if language == "bash"
        for line in block.replace("\\\n", " ").splitlines()
    }
)
OURS = re.compile(r"pipelines/full\.py|-m (pipelines\.\w+)")
SETTING = re.compile(rf"`((?:{'|'.join(Settings.model_fields)})\.[a-z_.0-9]*[a-z0-9])(?:=[^`]*)?`")
LEAVES = {leaf.path for leaf in leaves()}
PARTS = {leaf.rsplit(".", n)[0] for leaf in LEAVES for n in range(leaf.count(".") + 1)}


def of_all(pattern, flags=0):
    """What a pattern finds in each document, each with its document."""
    found = re.compile(pattern, flags)
    return [(name, hit) for name, text in DOCS.items() for hit in sorted(set(found.findall(text)))]


def between(name, mark):
    """What stands between a document's two comments."""
    found = re.search(
        rf"<!-- {mark}:begin.*?-->\n(.*?)\n<!-- {mark}:end -->", DOCS[name], re.DOTALL
    )
    assert found is not None
    return found.group(1)


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def tables(name):
    """The tables of a document, each as its heads and its rows, without escaped bars."""
    text = DOCS[name].replace("\\|", "") + "\n"
    for head, body in re.findall(r"^(\|.*\|)\n\|[-| ]+\|\n((?:\|.*\|\n)+)", text, re.MULTILINE):
        yield cells(head), [cells(line) for line in body.splitlines()]


def table(name, first):
    """The rows of the first table whose first head is `first`."""
    return next(rows for heads, rows in tables(name) if heads[0] == first)


def anchors(text):
    """The anchors that a hosting site gives the headings."""
    heads = re.findall(r"^#+ (.*)$", CODE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_the_stage_table_is_what_the_code_prints():
    assert between("README.md", "stages") == stage_table(dalle(Settings()))


def test_the_table_of_settings_is_what_the_code_prints():
    assert between("schemas/README.md", "settings") == markdown()


def test_each_renamed_setting_is_in_the_changelog():
    listed = {
        row[0].strip("`"): row[1].strip("`") for row in table(".github/CHANGELOG.md", "0.2.0")
    }
    assert listed == RENAMED


def test_the_first_document_stays_short():
    assert len(DOCS["README.md"].splitlines()) <= 140
    assert len(DOCS[".github/CONTRIBUTING.md"].splitlines()) <= 40


@pytest.mark.parametrize(("name", "target"), of_all(r"\]\((?!http)([^)\s]+)\)"))
def test_each_relative_link_leads_somewhere(name, target):
    path, _, anchor = target.partition("#")
    file = (ROOT / name).parent / path if path else ROOT / name
    assert file.exists()
    assert not anchor or anchor in anchors(file.read_text())


def test_each_document_is_linked_from_the_first_one():
    linked = set(re.findall(r"\]\(([^)#]+\.md)", DOCS["README.md"]))
    assert linked >= DOCS.keys() - {"README.md", "stages/encode/README.md"}


@pytest.mark.parametrize("command", [c for c in COMMANDS if OURS.search(c)])
def test_each_command_line_is_understood(command, monkeypatch):
    class Understood(Exception):
        pass

    parse = argparse.ArgumentParser.parse_args

    def parse_only(self, args=None, namespace=None):
        raise Understood(parse(self, args, namespace))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
    found = OURS.search(command)
    module = importlib.import_module(found[1] or "pipelines.full")
    if not hasattr(module, "main"):
        module = importlib.import_module(f"{module.__name__}.__main__")
    with pytest.raises(Understood) as understood:
        module.main(shlex.split(command[found.end() :], comments=True))
    assignments = getattr(understood.value.args[0], "assignments", [])
    assert all(one.partition("=")[0] in LEAVES for one in assignments)


@pytest.mark.parametrize(
    ("name", "module"), of_all(r"python -m ((?:pipelines|stages|tests)\.[\w.]+)")
)
def test_each_module_that_is_called_exists(name, module):
    assert find_spec(module) is not None


@pytest.mark.parametrize(("name", "target"), of_all(r"^make (\w+)|`make (\w+)", re.MULTILINE))
def test_each_make_target_exists(name, target):
    assert re.search(rf"^{''.join(target)}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize(("name", "setting"), of_all(SETTING.pattern))
def test_each_setting_that_is_named_exists(name, setting):
    if name != ".github/CHANGELOG.md":  # which tells of earlier names, too
        known = setting in PARTS or any(leaf.endswith(f".{setting}") for leaf in LEAVES)
        assert known or (ROOT / name).parent.joinpath(setting).exists()


@pytest.mark.parametrize("name", DOCS)
def test_each_table_of_settings_names_settings(name):
    for heads, rows in tables(name):
        for column, head in enumerate(heads):
            part = re.search(r"settings? (?:of|under) `([\w.]+)`", head)
            named = [w for row in rows for w in re.findall(r"`([\w.]+)(?:=\w+)?`", row[column])]
            assert part is None or {f"{part[1]}.{word}" for word in named} <= LEAVES


def test_each_reason_of_the_crawl_has_its_line():
    rows_ = table("stages/crawl/README.md", "reason")
    listed = [word for row in rows_ for word in re.findall(r"`([^`]+)`", row[0])]
    assert Counter(listed) == Counter((*OWN, "http_<status>"))


def test_the_reasons_of_the_filter_are_what_the_code_prints():
    assert between("stages/filter/README.md", "reasons") == reason_table()


def test_the_table_of_tokens_is_the_schema():
    def kind(field):
        if not pa.types.is_fixed_size_list(field.type):
            return str(field.type)
        return f"{field.type.list_size} x {field.type.value_type}".replace("float", "float32")

    promised = [[f"`{f.name}`", kind(f)] for f in token_pair(text_len=256, grid=32)]
    assert [row[:2] for row in table("stages/README.md", "column")] == promised


def test_every_preset_is_described():
    described = {row[0].strip("`") for row in table("pipelines/README.md", "preset")}
    assert described == set(PRESETS)


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
    written = [row for shard in shards for row in pq.read_table(shard).to_pylist()]
    assert sorted(frames["frame"]["caption"]) == sorted(row["caption"] for row in written)
    assert sorted(arrays["codes"].tolist()) == sorted(row["image"] for row in written)
    assert uses == Counter(code for row in written for code in row["image"])
