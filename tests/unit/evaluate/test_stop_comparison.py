"""Stopping rules replayed on recorded pools, beside the cheapest fixed number of draws."""

import asyncio
import json
from random import Random

import numpy as np
import pytest

from nbest import registry
from nbest.datasets import Pool
from nbest.errors import CapabilityError, InputError
from nbest.evaluate.pool_arrays import read_arrays
from nbest.evaluate.stop_comparison import compare_stops
from nbest.report import stops_compared
from nbest.types import Candidate, Logprobs, Message, Prompt, SamplingParams, Usage

LANGUAGES = {
    "ar": "الجواب: ٤٢",
    "zh": "答案是四十二",
    "hi": "उत्तर: ४२",
    "ja": "答えは42です",
    "ru": "Ответ: 42",
    "th": "คำตอบ: ๔๒",
}
ORACLE = registry.parse("scorers", "oracle")


def pool(name, texts, *, tokens=None, language="en", errors=(), **gold):
    candidates = tuple(
        Candidate(
            id=i,
            text=text,
            params=SamplingParams(temperature=1.0),
            usage=Usage(prompt=9 if i == 0 else 0, completion=(tokens or [10] * len(texts))[i], calls=1),
            error="failed" if i in errors else None,
            logprobs=Logprobs(tokens=("x",), values=(-float(i),)),
        )
        for i, text in enumerate(texts)
    )
    prompt = Prompt(id=name, messages=(Message(role="user", content="?"),), language=language)
    return Pool(prompt, {"answer": "42", **gold}, candidates)


def compared(pools, stops, **how):
    return asyncio.run(compare_stops(pools, stops, **{"scorer": ORACLE, **how}))


def random_pools(num=40, size=12, seed=0):
    rng = Random(seed)
    pools = []
    for i in range(num):
        p = rng.random()
        texts = ["42" if rng.random() < p else str(rng.randint(1, 4)) for _ in range(size)]
        pools.append(pool(f"p{i}", texts, tokens=[rng.randint(5, 50) for _ in texts]))
    return pools


@pytest.mark.parametrize(("language", "text"), LANGUAGES.items(), ids=LANGUAGES)
def test_answers_are_classed_in_the_prompts_language(language, text):
    arrays = asyncio.run(read_arrays([pool("p", [text, "42", "41"], language=language)], ORACLE)).arrays
    assert arrays.classes_PN.tolist() == [[0, 0, 1]]
    assert arrays.values_PN.tolist() == [[1, 1, 0]]
    assert arrays.inputs_P.tolist() == [9]


def test_failed_draws_and_those_without_an_answer_have_no_class():
    found = asyncio.run(read_arrays([pool("p", ["42", "", "42"], errors={2})], ORACLE))
    assert found.arrays.classes_PN.tolist() == [[0, -1, -1]]
    assert found.arrays.values_PN.tolist() == [[1, 0, 0]]


def test_draws_without_tokens_count_as_the_prompts_mean():
    found = asyncio.run(
        read_arrays(
            [pool("a", ["1"] * 3, tokens=[10, 0, 30]), pool("b", ["1"] * 3, tokens=[0, 0, 0])], ORACLE
        )
    )
    assert found.arrays.lengths_PN.tolist() == [[10, 20, 30], [20, 20, 20]]
    assert found.num_without_length == 4


def test_a_rule_that_never_stops_early_is_the_whole_pool():
    pools = random_pools()
    found = compared(pools, ["first_n(12)", "first_n(99)"], num_orders=1)
    [first, second] = found.results
    assert first.value == second.value
    assert first.draws == 12
    assert first.output_tokens == pytest.approx(
        np.mean([sum(c.usage.completion for c in p.candidates) for p in pools])
    )
    assert first.input_tokens == 12 * 9


def test_the_yardstick_of_a_fixed_number_is_at_most_itself():
    found = compared(random_pools(), ["first_n(5)"], num_orders=20)
    [result] = found.results
    assert result.fixed.n <= 5
    assert result.fixed.is_as_good
    assert result.fixed.value >= result.value.value - 1e-9
    assert result.value.value == pytest.approx(found.fixed_values[4])
    assert result.token_ratio.value == pytest.approx(result.output_tokens / result.fixed.output_tokens)
    assert result.token_ratio.low <= result.token_ratio.value <= result.token_ratio.high


def test_the_yardstick_is_the_first_n_that_is_as_good():
    found = compared(random_pools(), ["adaptive_consistency(0.8)"], num_orders=20)
    [result] = found.results
    as_good = [n for n, value in enumerate(found.fixed_values, 1) if value >= result.value.value - 1e-9]
    assert result.fixed.n == as_good[0]
    assert result.fixed.output_tokens == pytest.approx(found.fixed_tokens[as_good[0] - 1])
    assert result.draws < 12


def test_the_yardstick_of_a_rule_on_scores_chooses_by_the_same_scores():
    # The best of all draws by an oracle is right wherever one is; a majority is not.
    pools = [pool(f"p{i}", ["42", "1", "1", "1", "1", "1"]) for i in range(4)]
    found = compared(pools, ["threshold(oracle, tau=1.0)"], num_orders=4)
    assert found.results[0].value.value == 1.0
    assert found.results[0].fixed.is_as_good  # its yardstick chooses by the oracle as well
    assert found.fixed_values[-1] == 0.0


def test_waves_trade_latency_for_tokens():
    pools = random_pools(num=60)
    by_wave = {w: compared(pools, ["bayes_factor(10)"], wave=w, num_orders=10).results[0] for w in (1, 4, 12)}
    assert by_wave[1].latency > by_wave[4].latency > by_wave[12].latency
    assert by_wave[1].output_tokens < by_wave[4].output_tokens < by_wave[12].output_tokens
    assert by_wave[12].draws == 12


def test_the_same_seed_is_the_same_comparison():
    pools = random_pools()
    assert compared(pools, ["esc(3)"], seed=3) == compared(pools, ["esc(3)"], seed=3)
    assert compared(pools, ["esc(3)"], seed=3) != compared(pools, ["esc(3)"], seed=4)


def test_pools_that_cannot_be_used_are_counted():
    unscored = pool("u", ["42"] * 5)
    unscored.gold.pop("answer")
    found = compared([*random_pools(num=5), pool("s", ["42"] * 3), unscored], ["first_n(2)"], num_draws=4)
    assert (found.num_prompts, found.num_too_small, found.num_unscored) == (5, 1, 1)
    note = stops_compared.table(found).note
    assert "Left out: 1 with fewer draws; 1 without a score for each draw." in note


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match="no pool to replay: of 1, 1 have fewer than 9 draws"):
        compared([pool("p", ["42"] * 3)], ["first_n(2)"], num_draws=9)
    with pytest.raises(InputError, match="several scorers"):
        compared([pool("p", ["42"])], ["threshold(logprob)", "threshold(oracle)"])
    bare = pool("p", ["42"])
    bare = bare._replace(candidates=tuple(Candidate(id=0, text="42") for _ in range(1)))
    with pytest.raises(CapabilityError, match="no log-probabilities"):
        compared([bare], ["threshold(logprob)"])


def test_it_is_written_as_a_table_and_as_json(tmp_path):
    found = compared(random_pools(), ["first_n(5)", "bayes_factor(10)"])
    stops_compared.write(found, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "stops.json").read_bytes())["num_prompts"] == 40
    text = (tmp_path / "out" / "stops.md").read_text()
    assert "| bayes_factor(10) |" in text
    assert "input tokens" in text
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        stops_compared.write(found, tmp_path / "file")
