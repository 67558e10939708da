import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nbest import records
from nbest.cli.main import app
from nbest.errors import InputError
from nbest.records import read_manifest, read_outcomes
from nbest.serve.observability import recorder as module
from nbest.serve.observability.recorder import Recorder, is_sampled
from nbest.types import Candidate, Message, Outcome, Prompt, Selection, Usage


def outcome(i, text="42"):
    candidates = tuple(Candidate(id=k, text=text, usage=Usage(completion=1)) for k in range(3))
    return Outcome(
        prompt=Prompt(
            id=f"req-{i}", messages=(Message(role="user", content="六かける七は？"),), language="ja"
        ),
        strategy="parallel(selector=vote)",
        seed=0,
        selection=Selection(winner=candidates[0], weights={0: 1.0}),
        candidates=candidates,
        usage={"policy": Usage(prompt=3, completion=3, calls=1)},
    )


def runs(directory):
    return sorted(directory.iterdir())


def test_what_is_offered_is_a_run_that_other_commands_read(tmp_path, capsys):
    recorder = Recorder(tmp_path / "record", {"strategy": "parallel(selector=vote)"})
    for i in range(5):
        recorder.offer(outcome(i))
    assert recorder.close(60)
    assert recorder.num_recorded == 5
    (run,) = runs(tmp_path / "record")
    assert [o.prompt.id for o in read_outcomes(run)] == [f"req-{i}" for i in range(5)]
    assert read_manifest(run)["config"] == {"strategy": "parallel(selector=vote)"}
    for arguments in (
        ["eval", str(run)],
        ["select", str(run), "--select", "vote", "--out", str(tmp_path / "chosen")],
        ["report", str(run), "--out", str(tmp_path / "report.html")],
    ):
        app(arguments, standalone_mode=False)
    assert "5 prompts, 15 candidates" in capsys.readouterr().err
    assert run.name in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_sample_is_the_same_everywhere_and_of_the_size_asked_for(tmp_path):
    recorder = Recorder(tmp_path, {}, rate=0.3)
    for i in range(400):
        recorder.offer(outcome(i))
    recorder.close(60)
    recorded = {o.prompt.id for run in runs(tmp_path) for o in read_outcomes(run)}
    assert recorded == {f"req-{i}" for i in range(400) if is_sampled(f"req-{i}", 0.3)}
    assert 80 < len(recorded) < 160


def test_rates_at_the_ends():
    assert all(is_sampled(str(i), 1.0) for i in range(1000))
    assert not any(is_sampled(str(i), 0.0) for i in range(1000))


def test_a_new_directory_after_so_many_outcomes(tmp_path):
    recorder = Recorder(tmp_path, {}, rotate_outcomes=2)
    for i in range(5):
        recorder.offer(outcome(i))
    recorder.close(60)
    assert sorted(len(list(read_outcomes(run))) for run in runs(tmp_path)) == [1, 2, 2]


def test_a_new_directory_every_day(tmp_path):
    days = iter([1.0, 2.0, 86402.0])
    recorder = Recorder(tmp_path, {}, clock=lambda: next(days))
    for i in range(3):
        recorder.offer(outcome(i))
    recorder.close(60)
    assert sorted(len(list(read_outcomes(run))) for run in runs(tmp_path)) == [1, 2]


def test_a_new_directory_under_every_configuration(tmp_path):
    recorder = Recorder(tmp_path, {"strategy": "first"})
    for i, strategy in enumerate(("first", "vote", "vote", "mbr")):
        recorder.use({"strategy": strategy})
        recorder.offer(outcome(i))
        wait_until(lambda i=i: recorder.num_recorded > i)
    recorder.close(60)
    found = {
        read_manifest(run)["config"]["strategy"]: len(list(read_outcomes(run))) for run in runs(tmp_path)
    }
    assert found == {"first": 1, "vote": 2, "mbr": 1}


def test_replicas_share_a_directory(tmp_path):
    both = [Recorder(tmp_path, {"replica": k}) for k in range(2)]
    for i in range(10):
        both[i % 2].offer(outcome(i))
    assert all(r.close(60) for r in both)
    assert sorted(o.prompt.id for run in runs(tmp_path) for o in read_outcomes(run)) == sorted(
        f"req-{i}" for i in range(10)
    )
    assert len(runs(tmp_path)) == 2


def test_a_disk_that_refuses_costs_what_came_while_it_did(tmp_path, monkeypatch):
    now = 0.0
    recorder = Recorder(tmp_path, {}, clock=lambda: now)
    really_write = os.write
    recorder.offer(outcome(0))
    wait_until(lambda: recorder.num_recorded == 1)

    def half(file, line):
        really_write(file, line[: len(line) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records.os, "write", half)
    recorder.offer(outcome(1))
    wait_until(lambda: recorder.num_dropped == 1)
    monkeypatch.undo()
    recorder.offer(outcome(2))  # too soon after the fault
    wait_until(lambda: recorder.num_dropped == 2)
    now = 11.0
    recorder.offer(outcome(3))
    assert recorder.close(60)
    first, second = sorted(runs(tmp_path), key=lambda run: (run / "outcomes-00000.jsonl").stat().st_mtime_ns)
    assert [o.prompt.id for o in read_outcomes(first)] == ["req-0"]
    assert [o.prompt.id for o in read_outcomes(second)] == ["req-3"]


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_full_disk_leaves_no_halves_of_runs_and_no_open_files(tmp_path, monkeypatch, call):
    now = 0.0
    recorder = Recorder(tmp_path, {}, clock=lambda: now)

    def full(*_):
        raise OSError(28, "No space left on device")

    before = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(records.os, call, full)
    for i in range(5):
        now += 11.0
        recorder.use({"config": i})
        recorder.offer(outcome(i))
        wait_until(lambda i=i: recorder.num_dropped + recorder.num_recorded == i + 1)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2
    monkeypatch.undo()
    now += 11.0
    recorder.offer(outcome(5))
    assert recorder.close(60)
    assert "req-5" in [o.prompt.id for run in runs(tmp_path) for o in read_outcomes(run)]


def test_a_request_never_waits_for_the_disk(tmp_path, monkeypatch):
    may_write = threading.Event()
    monkeypatch.setattr(module.RunWriter, "append", lambda self, o: may_write.wait(60))
    recorder = Recorder(tmp_path, {})
    for i in range(1000):
        recorder.offer(outcome(i))
    assert recorder.num_dropped >= 1000 - 512 - 1
    may_write.set()
    assert recorder.close(60)


def test_nothing_is_lost_but_what_was_in_flight_when_the_process_is_killed(tmp_path):
    code = """
import sys, time
sys.path.insert(0, sys.argv[2])
from test_recorder import Recorder, outcome
recorder = Recorder(sys.argv[1], {})
for i in range(10**6):
    recorder.offer(outcome(i, "四十二" * 50))
    time.sleep(0.0005)
    if i == 200:
        print(recorder.num_recorded, flush=True)
"""
    here = Path(__file__).parent
    child = subprocess.Popen([sys.executable, "-c", code, tmp_path, here], stdout=subprocess.PIPE)
    num_recorded = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    (run,) = runs(tmp_path)
    ids = [o.prompt.id for o in read_outcomes(run)]
    assert num_recorded > 10
    assert len(ids) >= num_recorded
    assert ids == [f"req-{i}" for i in range(len(ids))]


def test_a_directory_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"record: .* cannot be made"):
        Recorder(tmp_path / "file" / "record", {})


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)
