"""A relative path means the folder of the command, wherever workers run."""

from pathlib import Path

import pytest

from pipelines.options import resolve
from pipelines.places import make_absolute
from schemas.settings import Input, leaves

HERE = "/data/mine"


def told(setting, value, folder):
    """Return what the settings say, once the command has been told `value` in `folder`."""
    *parents, leaf = setting.split(".")
    settings = resolve("tiny", None, [])
    tree = settings.model_dump()
    node = tree
    for name in parents:
        node = node[name]
    node[leaf] = value
    make_absolute(tree, Path(folder))
    return node[leaf]


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        ("pics", f"{HERE}/pics"),
        ("pics/", f"{HERE}/pics"),
        ("./pics", f"{HERE}/pics"),
        ("../pics", f"{HERE}/../pics"),
        (".", HERE),
        ("/abs/pics", "/abs/pics"),
        ("my pics", f"{HERE}/my pics"),
        ("a.csv,b.csv", f"{HERE}/a.csv,{HERE}/b.csv"),
        ("a.csv, /abs/b.csv ,s3://b/c.csv", f"{HERE}/a.csv,/abs/b.csv,s3://b/c.csv"),
        ("tars/*.tar", f"{HERE}/tars/*.tar"),
        ("x-{0..9}.tar", f"{HERE}/x-{{0..9}}.tar"),
        ("{a,b}.csv", f"{HERE}/{{a,b}}.csv"),
        ("x/{a,b}.csv,{c,d}/e.csv", f"{HERE}/x/{{a,b}}.csv,{HERE}/{{c,d}}/e.csv"),
        ("a.csv::b.csv", f"{HERE}/a.csv::{HERE}/b.csv"),
        ("a.csv::s3://b/c.csv,d.csv", f"{HERE}/a.csv::s3://b/c.csv,{HERE}/d.csv"),
        ("simplecache::s3://bucket/x.csv", "simplecache::s3://bucket/x.csv"),
        ("s3://bucket/x", "s3://bucket/x"),
        ("https://example.org/x.csv", "https://example.org/x.csv"),
        ("zip://a.csv::s3://bucket/x.zip", "zip://a.csv::s3://bucket/x.zip"),
        ("file:///abs/x.csv", "/abs/x.csv"),
        ("file:x.csv", f"{HERE}/x.csv"),
        ("", ""),
    ],
)
def test_a_source(value, becomes):
    assert told("crawl.source.path", value, HERE) == becomes


@pytest.mark.parametrize(
    "setting", ["crawl.earlier", "dvae.pretrained", "sample.prompts.path", "crawl.source.path"]
)
def test_every_path_and_a_home(setting, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert told(setting, "x/y", HERE) == f"{HERE}/x/y"
    assert told(setting, "~/y", HERE) == "/home/me/y"


def test_every_setting_that_is_a_path_is_one_of_these():
    paths = {"path", "earlier", "pretrained", "decontaminate", "clip", "features"}
    for name, field, _ in leaves():
        marked = any(isinstance(mark, Input) for mark in field.metadata)
        assert marked == (name.rpartition(".")[2] in paths), name


def test_a_list_of_evaluation_sets():
    found = told("filter.decontaminate", ["val", "/abs", "s3://b/x"], HERE)
    assert found == [f"{HERE}/val", "/abs", "s3://b/x"]


@pytest.mark.parametrize("setting", ["clip.pretrained", "measure.clip", "evaluate.features"])
def test_a_name_on_a_hub_stays_unless_a_folder_is_called_so(setting, tmp_path):
    assert told(setting, "openai/clip-vit-base-patch32", tmp_path) == "openai/clip-vit-base-patch32"
    (tmp_path / "openai/clip-vit-base-patch32").mkdir(parents=True)
    found = told(setting, "openai/clip-vit-base-patch32", tmp_path)
    assert found == f"{tmp_path}/openai/clip-vit-base-patch32"
    assert told(setting, "./mine", tmp_path) == f"{tmp_path}/mine"


def test_names_that_look_like_patterns_or_lists(tmp_path):
    odd = tmp_path / "a,b [2024]"
    odd.mkdir()
    assert told("crawl.source.path", odd.name, tmp_path) == str(odd)
    assert told("crawl.source.path", "x.csv,y.csv", odd) == "x.csv,y.csv"
    assert told("crawl.source.path", "*.tar", tmp_path / "[1]") == f"{tmp_path}/[[]1]/*.tar"


def test_where_a_run_was_started_is_in_no_fingerprint(tmp_path, monkeypatch):
    def digests(folder):
        monkeypatch.chdir(folder)
        settings = resolve("tiny", None, ["clip.pretrained=./mine", "measure.clip=./mine"])
        return settings.clip.digest, settings.filter.digest

    (tmp_path / "elsewhere").mkdir()
    assert digests(tmp_path) == digests(tmp_path / "elsewhere")
