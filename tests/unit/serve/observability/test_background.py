import threading
import time

from nbest.serve.observability.background import Background


def test_in_order_and_to_the_end():
    done = []
    background = Background(done.append, size=100, name="t", at_end=lambda: done.append("end"))
    assert all(background.offer(i) for i in range(50))
    assert background.close(60)
    assert done == [*range(50), "end"]
    assert background.close(60)


def test_what_is_too_much_is_dropped_and_counted():
    may_go = threading.Event()
    started = threading.Event()
    done = []

    def work(item):
        started.set()
        may_go.wait(60)
        done.append(item)

    background = Background(work, size=2, name="t")
    background.offer(0)
    started.wait(60)
    assert [background.offer(i) for i in (1, 2, 3, 4)] == [True, True, False, False]
    assert (background.num_waiting, background.num_dropped) == (2, 2)
    assert not background.close(0.01)
    may_go.set()
    assert background.close(60)
    assert done[0] == 0


def test_after_the_end_nothing_is_taken():
    background = Background(print, size=2, name="t")
    background.close(60)
    assert not background.offer(1)
    assert background.num_dropped == 1


def test_one_failure_costs_one_item():
    done = []

    def work(item):
        if item == 1:
            raise OSError("no space")
        done.append(item)

    background = Background(work, size=10, name="t")
    for i in range(3):
        background.offer(i)
    background.close(60)
    assert done == [0, 2]
    assert background.num_failed == 1


def test_failures_are_said_again_after_a_minute(caplog, monkeypatch):
    now = [0.0]

    def work(item):
        now[0] = item
        raise OSError("no space")

    background = Background(work, size=300, name="記録")
    monkeypatch.setattr(background._failures, "_clock", lambda: now[0])
    for second in range(130):
        background.offer(float(second))
    background.close(60)
    assert [r.message for r in caplog.records] == [
        "記録 fails: no space",
        "記録 fails: no space (59 more times since the last such line)",
        "記録 fails: no space (59 more times since the last such line)",
    ]


def test_a_burst_that_is_patient_is_all_taken():
    done = []
    background = Background(lambda i: (time.sleep(0.001), done.append(i)), size=5, name="t")
    assert all(background.offer(i, patience_s=60) for i in range(100))
    assert background.close(60)
    assert (done, background.num_dropped) == ([*range(100)], 0)


def test_nobody_waits_for_what_makes_no_progress():
    may_go, started, done = threading.Event(), threading.Event(), []

    def work(item):
        started.set()
        may_go.wait(60)
        done.append(item)

    background = Background(work, size=1, name="t")
    background.offer(0)
    started.wait(60)
    before = time.monotonic()
    assert [background.offer(i, patience_s=0.2) for i in range(1, 50)] == [True] + [False] * 48
    assert 0.2 <= time.monotonic() - before < 5  # and not 48 times as long
    may_go.set()
    while len(done) < 2:
        time.sleep(0.001)
    assert [background.offer(i, patience_s=60) for i in range(5)] == [True] * 5
    background.close(60)
