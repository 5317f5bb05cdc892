"""One host is asked by few at a time, not too often, and not at all when it says so."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from stages.crawl.reasons import Refused
from stages.crawl.web.bodies import Budget
from stages.crawl.web.hosts import Hosts, taking_turns


def visits(hosts, places, seconds=0.02, **options):
    """Visit all places at once; return the most at one time and the starts, by place."""
    lock, now, most, starts = threading.Lock(), Counter(), Counter(), {}

    def visit(place):
        with hosts.turn(place, **options):
            with lock:
                now[place] += 1
                most[place] = max(most[place], now[place])
                starts.setdefault(place, []).append(time.monotonic())
            time.sleep(seconds)
            with lock:
                now[place] -= 1

    with ThreadPoolExecutor(len(places)) as threads:
        list(threads.map(visit, places))
    return most, starts


def test_no_host_has_more_visitors_at_a_time_than_is_set():
    most, _ = visits(Hosts(connections=3, pause=0), ["a:80"] * 12 + ["b:80"] * 2)
    assert most == {"a:80": 3, "b:80": 2}


def test_a_crowd_is_let_in():
    hosts, all_in = Hosts(connections=1, pause=0), threading.Barrier(5, timeout=20)

    def visit(_):
        with hosts.turn("a:80", crowd=True):
            all_in.wait()

    with ThreadPoolExecutor(5) as threads:
        list(threads.map(visit, range(5)))


@pytest.mark.parametrize(("own", "asked"), [(0.1, 0.0), (0.0, 0.1), (0.02, 0.1)])
def test_between_two_visits_is_the_longer_pause(own, asked):
    _, starts = visits(Hosts(connections=8, pause=own), ["a:80"] * 6 + ["b:80"], pause=asked)
    assert starts["a:80"][-1] - starts["a:80"][0] > 0.4  # of five pauses, on a busy machine
    assert starts["b:80"][0] < starts["a:80"][-1]  # another host does not wait for it


def test_a_host_that_wants_a_rest_has_it():
    hosts = Hosts(connections=8, pause=0)
    hosts.hold("a:80", 0.2)
    asked = time.monotonic()
    _, starts = visits(hosts, ["a:80", "b:80"])
    assert starts["a:80"][0] - asked > 0.18
    assert starts["b:80"][0] < starts["a:80"][0]


def test_a_host_that_wants_to_be_left_alone_is_and_whoever_waits_for_it_is_told():
    hosts = Hosts(connections=1, pause=0)
    with ThreadPoolExecutor() as threads:
        with hosts.turn("a:80"):
            waiting = threads.submit(visits, hosts, ["a:80"])
            time.sleep(0.1)
            hosts.close("a:80", 3_600)
        with pytest.raises(Refused, match=r"^http_429: asked not to come for"):
            waiting.result(timeout=5)
    with hosts.turn("b:80"):
        pass


def test_a_failed_visit_is_over_too():
    hosts = Hosts(connections=1, pause=0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), hosts.turn("a:80"):
            raise ZeroDivisionError


def test_hosts_that_nobody_visits_are_forgotten():
    hosts = Hosts(connections=1, pause=0)
    for number in range(25_000):
        with hosts.turn(f"h{number}:80"):
            pass
    assert len(hosts._hosts) < 10_002


def test_hosts_take_turns_and_each_keeps_its_order():
    urls = [f"http://{host}.org/{n}" for host in "aab" for n in range(3)] + ["no url", "no url"]
    order = taking_turns(urls)
    assert sorted(order) == list(range(len(urls)))
    turns = [urls[place] for place in order]
    assert turns[:3] == ["http://a.org/0", "http://b.org/0", "no url"]
    assert [url for url in turns if "//a" in url] == [url for url in urls if "//a" in url]
    assert turns[-3:] == ["http://a.org/0", "http://a.org/1", "http://a.org/2"]


def test_a_budget_is_never_overdrawn_and_one_that_is_larger_goes_alone():
    budget, lock, seen = Budget(100), threading.Lock(), []

    def borrow(amount):
        budget.take(amount)
        with lock:
            seen.append((amount, budget.held))
        time.sleep(0.01)
        budget.give_back(amount)

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(borrow, [30] * 20 + [250] * 3 + [100]))
    assert budget.held == 0
    assert max(held for amount, held in seen if amount < 250) <= 100
    assert {held for amount, held in seen if amount == 250} == {250}
