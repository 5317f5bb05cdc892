"""The recipes "how to extend" work: each is followed literally, in a copy of the tree.

A block of `diff` begins with a path; its lines are to be found there, but for those that it adds.
What is in other blocks is run after that, from the tree's root.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RECIPES = re.findall(r"\[Recipe\]\((.*?)#(.*?)\)", (ROOT / "README.md").read_text())
NOT_SOURCE = shutil.ignore_patterns(".*", "runs", "__pycache__", "*.egg-info", "results")


def blocks(name, anchor):
    """The language and the text of each block of code in one section of a document."""
    sections = re.split(r"^## ", (ROOT / name).read_text(), flags=re.MULTILINE)
    (section,) = (s for s in sections if s.lower().replace(" ", "-").startswith(f"{anchor}\n"))
    return re.findall(r"```(\w+)\n(.*?)```", section, re.DOTALL)


def change(tree, block):
    """Make the change of one `diff`; what it does not add must be there exactly once."""
    path, *lines = block.splitlines()
    before = "\n".join(line[1:] for line in lines if not line.startswith("+"))
    after = "\n".join(line[1:] for line in lines if not line.startswith("-"))
    file = tree / path
    if before:
        assert file.read_text().count(before) == 1, f"{path} has not once:\n{before}"
        file.write_text(file.read_text().replace(before, after))
    else:
        assert not file.exists()
        file.write_text(after + "\n")


@pytest.mark.parametrize(("name", "anchor"), RECIPES)
def test_each_recipe_can_be_followed(name, anchor, tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, ignore=NOT_SOURCE)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PYTHONPATH": str(tree), "PATH": path}
    for language, block in blocks(name, anchor):
        if language == "diff":
            change(tree, block)
        else:
            program = {"bash": ["bash", "-euc"], "python": [sys.executable, "-c"]}[language]
            subprocess.run([*program, block], cwd=tree, env=environment, check=True)
    subprocess.run(["ruff", "check", "--no-cache", "."], cwd=tree, env=environment, check=True)
    subprocess.run(
        ["ruff", "format", "--no-cache", "--check", "."], cwd=tree, env=environment, check=True
    )
