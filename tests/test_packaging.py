"""What an installation copies: every file that the code reads, not only the Python ones."""

import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
READ_BY_PEOPLE = ("README.md", "requirements.lock")


def test_files_beside_the_code_are_packaged():
    tops = ("schemas", "stages", "pipelines", "infra")
    listed = subprocess.check_output(("git", "ls-files", *tops), cwd=ROOT, text=True).split()
    beside = [Path(f) for f in listed if not f.endswith((".py", *READ_BY_PEOPLE))]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = settings["package-data"]["*"]
    assert len(beside) > 5
    assert [f for f in beside if not any(f.match(pattern) for pattern in patterns)] == []
