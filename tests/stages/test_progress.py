"""What a terminal shows of a long job."""

import os
import pty
import sys
import threading

import pytest
from rich.console import Console
from rich.progress import TextColumn

from stages.progress import Bar, Progress


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


def test_a_bar_that_is_stopped_while_it_begins_gives_the_terminal_back(monkeypatch):
    def stopped(thread):
        raise KeyboardInterrupt

    own, its = pty.openpty()
    with os.fdopen(its, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        patch.setattr(threading.Thread, "start", stopped)
        before = sys.stdout
        with pytest.raises(KeyboardInterrupt), Progress("draw", 8):
            pass
        assert sys.stdout is before
        assert sys.stderr is terminal
        shown = b""
        while b"\x1b[?25h" not in shown:  # shows the cursor
            shown += os.read(own, 4096)
    os.close(own)
