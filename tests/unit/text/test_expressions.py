"""Mathematics by `math-verify`, where it is installed; spelling alone where it is not."""

import sys

import pytest

from nbest.text import equivalent, expressions, extract
from nbest.worker_process import WorkerProcess

needs_math = pytest.mark.skipif(
    not expressions.is_installed(), reason="the extra `math` (math-verify) is not installed"
)


def test_alike_spellings_need_no_extra():
    assert equivalent(extract(r"\boxed{x^2 + 1}"), "x^2+1")
    assert equivalent(extract(r"\boxed{\dfrac{x}{2}}"), r"\frac{x}{2}")


def test_without_the_extra_other_spellings_are_not_equal(monkeypatch):
    monkeypatch.setattr(expressions, "is_installed", lambda: False)
    assert not equivalent(r"\sqrt{12}", r"2\sqrt{3}")


@needs_math
@pytest.mark.parametrize(
    ("a", "b", "same"), [(r"\sqrt{12}", r"2\sqrt{3}", True), ("x^2+1", "1+x^2", True), ("x+1", "x+2", False)]
)
def test_with_it_they_are_compared_as_mathematics(a, b, same):
    assert equivalent(a, b) is same


@pytest.fixture
def worker(monkeypatch):
    """What plays the process behind it: a script that gets the requests' lines."""
    expressions._are_equal.cache_clear()
    monkeypatch.setattr(expressions, "is_installed", lambda: True)
    made = []

    def play(script: str):
        made.append(WorkerProcess([sys.executable, "-c", script], start_timeout_s=30))
        monkeypatch.setattr(expressions, "_worker", lambda: made[-1])

    yield play
    expressions._are_equal.cache_clear()
    for each in made:
        each.close()


READY = "import json, time; print('{\"ready\": true}', flush=True)\n"
ECHO = READY + "while True: print(json.dumps({'id': json.loads(input())['id'], 'equal': %s}), flush=True)"


@pytest.mark.parametrize(("value", "same"), [("True", True), ("False", False), ("'yes'", False)])
def test_what_the_process_replies_counts(worker, value, same):
    worker(ECHO % value)
    assert expressions.are_equal("1", "2") is same


def test_a_process_that_hangs_means_not_equal(worker, monkeypatch):
    monkeypatch.setattr(expressions, "TIMEOUT_S", 0.05)
    worker(READY + "time.sleep(60)")
    assert expressions.are_equal("1", "2") is False


def test_a_process_that_dies_means_not_equal(worker):
    worker("raise SystemExit")
    assert expressions.are_equal("1", "2") is False
