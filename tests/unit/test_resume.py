"""A run that is killed again and again ends as if nothing had happened."""

import json
import random
import signal

import pytest

from nbest.records import read_outcomes
from nbest.types import replace
from processes import Nbest, until

LANGUAGES = {"ar": "كم؟", "zh": "几个？", "hi": "कितने?", "ja": "いくつ？", "ru": "сколько?", "th": "กี่อัน"}
NUM_PROMPTS = 30 * len(LANGUAGES)
MIN_KILLS = 10


def command(prompts, out, *more):
    engine = "fake(latency_s=0.01, garbage_rate=0.1, max_n=1, error_rate=0.1)"
    return ("run", prompts, "--out", out, "--select", "random", "--seed", "7", "--engine", engine, *more)


@pytest.fixture
def prompts(tmp_path):
    file = tmp_path / "prompts.jsonl"
    rows = [
        {"id": f"{language}-{i}", "prompt": f"{text} {i}", "language": language, "answer": i}
        for i in range(NUM_PROMPTS // len(LANGUAGES))
        for language, text in LANGUAGES.items()
    ]
    file.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows), encoding="utf-8")
    return file


def finish(folder, *arguments):
    code, _, err = Nbest(folder, *arguments).wait()
    assert code == 0, err


def size(run):
    """Bytes of records so far."""
    shards = list(run.glob("outcomes-*.jsonl")) if run.exists() else []
    return sum(shard.stat().st_size for shard in shards)


def outcomes(path):
    return {o.prompt.id: replace(o, seconds=0.0) for o in read_outcomes(path)}


def test_killed_at_random_moments_and_resumed(prompts, tmp_path):
    finish(tmp_path, *command(prompts, tmp_path / "whole", "--concurrency", "50"))
    whole = outcomes(tmp_path / "whole")
    assert len(whole) == NUM_PROMPTS

    rng, kills, left = random.Random(1), 0, tmp_path / "killed"
    bytes_a_life = size(tmp_path / "whole") // MIN_KILLS
    while True:
        process = Nbest(tmp_path, *command(prompts, left, "--concurrency", "2"))
        # A life ends within what a prompt writes, wherever that is.
        wanted = size(left) + rng.randrange(bytes_a_life)
        until(lambda wanted=wanted: size(left) > wanted, process)
        code = process.kill()
        if code == 0:
            break
        assert code == -signal.SIGKILL
        kills += 1
        if kills == 3 * MIN_KILLS:
            break
    finish(tmp_path, *command(prompts, left, "--concurrency", "50"))

    assert kills >= MIN_KILLS
    assert outcomes(left) == whole


def test_the_same_command_again_changes_nothing(prompts, tmp_path):
    for _ in range(2):
        finish(tmp_path, *command(prompts, tmp_path / "run"))
    lines = (tmp_path / "run" / "outcomes-00000.jsonl").read_bytes().splitlines()
    assert len(lines) == NUM_PROMPTS


def test_a_second_writer_is_refused_while_the_first_runs(prompts, tmp_path):
    first = Nbest(tmp_path, *command(prompts, tmp_path / "run", "--concurrency", "1"))
    try:
        until((tmp_path / "run" / "manifest.json").exists, first)
        (tmp_path / "second").mkdir()
        code, _, err = Nbest(tmp_path / "second", *command(prompts, tmp_path / "run")).wait()
        assert first.is_running
    finally:
        first.kill()
    assert code == 2
    assert "being written by another process" in err
