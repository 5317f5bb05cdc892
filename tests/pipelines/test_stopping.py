"""Ctrl-C and its like: one line, the shell's exit code, nothing left; a second one at once."""

import os
import signal
import subprocess
import sys
import time

import pytest

from infra.store import Store
from tests.pipelines.runs import ROOT, command, full, statuses

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
PROGRAM = """
import sys, time
from pipelines.command import stopping
def main():
    try:
        with stopping.during("crawl"):
            print("up", flush=True)
            time.sleep(60)
    except KeyboardInterrupt:
        raise KeyboardInterrupt from None  # as Ray does
    finally:
        print("cleaning", flush=True)
        time.sleep(float(sys.argv[1]))
        print("clean", flush=True)
    return 0
stopping.GRACE_SECONDS = float(sys.argv[2])
sys.exit(stopping.stoppable(main))
"""


def begun(cleaning, ignored=(), grace=600):
    """Start a program that has something to clean up, in a process group of its own."""

    def ignore():  # whatever `nohup`, or `&` in a script, lets this process ignore
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(cleaning), str(grace), "a b"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=ignore,
    )
    assert process.stdout.readline() == "up\n"
    return process


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_command_in_one_line_after_it_has_cleaned_up(number):
    process = begun(0)
    os.killpg(process.pid, number)
    out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + number, "cleaning\nclean\n")
    assert said.count("\n") == 1
    assert "in crawl; finished work is kept, and the same command resumes: -c 0 600 'a b'" in said


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_leaves_at_once(number):
    process = begun(600)
    os.killpg(process.pid, signal.SIGINT)
    assert process.stdout.readline() == "cleaning\n"
    os.killpg(process.pid, number)
    out, said = process.communicate(timeout=60)
    assert (process.returncode, out, said) == (128 + number, "", "")


def test_cleaning_up_that_takes_too_long_is_left():
    process = begun(600, grace=0.1)
    os.killpg(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said.count("\n")) == (128 + signal.SIGTERM, 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_what_a_shell_or_nohup_ignores_stays_ignored(number):
    process = begun(0, ignored=[number])
    os.killpg(process.pid, number)
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM


def test_signals_are_as_they_were_afterwards():
    from pipelines.command.stopping import stoppable

    before = [signal.getsignal(number) for number in SIGNALS]
    assert stoppable(lambda: 7) == 7
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.slow
def test_a_run_that_is_stopped_leaves_nothing_and_goes_on(tiny_run, tmp_path):
    """A terminal's Ctrl-C reaches the whole group: Ray's processes and workers too."""
    root = tmp_path / "run"
    for name in ("crawl", "measure", "filter", "train_bpe"):
        address = Store(str(tiny_run)).summary().stages[name].artifact
        (root / address).parent.mkdir(parents=True)
        os.symlink(tiny_run / address, root / address)
    (tmp_path / "tmp").mkdir()
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp"), "OMP_NUM_THREADS": "1"}
    with (tmp_path / "log.txt").open("w") as log:
        run = subprocess.Popen(
            command("--from", "train_dvae", "--until", "train_dvae", root=root),
            stdout=log, stderr=log, cwd=tmp_path, env=environment, start_new_session=True,
        )  # fmt: skip
        while statuses(root).get("train_dvae") != "running":
            assert run.poll() is None, (tmp_path / "log.txt").read_text()[-3000:]
            time.sleep(0.1)
        time.sleep(3)
        os.killpg(run.pid, signal.SIGINT)
        assert run.wait(60) == 130
    said = (tmp_path / "log.txt").read_text()
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("stopped by Ctrl-C in train_dvae; finished work")
    assert not list(root.rglob("owner.json"))
    assert not [name for name in os.listdir(tmp_path / "tmp") if name != "ray"]
    full("--from", "train_dvae", "--until", "train_dvae", root=root)


COMMANDS = [
    path.relative_to(ROOT / "pipelines").parts[0].removesuffix(".py")
    for path in (ROOT / "pipelines").rglob("*.py")
    if "\ndef main(" in path.read_text()
]
# Python imports this first; it stops the program as that imports its first larger module.
EARLY = """
import os, signal, sys, time
class Stop:
    def find_spec(self, name, path=None, target=None):
        if name in ("numpy", "pyarrow", "torch", "rich", "infra", "pipelines.command"):
            os.kill(os.getpid(), {number})
            time.sleep(60)
sys.meta_path.insert(0, Stop())
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_while_a_command_is_imported_is_one_line(tmp_path, name):
    said = stopped_early(tmp_path, signal.SIGINT, "-m", f"pipelines.{name}")
    assert said == (130, "", "stopped by Ctrl-C\n")


def test_sigterm_while_a_file_is_imported_is_one_line_too(tmp_path):
    said = stopped_early(tmp_path, signal.SIGTERM, str(ROOT / "pipelines/full.py"))
    assert said == (143, "", "stopped by SIGTERM\n")


def stopped_early(folder, number, *command):
    (folder / "sitecustomize.py").write_text(EARLY.format(number=int(number)))
    done = subprocess.run(
        [sys.executable, *command],
        env=os.environ | {"PYTHONPATH": f"{folder}:{ROOT}"},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr
