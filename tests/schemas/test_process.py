"""Who is still at work: real processes, in containers and without /proc as well."""

import os
import subprocess
import sys
import time

import pytest

from schemas import process
from schemas.process import GONE, Process


@pytest.fixture(params=["/proc", "ps"], autouse=True)
def source(request, monkeypatch):
    """Linux tells by /proc; elsewhere ps does, which is on this machine too."""
    if request.param == "ps":
        monkeypatch.setattr(process, "started", process._by_ps)
    return request.param


def child(program):
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def test_whoever_asks_is_at_work():
    here = Process.here()
    assert (here.is_of_this_machine, here.is_at_work, here.is_gone) == (True, True, False)


def test_two_processes_that_ask_find_the_same(source):
    by = "_by_ps" if source == "ps" else "started"
    program = f"from schemas.process import {by} as by; print(by({os.getpid()}))"
    assert child(program).communicate()[0].strip() == Process.here().started


def test_the_word_does_not_depend_on_language_or_zone(monkeypatch):
    before = Process.here().started
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    time.tzset()
    assert Process.here().started == before


def test_a_process_that_has_ended_is_gone_also_while_nobody_has_asked_how():
    zombie = child("print('up', flush=True); input = None")
    assert zombie.stdout.readline() == "up\n"
    while process.started(zombie.pid) != GONE:
        time.sleep(0.01)
    assert zombie.returncode is None  # not reaped
    was = Process.here(pid=zombie.pid, started="1")
    assert (was.is_gone, was.is_at_work) == (True, False)
    zombie.wait()
    assert was.is_gone


def test_a_number_that_is_used_again_is_another_process():
    again = Process.here(started="Mon Jan  1 00:00:00 2001")
    assert (again.is_gone, again.is_at_work) == (True, False)


def test_of_a_machine_of_the_same_name_or_another_container_nothing_is_known():
    boot, container = process.this_machine().split()
    for machine in (f"{boot[::-1]} {container}", f"{boot} pid:[1]", ""):
        other = Process.here(machine=machine, pid=2**22 + 1)
        assert (other.is_of_this_machine, other.is_gone, other.is_at_work) == (False,) * 3


def test_a_process_that_is_hidden_may_be_at_work(monkeypatch):
    def refused(*_):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refused)  # as for another user's, with hidepid=2
    hidden = Process.here(pid=2**22 + 1)
    assert (hidden.is_gone, hidden.is_at_work) == (False, False)
