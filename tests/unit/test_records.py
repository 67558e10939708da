import os

import msgspec
import pytest

from nbest.errors import InputError, RecordsError
from nbest.records import RunWriter, read_outcomes
from nbest.types import Message, Outcome, Prompt, replace

CONFIG = {"strategy": "parallel", "seed": 0, "engine": {"policy": "fake"}}


def outcome(i, text="สวัสดี", **how):
    prompt = Prompt(id=str(i), messages=(Message(role="user", content=text),))
    return replace(
        Outcome(prompt=prompt, strategy="s", seed=0, selection=None, candidates=(), usage={}), **how
    )


def write(path, outcomes, config=CONFIG, **how):
    with RunWriter(path, config, **how) as run:
        for o in outcomes:
            run.append(o)


def ids(path):
    return [o.prompt.id for o in read_outcomes(path)]


def test_what_is_written_is_read(tmp_path):
    outcomes = [outcome(i, text) for i, text in enumerate(["مرحبا", "你好\n", "नमस्ते", "\u2028", "привет"])]
    write(tmp_path, outcomes)
    assert list(read_outcomes(tmp_path)) == outcomes


def test_fields_at_their_defaults_take_no_room(tmp_path):
    write(tmp_path, [outcome(1)])
    row = msgspec.json.decode((tmp_path / "outcomes-00000.jsonl").read_bytes())
    assert row.keys() == {"prompt", "strategy", "seed", "selection", "candidates", "usage"}


def test_a_full_shard_is_followed_by_another(tmp_path):
    write(tmp_path, [outcome(i) for i in range(10)], shard_bytes=400)
    assert len(list(tmp_path.glob("outcomes-*.jsonl"))) > 2
    write(tmp_path, [outcome(10)], shard_bytes=400)
    assert ids(tmp_path) == [str(i) for i in range(11)]


def test_a_run_goes_on_under_new_names_of_the_same_plugins(tmp_path):
    write(tmp_path, [outcome(0)], CONFIG | {"engine": {"policy": "reissue(engine=fake, after_s=0.5)"}})
    now = CONFIG | {"engine": {"policy": "hedge(engine=fake, after_s=0.5)"}}
    write(tmp_path, [outcome(1)], now)
    assert ids(tmp_path) == ["0", "1"]
    with pytest.raises(RecordsError, match=r"engine\.policy was 'reissue"):
        write(tmp_path, [outcome(2)], CONFIG | {"engine": {"policy": "hedge(engine=fake, after_s=0.6)"}})


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_torn_last_line_is_cut_and_its_prompt_done_again(tmp_path, cut):
    write(tmp_path, [outcome(i) for i in range(3)])
    shard = tmp_path / "outcomes-00000.jsonl"
    os.truncate(shard, shard.stat().st_size - cut)
    assert ids(tmp_path) == ["0", "1"]
    with RunWriter(tmp_path, CONFIG) as run:
        assert set(run.recorded) == {"0", "1"}
        run.append(outcome(2))
    assert ids(tmp_path) == ["0", "1", "2"]


def test_a_torn_line_longer_than_a_block_is_cut(tmp_path):
    write(tmp_path, [outcome(0)])
    with (tmp_path / "outcomes-00000.jsonl").open("ab") as f:
        f.write(b"x" * 200_000)
    write(tmp_path, [outcome(1)])
    assert ids(tmp_path) == ["0", "1"]


@pytest.mark.parametrize("num_blocks", [1, 2])
@pytest.mark.parametrize("more", [-2, -1, 0, 1])
def test_a_torn_line_about_as_long_as_the_blocks_that_are_read_is_cut(tmp_path, num_blocks, more):
    write(tmp_path, [outcome(0), outcome(1)])
    shard = tmp_path / "outcomes-00000.jsonl"
    whole = shard.read_bytes()
    with shard.open("ab") as f:
        f.write(b"x" * (65536 * num_blocks + more))
    write(tmp_path, [])
    assert shard.read_bytes() == whole


def test_a_damaged_line_is_named(tmp_path):
    write(tmp_path, [outcome(0)])
    with (tmp_path / "outcomes-00000.jsonl").open("ab") as f:
        f.write(b"not json\n")
    with pytest.raises(RecordsError, match=r"00000.jsonl, line 2"):
        list(read_outcomes(tmp_path))


def test_a_prompt_that_failed_is_tried_again_and_its_last_outcome_counts(tmp_path):
    write(tmp_path, [outcome(0), outcome(1, stopped="error", error="HTTP 500"), outcome(2)])
    with RunWriter(tmp_path, CONFIG) as run:
        assert set(run.recorded) == {"0", "2"}
        run.append(outcome(1))
    assert [(o.prompt.id, o.stopped) for o in read_outcomes(tmp_path)] == [
        ("0", "done"),
        ("2", "done"),
        ("1", "done"),
    ]


def test_an_answer_that_a_fallback_chose_stands(tmp_path):
    """A dead verifier is `stopped` "error" without an error of the prompt: its answer is not drawn again."""
    write(tmp_path, [outcome(0, stopped="error", notes=("判定者が失敗した",)), outcome(1)])
    with RunWriter(tmp_path, CONFIG) as run:
        assert set(run.recorded) == {"0", "1"}


def test_another_configuration_is_refused_and_the_keys_named(tmp_path):
    write(tmp_path, [outcome(0)])
    with pytest.raises(RecordsError) as e:
        RunWriter(tmp_path, {**CONFIG, "seed": 1, "engine": {"policy": "llamacpp"}})
    assert "engine.policy was 'fake', is 'llamacpp'; seed was 0, is 1" in str(e.value)
    assert "strategy" not in str(e.value)
    assert ids(tmp_path) == ["0"]


def test_keys_that_differ_are_named_in_alphabetical_order(tmp_path):
    write(tmp_path, [], dict.fromkeys("hgfedcba", 0))
    with pytest.raises(RecordsError) as e:
        write(tmp_path, [], dict.fromkeys("badcfehx", 1))
    named = [part.split(" was ")[0] for part in str(e.value).partition("configuration: ")[2].split("; ")]
    assert named == list("abcdefghx")


def test_two_writers_are_refused(tmp_path):
    with RunWriter(tmp_path, CONFIG), pytest.raises(RecordsError, match="another process"):
        RunWriter(tmp_path, CONFIG)
    RunWriter(tmp_path, CONFIG).close()


def test_closing_twice_is_fine(tmp_path):
    run = RunWriter(tmp_path, CONFIG)
    run.close()
    run.close()


def test_a_file_is_no_run(tmp_path):
    file = tmp_path / "f"
    file.write_text("x")
    with pytest.raises(InputError, match="needs a directory"):
        RunWriter(file, CONFIG)


def test_a_directory_without_a_manifest_is_no_run(tmp_path):
    with pytest.raises(RecordsError, match=r"no manifest\.json"):
        list(read_outcomes(tmp_path))


def test_outcomes_without_a_manifest_are_not_written_over(tmp_path):
    (tmp_path / "outcomes-00000.jsonl").write_text("{}\n")
    with pytest.raises(RecordsError, match="no manifest"):
        RunWriter(tmp_path, CONFIG)
