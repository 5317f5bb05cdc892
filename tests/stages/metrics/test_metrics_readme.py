"""The example of the metrics' README prints what it says."""

import re
from pathlib import Path

README = Path(__file__).resolve().parents[3] / "stages/metrics/README.md"


def test_the_example_runs_and_prints_what_its_comment_says(capsys):
    (program,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    exec(program, {})
    (said,) = re.findall(r"# (0\.\d+), of which", program)
    assert capsys.readouterr().out.splitlines()[0] == said
