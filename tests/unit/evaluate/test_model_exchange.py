"""A voting small model against a larger one: `nbest plan exchange`."""

import asyncio
import json

import pytest

from commandline import nbest
from nbest.datasets import Pool
from nbest.errors import InputError
from nbest.evaluate.model_exchange import exchange_rows, read_pair
from nbest.scoring.oracle import Oracle
from nbest.types import Candidate, Prompt, SamplingParams, Usage
from scripted import prompt_of


def pool(id_, texts, *, language="en", tokens=10, greedy=False):
    prompt = Prompt(id=id_, messages=prompt_of("?").messages, language=language)
    params = SamplingParams(temperature=0.0 if greedy else 1.0)
    candidates = tuple(
        Candidate(id=i, text=text, params=params if i == 0 else None, usage=Usage(completion=tokens))
        for i, text in enumerate(texts)
    )
    return Pool(prompt, {"answer": "42"}, candidates)


def small():
    """Six easy prompts, two medium in Hindi, two hard ones in Thai."""
    easy = [pool(f"e{i}", ["42"] * 12) for i in range(6)]
    medium = [pool(f"m{i}", ["42", "42", "1", "2", "3", "4"] * 2, language="hi") for i in range(2)]
    hard = [pool(f"h{i}", ["1"] * 12, language="th") for i in range(2)]
    return easy + medium + hard


def large():
    return [pool(p.prompt.id, ["42"], tokens=20, language=p.prompt.language) for p in small()]


def rows_of(large_pools=None, rates=None):
    pair = asyncio.run(read_pair(small(), large_pools or large(), Oracle()))
    return {row.group: row for row in exchange_rows(*pair, rates or {"x": 2.0})}


def test_groups_are_bins_and_languages():
    rows = rows_of()
    numbers = {name: row.num_prompts for name, row in rows.items()}
    assert numbers == {"all": 10, "easy": 6, "medium": 2, "hard": 2, "en": 6, "hi": 2, "th": 2}
    assert (rows["easy"].small.value, rows["easy"].difference.value) == (1, 0)
    assert (rows["hard"].small.value, rows["hard"].difference.value) == (0, -1)
    assert (
        rows["all"].draws == rows["all"].affordable == 4
    )  # twice the tokens of an answer that is twice as long


def test_more_than_is_recorded_and_less_than_one_draw():
    row = rows_of(rates={"x": 50.0})["all"]
    assert (row.draws, row.affordable) == (6, 100)
    nothing = rows_of(rates={"x": 0.4})["all"]
    assert (nothing.draws, nothing.small, nothing.difference) == (0, None, None)
    assert nothing.large.value == 1


def test_the_larger_model_gives_its_greedy_answer_or_its_mean_draw():
    sampled = [pool(p.prompt.id, ["42", "1", "1", "1"]) for p in small()]
    assert rows_of(sampled)["all"].large.value == pytest.approx(0.25)
    greedy = [pool(p.prompt.id, ["42", "1", "1", "1"], greedy=True) for p in small()]
    assert rows_of(greedy)["all"].large.value == 1


def test_models_without_a_common_prompt():
    with pytest.raises(InputError, match="no prompt in common"):
        asyncio.run(read_pair(small(), [pool("other", ["42"])], Oracle()))


def write(path, pools):
    rows = [
        {
            "id": p.prompt.id,
            "prompt": "?",
            "language": p.prompt.language,
            "answer": "42",
            "candidates": [
                {"text": c.text, "usage": {"completion": c.usage.completion}} for c in p.candidates
            ],
        }
        for p in pools
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_the_command(tmp_path):
    paths = write(tmp_path / "small.jsonl", small()), write(tmp_path / "large.jsonl", large())
    rows = json.loads(nbest("plan", "exchange", *paths, "--times", "14", "--json").stdout)
    assert [row["rate"] for row in rows if row["group"] == "all"] == ["R = 0.16", "R = 0.79", "R = 22"]
    assert rows[0]["multiplier"] == pytest.approx(257.75)

    own = ("--inference-tokens", "2", "--pretraining-tokens", "10")
    rows = json.loads(nbest("plan", "exchange", *paths, "--times", "2", *own, "--json").stdout)
    assert (rows[0]["rate"], rows[0]["multiplier"]) == ("R = 0.2", 17)
    prices = ("--small-price", "0.5", "--large-price", "1")
    rows = json.loads(nbest("plan", "exchange", *paths, *prices, "--json").stdout)
    assert (rows[0]["rate"], rows[0]["multiplier"]) == ("prices", 2)
    assert "medium" in nbest("plan", "exchange", *paths, *prices, may_fail=False).stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "give --times"),
        (("--times", "0.5"), "size_ratio must be"),
        (("--times", "2", "--inference-tokens", "1"), "both tokens or neither"),
        (("--small-price", "1"), "both prices or neither"),
        (("--times", "2", "--small-price", "1", "--large-price", "2"), "one of them decides"),
    ],
)
def test_options_that_do_not_go_together(tmp_path, options, message):
    paths = write(tmp_path / "small.jsonl", small()), write(tmp_path / "large.jsonl", large())
    done = nbest("plan", "exchange", *paths, *options)
    assert done.returncode
    assert message in " ".join(done.stderr.split())
