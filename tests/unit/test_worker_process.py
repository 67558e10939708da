"""Processes that are called by lines of JSON."""

import asyncio
import json
import os
import sys
import threading
import time

import pytest

from nbest.errors import EngineError, EngineProtocolError, EngineTimeoutError, InputError
from nbest.worker_process import WorkerProcess

ECHO = """
import json, os, sys, time
print('{"ready": true}', flush=True)
for line in sys.stdin:
    request = json.loads(line)
    time.sleep(request.get("seconds", 0))
    if request.get("exit"):
        print("out of memory: 内存不足", file=sys.stderr, flush=True)
        os._exit(7)
    print(json.dumps({**request, "pid": os.getpid()}), flush=True)
"""


@pytest.fixture
def play():
    made = []

    def worker(script: str = ECHO, *, start_timeout_s: float = 30.0):
        made.append(WorkerProcess([sys.executable, "-c", script], start_timeout_s=start_timeout_s))
        return made[-1]

    yield worker
    for each in made:
        each.close()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("text", ["٤٢", "四十二", "बयालीस", "👨‍👩‍👧\n\u2028", "x" * 300_000])
def test_a_reply_belongs_to_its_request_in_any_script_and_size(play, text):
    worker = play()
    assert worker.call({"text": text}, timeout_s=30)["text"] == text
    assert worker.call({"text": "next"}, timeout_s=30)["text"] == "next"


def test_threads_share_one_process_and_replies_do_not_mix(play):
    worker = play()
    replies = {}

    def ask(i: int) -> None:
        replies[i] = worker.call({"i": i}, timeout_s=30)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {i: r["i"] for i, r in replies.items()} == {i: i for i in range(20)}
    assert len({r["pid"] for r in replies.values()}) == 1


def test_a_request_that_takes_too_long_ends_the_process_and_the_next_starts_another(play):
    worker = play()
    first = worker.call({}, timeout_s=30)["pid"]
    with pytest.raises(EngineTimeoutError, match=r"no answer within 0\.1 s"):
        worker.call({"seconds": 60}, timeout_s=0.1)
    assert not is_alive(first)
    assert worker.call({}, timeout_s=30)["pid"] != first


def test_a_process_that_reads_nothing_does_not_hang_a_large_request(play):
    worker = play("import time; print('{\"ready\": true}', flush=True); time.sleep(60)")
    with pytest.raises(EngineTimeoutError):
        worker.call({"text": "x" * 1_000_000}, timeout_s=0.2)


def test_a_process_that_is_never_ready_is_ended(play):
    with pytest.raises(EngineTimeoutError):
        play("import time; time.sleep(60)", start_timeout_s=0.2).call({}, timeout_s=30)


def test_a_process_that_ends_is_quoted_and_started_again(play):
    worker = play()
    with pytest.raises(EngineError, match="ended with 7: out of memory: 内存不足"):
        worker.call({"exit": True}, timeout_s=30)
    assert worker.call({"i": 1}, timeout_s=30)["i"] == 1


def test_a_process_that_ended_between_two_requests_is_started_again(play):
    worker = play()
    first = worker.call({}, timeout_s=30)["pid"]
    os.kill(first, 9)
    assert worker._running is not None
    worker._running._process.wait()
    assert worker.call({}, timeout_s=30)["pid"] != first


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("print('hello', flush=True); input()", "no line of JSON"),
        ("print('[1]', flush=True); input()", "no line of JSON"),
        ("print('{}', flush=True); input()", "must begin with"),
    ],
)
def test_a_process_of_another_protocol(play, script, message):
    with pytest.raises(EngineProtocolError, match=message):
        play(script).call({}, timeout_s=30)


def test_a_command_that_does_not_exist():
    with pytest.raises(InputError, match="does not start"):
        WorkerProcess(["/nowhere/python"], start_timeout_s=1).call({}, timeout_s=1)


def test_a_worker_that_was_never_called_closes():
    WorkerProcess(["nothing"], start_timeout_s=1).close()


def test_closing_ends_the_process_also_while_it_is_at_work(play):
    worker = play()
    pid = worker.call({}, timeout_s=30)["pid"]
    worker.close()
    assert not is_alive(pid)

    pid = worker.call({}, timeout_s=30)["pid"]
    errors = []

    def ask() -> None:
        try:
            worker.call({"seconds": 60}, timeout_s=60)
        except EngineError as e:
            errors.append(e)

    thread = threading.Thread(target=ask)
    thread.start()
    while not worker._lock.locked():
        time.sleep(0.001)
    worker.close()
    thread.join(10)
    assert len(errors) == 1
    assert not is_alive(pid)


async def test_a_cancelled_request_leaves_the_process_and_its_answer_is_not_the_next_ones(play):
    worker = play()
    pid = (await worker.call_async({"i": 0}, timeout_s=30))["pid"]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await worker.call_async({"i": 1, "seconds": 0.2}, timeout_s=30)
    reply = await worker.call_async({"i": 2}, timeout_s=30)
    assert (reply["i"], reply["pid"]) == (2, pid)
    await worker.aclose()
    assert not is_alive(pid)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_starts_its_own_and_leaves_the_parents(play):
    worker = play()
    pid = worker.call({}, timeout_s=30)["pid"]
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:  # the pipe tells what the child sees; it leaves without the test runner's clean-up
        replies = [worker.call({"i": i}, timeout_s=30) for i in range(3)]
        worker.close()
        os.write(write_end, json.dumps(replies).encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, encoding="utf-8") as pipe:
        own = [worker.call({"i": i}, timeout_s=30) for i in range(10, 13)]
        theirs = json.load(pipe)
    os.waitpid(child, 0)
    assert [r["i"] for r in theirs] == [0, 1, 2]
    assert {r["pid"] for r in theirs}.isdisjoint({pid})
    assert [(r["i"], r["pid"]) for r in own] == [(i, pid) for i in range(10, 13)]
    assert worker.call({}, timeout_s=30)["pid"] == pid


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_process_forked_while_a_request_is_under_way_can_call_too(play):
    worker = play()
    worker.call({}, timeout_s=30)
    thread = threading.Thread(target=worker.call, args=({"seconds": 0.5},), kwargs={"timeout_s": 30})
    thread.start()
    while not worker._lock.locked():
        time.sleep(0.001)
    child = os.fork()
    if child == 0:
        reply = worker.call({"i": 5}, timeout_s=30)
        worker.close()
        os._exit(0 if reply["i"] == 5 else 1)
    assert os.waitpid(child, 0)[1] == 0
    thread.join()
