"""The house keeps its shape: which way imports point, what is a stage, sizes, names, words."""

import ast
import os
import subprocess
import sys
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from pipelines.full import dalle
from schemas.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "schemas": {"schemas"},
    "infra": {"infra", "schemas"},
    "stages": {"stages", "schemas"},
    "pipelines": {"pipelines", "infra", "stages", "schemas"},
}
FILES = sorted(path for top in MAY_IMPORT for path in (ROOT / top).rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in FILES}
STAGES = {stage.module.__name__.split(".")[1] for stage in dalle(Settings())}
TOP = {
    "stages", "pipelines", "schemas", "infra", "tests", "pyproject.toml", "README.md", "Makefile",
    "LICENSE", "SECURITY.md",
}  # fmt: skip
# Names that stand in several folders for the same idea, not for several.
SAME_IDEA = {
    *Settings.model_fields, "training",  # a stage or a model, and its part of the settings
    "forecast", "task",  # what each training stage has
    "funnel",  # rows that each rule drops: counted by the filter, shown by the report
    "Block",  # a residual block, of each model
}  # fmt: skip
# No module, class, function, argument or setting has one of these names; the field's are:
PRIVATE = {
    "add_up": "set_gradient_sync", "ahead": "prefetch", "Artist": "Generator", "At": "slot",
    "Average": "Ema", "compress_rank": "powersgd_rank", "heard": "all_gather",
    "LayerCache": "KVCache", "lr": "learning_rate", "lr_end": "learning_rate_end",
    "micro_batch": "micro_batch_size", "Odds": "SamplingParams", "Place": "Rank",
    "Reach": "cache layout", "recompute": "activation_checkpointing", "sharers": "shard_group_size",
    "spread": "distributed", "step_size": "learning_rate",
    "together": "all_or_none", "Told": "EventStream", "told": "conditional",
    "unsaid": "unconditional", "untold": "unconditional", "Wish": "DrawRequest",
}  # fmt: skip
PHRASES = ("step size", "by heart", "in company", "rows at once")  # nor do texts have these
FIELD = ("learning_rate", "gradient accumulation", "KVCache", "data loader")  # but all of these


def name(path):
    return str(path.relative_to(ROOT))


def module(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module(path): path for path in FILES}


def imports(path):
    """Every module a file imports, wherever in the file, and every name from one."""
    found = set()
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_point_one_way(path):
    top = path.relative_to(ROOT).parts[0]
    reached = {module.split(".")[0] for module in imports(path)} & MAY_IMPORT.keys()
    assert reached <= MAY_IMPORT[top], f"{top} must not import {reached - MAY_IMPORT[top]}"


@pytest.mark.parametrize("path", sorted((ROOT / "stages/models").glob("*.py")), ids=name)
def test_models_are_plain_torch(path):
    reached = {module.split(".")[0] for module in imports(path)}
    assert not reached & {"ray", "pyarrow", "fsspec", "infra", "pipelines"}


@pytest.mark.parametrize("path", sorted((ROOT / "stages").rglob("*.py")), ids=name)
def test_no_stage_imports_another_stage_and_what_they_share_imports_none(path):
    """A stage is what pipelines/full.py lists; all else in stages/ is shared."""
    own = path.relative_to(ROOT / "stages").parts[0].removesuffix(".py")
    reached = {m.split(".")[1] for m in imports(path) if m.startswith("stages.")} & STAGES
    assert reached <= {own}, f"{own} must not import {reached - {own}}"


def test_no_import_goes_in_a_circle():
    """A package that imports its own modules is none, unless one of them imports the package."""
    graph = {own: imports(path) & MODULES.keys() - {own} for own, path in MODULES.items()}
    for own, found in graph.items():
        modules_of = {m.rpartition(".")[0] for m in found}
        found -= {package for package in modules_of if f"{package}." in f"{own}."}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_and_functions_fit_on_a_few_screens(path):
    assert len(path.read_text().splitlines()) <= 300
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 60, f"{node.name} has more than 60 lines"


def test_a_name_of_a_module_or_a_public_class_means_one_thing():
    places = defaultdict(set)
    for path, tree in TREES.items():
        own = path.parent if path.stem == "__init__" else path
        if path.stem != "__main__":
            places[own.stem].add(name(own))
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].add(name(path))
    assert {n: p for n, p in places.items() if len(p) > 1 and n not in SAME_IDEA} == {}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_names_and_texts_are_the_fields(path):
    defined = {path.stem}
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined.add(node.name.strip("_"))
        elif isinstance(node, ast.arg):
            defined.add(node.arg)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            defined.add(node.target.id)
    private = {found: PRIVATE[found] for found in sorted(defined & PRIVATE.keys())}
    assert private == {}, "the field has another word"
    assert [phrase for phrase in PHRASES if phrase in path.read_text().lower()] == []


def test_the_fields_words_are_found_where_they_are_meant():
    source = "".join(path.read_text() for path in FILES)
    assert [word for word in FIELD if word not in source] == []


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_blind_except(path):
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            again = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            assert again or caught not in {"everything", "Exception", "BaseException"}, node.lineno


@pytest.mark.parametrize(
    ("module", "libraries"),
    [
        ("pipelines.full", {"transformers", "scipy.stats", "pandas", "ray", "img2dataset"}),
        *[(f"stages.{name}", {"torch", "transformers"}) for name in ("crawl", "measure", "filter")],
        ("stages.crawl.fetch", {"torch", "pandas", "wandb", "albumentations", "webdataset"}),
    ],
)
def test_what_takes_seconds_to_import_is_imported_where_it_is_needed(module, libraries):
    program = f"import sys, {module}; print(*{libraries} & set(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == []


def test_importing_the_list_starts_nothing():
    program = (
        "import sys, threading, pipelines.full\n"
        "assert 'img2dataset' not in sys.modules\n"
        "import ray; assert not ray.is_initialized()\n"
        "assert threading.active_count() < 4, threading.enumerate()"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


def test_the_top_level_holds_these_and_dot_files_only():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    tops = {line.split("/")[0] for line in listed.splitlines()}
    assert {top for top in tops if not top.startswith(".")} <= TOP
