"""What a terminal shows of a long job."""

from rich.console import Console
from rich.progress import TextColumn

from stages.progress import Bar


def test_what_there_is_to_say_stands_under_the_bar():
    console = Console(record=True, width=80)
    bar = Bar(TextColumn("{task.description} {task.completed}/{task.total}"), console=console)
    bar.add_task("train_prior", total=48_000, completed=1_616)
    console.print(*bar.get_renderables())
    assert console.export_text().strip() == "train_prior 1616/48000"
    bar.note = "step 101/3000\n    4,120 tokens/s"
    console.print(*bar.get_renderables())
    assert [line.rstrip() for line in console.export_text().strip().splitlines()] == [
        "train_prior 1616/48000", "step 101/3000", "    4,120 tokens/s",
    ]  # fmt: skip
