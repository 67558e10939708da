"""A run that is killed again and again ends as if nothing had happened."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest

from nbest.records import read_outcomes
from nbest.types import replace

LANGUAGES = {"ar": "كم؟", "zh": "几个？", "hi": "कितने?", "ja": "いくつ？", "ru": "сколько?", "th": "กี่อัน"}


def command(prompts, out, *more):
    return [
        sys.executable,
        *("-m", "nbest", "run", str(prompts), "--out", str(out), "--select", "random", "--seed", "7"),
        *("--engine", "fake(latency_s=0.02, garbage_rate=0.1, max_n=1, error_rate=0.1)", *more),
    ]


@pytest.fixture
def prompts(tmp_path):
    file = tmp_path / "prompts.jsonl"
    rows = [
        {"id": f"{language}-{i}", "prompt": f"{text} {i}", "language": language, "answer": i}
        for i in range(60)
        for language, text in LANGUAGES.items()
    ]
    file.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows), encoding="utf-8")
    return file


def wait_for(file, process):
    last = time.monotonic() + 20
    while not file.exists() and process.poll() is None and time.monotonic() < last:
        time.sleep(0.005)


def outcomes(path):
    return {o.prompt.id: replace(o, seconds=0.0) for o in read_outcomes(path)}


def test_killed_at_random_moments_and_resumed(prompts, tmp_path):
    subprocess.run(
        command(prompts, tmp_path / "whole", "--concurrency", "50"), check=True, capture_output=True
    )
    whole = outcomes(tmp_path / "whole")
    assert len(whole) == 60 * len(LANGUAGES)

    rng, kills, left = random.Random(1), 0, tmp_path / "killed"
    while kills < 40:
        # Few at a time, so that the whole takes many lives.
        process = subprocess.Popen(
            command(prompts, left, "--concurrency", "2"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        wait_for(left / "manifest.json", process)
        time.sleep(rng.uniform(0.15, 0.7))
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, said
        kills += 1
    subprocess.run(command(prompts, left, "--concurrency", "50"), check=True, capture_output=True)

    assert kills >= 5
    assert outcomes(left) == whole


def test_the_same_command_again_changes_nothing(prompts, tmp_path):
    for _ in range(2):
        subprocess.run(command(prompts, tmp_path / "run"), check=True, capture_output=True)
    lines = (tmp_path / "run" / "outcomes-00000.jsonl").read_bytes().splitlines()
    assert len(lines) == 60 * len(LANGUAGES)


def test_a_second_writer_is_refused_while_the_first_runs(prompts, tmp_path):
    first = subprocess.Popen(
        command(prompts, tmp_path / "run", "--concurrency", "1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(tmp_path / "run" / "manifest.json", first)
        second = subprocess.run(
            command(prompts, tmp_path / "run"), capture_output=True, text=True, check=False
        )
    finally:
        first.kill()
        first.wait()
    assert second.returncode == 2
    assert "being written by another process" in second.stderr
