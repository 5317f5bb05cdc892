"""The house keeps its shape."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "schemas": {"schemas"},
    "infra": {"infra", "schemas"},
    "stages": {"stages", "schemas"},
    "pipelines": {"pipelines", "infra", "stages", "schemas"},
}
FILES = sorted(path for top in MAY_IMPORT for path in (ROOT / top).rglob("*.py"))
SHARED = {
    "__init__", "ahead", "digests", "models", "pictures", "progress", "seeds", "shapes", "shards",
    "storage", "tables", "training",
}  # fmt: skip
TOP = {
    "stages", "pipelines", "schemas", "infra", "tests", "pyproject.toml", "README.md", "Makefile",
    "LICENSE", "SECURITY.md",
}  # fmt: skip


def name(path):
    return str(path.relative_to(ROOT))


def imports(path):
    """Every module a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
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
def test_no_stage_imports_another_stage(path):
    own = path.relative_to(ROOT / "stages").parts[0].removesuffix(".py")
    rooms = {p.name.removesuffix(".py") for p in (ROOT / "stages").iterdir()} - SHARED
    reached = {m.split(".")[1] for m in imports(path) if m.startswith("stages.")} & rooms
    assert reached <= {own}, f"{own} must not import {reached - {own}}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_blind_except(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            again = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            assert again or caught not in {"everything", "Exception", "BaseException"}, node.lineno


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
