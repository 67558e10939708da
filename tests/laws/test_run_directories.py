"""A run directory, written by one process after another and cut anywhere, against a list."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from nbest.records import RunWriter, read_outcomes, recorded_prompts
from nbest.types import Outcome, replace
from scripted import prompt_of

OUTCOMES = st.builds(
    lambda id_, text, error, stopped: Outcome(
        prompt=prompt_of(text, id=id_),
        strategy="s",
        seed=0,
        selection=None,
        candidates=(),
        usage={},
        error=error,
        stopped=stopped,
    ),
    st.sampled_from("abc"),
    st.sampled_from(["да", "你好\n", "สวัสดี\u2028"]),
    st.none() | st.just("сбой"),
    st.sampled_from(["done", "error", "budget"]),
)
SESSIONS = st.lists(
    st.tuples(
        st.lists(OUTCOMES, max_size=4),
        st.sampled_from([1, 300, 400, 10_000]),  # bytes of a shard
        st.integers(0, 40),  # bytes that a killed writer leaves of one more line
    ),
    max_size=4,
)


def last_of_each(written):
    """The outcomes that count, in the order in which they were written."""
    last = {outcome.prompt.id: place for place, outcome in enumerate(written)}
    return [written[place] for place in sorted(last.values())]


@settings(max_examples=50)
@given(SESSIONS)
def test_a_run_is_the_last_outcome_of_each_prompt(sessions):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        written = []
        for outcomes, shard_bytes, num_torn in sessions:
            with RunWriter(path, {}, shard_bytes=shard_bytes) as run:
                standing = [o for o in last_of_each(written) if not (o.stopped == "error" and o.error)]
                assert run.recorded == {o.prompt.id: o.prompt for o in standing}
                for outcome in outcomes:
                    run.append(outcome)
            written += outcomes
            with max(path.glob("outcomes-*.jsonl")).open("ab") as shard:
                shard.write(b'{"prompt": "torn away in the middle of a line'[:num_torn])
            check_read(path, written)


def check_read(path, written):
    assert list(read_outcomes(path)) == last_of_each(written)
    prompts = {prompt.id: prompt for prompt in recorded_prompts(path)}
    assert prompts == {o.prompt.id: o.prompt for o in last_of_each(written)}
    shards = sorted(shard.name for shard in path.glob("outcomes-*.jsonl"))
    assert shards == [f"outcomes-{i:05}.jsonl" for i in range(len(shards))]


@settings(max_examples=30)
@given(st.lists(OUTCOMES, min_size=1, max_size=8), st.integers(200, 700))
def test_a_shard_holds_as_many_lines_as_fit_and_at_least_one(outcomes, shard_bytes):
    outcomes = [replace(o, prompt=replace(o.prompt, id=str(i))) for i, o in enumerate(outcomes)]
    with tempfile.TemporaryDirectory() as folder:
        with RunWriter(folder, {}, shard_bytes=shard_bytes) as run:
            for outcome in outcomes:
                run.append(outcome)
        shards = [shard.read_bytes() for shard in sorted(Path(folder).glob("outcomes-*.jsonl"))]
    lines = b"".join(shards).splitlines(keepends=True)
    expected = [b""]
    for line in lines:
        if expected[-1] and len(expected[-1]) + len(line) > shard_bytes:
            expected.append(b"")
        expected[-1] += line
    assert shards == expected
