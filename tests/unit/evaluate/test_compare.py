import asyncio
from itertools import pairwise

import numpy as np
import pytest

from nbest import registry
from nbest.datasets import Pool
from nbest.errors import InputError, SpecError
from nbest.evaluate.compare import compare
from nbest.evaluate.scores import cluster_of, score_spec, scores_of, split_specs
from nbest.evaluate.subsets import subsets, usage_of
from nbest.run import select
from nbest.types import Candidate, Logprobs, Message, Prompt, SamplingParams, Usage
from scripted import prompt_of

ANSWERS = ["٤٢", "42", "41", "40", "42", "39"]


def pool(name="p", answers=ANSWERS, *, greedy=True, language="ar"):
    candidates = tuple(
        Candidate(
            id=i,
            text=f"الجواب: {a}",
            params=SamplingParams(temperature=0.0 if greedy and i == 0 else 1.0),
            usage=Usage(prompt=7 if i in {0, 1} else 0, completion=3 + i, calls=int(i in {0, 1})),
            logprobs=Logprobs(tokens=("x",), values=(-0.1 * (i + 1),)),
            meta={"human": float(-i)},
        )
        for i, a in enumerate(answers)
    )
    prompt = Prompt(id=name, messages=(Message(role="user", content="كم؟"),), language=language)
    return Pool(prompt, {"answer": "42"}, candidates)


def compared(pools, specs, **options):
    scorer = registry.parse("scorers", options.pop("score", "oracle"))
    return asyncio.run(compare(pools, specs, scorer=scorer, **options))


POOLS = [pool(f"p{k}", ANSWERS[k:] + ANSWERS[:k], language="ar" if k % 2 else "ja") for k in range(6)]
SPECS = ["first", "vote", "mbr(utility=chrf)", "guard(selector=mbr)", "best(logprob)", "random"]


def test_every_cell_is_what_selecting_from_each_part_gives():
    found = compared(POOLS, SPECS, sizes=[2, 3, 6], resamples=3, seed=5)
    oracle = registry.parse("scorers", "oracle")

    async def naive(spec, n):
        selector, values = registry.parse("selectors", spec), []
        for p in POOLS:
            scores, mine = await scores_of(p, oracle), []
            for r, part in enumerate(subsets(p.candidates, n, 3, 5, p.prompt.id)):
                chosen = await select(p._replace(candidates=part), selector, seed=5 + r)
                mine.append(scores[chosen.selection.winner.id])
            values.append(np.mean(mine))
        return np.mean(values)

    for cell in found.cells:
        if cell.language is None:
            assert cell.value.value == pytest.approx(asyncio.run(naive(cell.select, cell.n)))


def test_the_same_seed_gives_the_same_table_and_another_seed_other_pools():
    options = {"sizes": [2, 4], "resamples": 2}
    assert compared(POOLS, SPECS, **options) == compared(POOLS, SPECS, **options)
    assert compared(POOLS, SPECS, **options).cells != compared(POOLS, SPECS, seed=1, **options).cells


def test_a_selector_sees_the_same_pools_whatever_it_is_compared_with():
    alone = {c.n: c.value for c in compared(POOLS, ["vote"]).cells if c.language is None}
    among = {c.n: c.value for c in compared(POOLS, SPECS).cells if c.select == "vote" and c.language is None}
    assert alone == among


def test_one_candidate_leaves_nothing_to_choose():
    cells = [c for c in compared(POOLS, SPECS, sizes=[1]).cells if c.language is None]
    assert len({c.value for c in cells}) == 1
    assert cells[0].gain is None
    assert {c.gain.value for c in cells[1:]} == {0.0}


def test_larger_pools_contain_smaller_ones_and_always_the_greedy_candidate():
    candidates = pool().candidates
    for smaller, larger in pairwise([subsets(candidates, n, 4, 0, "p") for n in (1, 2, 3, 5)]):
        for a, b in zip(smaller, larger, strict=True):
            assert {c.id for c in a} < {c.id for c in b}
            assert candidates[0] in a
            assert [c.id for c in b] == sorted(c.id for c in b)
    assert subsets(candidates, 6, 4, 0, "p") == [candidates]


def test_without_a_greedy_candidate_every_one_has_its_turn():
    drawn = pool(greedy=False).candidates
    firsts = [part[0].id for part in subsets(drawn, 1, 600, 0, "p")]
    assert np.bincount(firsts, minlength=6).min() > 60


def test_the_whole_pool_is_chosen_from_as_select_does():
    cells = compared(POOLS, ["random"], sizes=[6], seed=3).cells
    oracle, selector = registry.parse("scorers", "oracle"), registry.parse("selectors", "random")

    async def right(p):
        chosen = await select(p, selector, seed=3)
        return (await scores_of(p, oracle))[chosen.selection.winner.id]

    assert cells[0].value.value == pytest.approx(np.mean([asyncio.run(right(p)) for p in POOLS]))


def test_a_call_charges_its_prompt_once_to_whoever_is_wanted():
    drawn = pool().candidates
    assert usage_of(drawn, drawn) == Usage(prompt=14, completion=33, calls=2)
    assert usage_of(drawn[3:5], drawn) == Usage(prompt=7, completion=13, calls=1)
    assert usage_of(drawn[:1], drawn) == Usage(prompt=7, completion=3, calls=1)


def test_cost_is_counted_by_role_at_each_size():
    cells = {c.n: c for c in compared([pool()], ["first"], sizes=[1, 6]).cells}
    assert cells[1].usage["policy"].completion == 3
    assert cells[6].usage["policy"].completion == 33
    assert cells[6].usage["policy"].total == 47


def test_derived_small_and_unscored_pools_are_left_out():
    derived = Candidate(id=6, text="42", parents=(0, 1))
    with_derived = pool("a")._replace(candidates=(*pool("a").candidates, derived))
    found = compared([with_derived, pool("b", ["42"])], ["first", "vote"], sizes=[6])
    assert (found.num_prompts, found.num_too_small) == (1, 1)
    step = Candidate(id=6, text="4", finish="step")
    searched = pool("s")._replace(candidates=(*pool("s").candidates, step))
    found = compared([pool("a"), searched], ["first"], sizes=[6])
    assert (found.num_prompts, found.num_too_small) == (1, 1)
    unscored = pool("c")._replace(candidates=(*pool("c").candidates[:5], Candidate(id=5, text="x")))
    found = compared([pool("d"), unscored], ["first"], score="recorded(human)")
    assert found.num_unscored == 1
    with pytest.raises(InputError, match="no prompt to compare on"):
        compared([pool()], ["first"], sizes=[7])


def test_a_pool_whose_candidates_all_failed_counts_as_wrong():
    failed = tuple(Candidate(id=i, text="", error="timeout") for i in range(6))
    cell = compared([pool("a"), pool("b")._replace(candidates=failed)], ["vote"], sizes=[6]).cells[0]
    assert (cell.num_failed, cell.value.value) == (1, 0.5)


def test_the_mean_of_the_pool_is_a_baseline():
    cell = compared([pool()], ["best(oracle)"], sizes=[6], baseline="mean").cells[0]
    assert cell.gain.value == pytest.approx(1 - 3 / 6)


def test_specs_are_split_at_the_outer_commas():
    text = "first, best(recorded(field='a,b')), vote(weight=logprob, power=1),mbr"
    assert split_specs(text) == [
        "first",
        "best(recorded(field='a,b'))",
        "vote(weight=logprob, power=1)",
        "mbr",
    ]
    with pytest.raises(InputError, match="names no selector"):
        split_specs(" , ")


def test_the_score_is_found_or_named():
    assert score_spec(None, pool()) == "oracle"
    assert score_spec("human", pool()) == "recorded(field='human')"
    assert score_spec("exact", pool()) == "oracle(grader='exact')"
    assert score_spec("oracle", pool()) == "oracle"
    assert score_spec("edit", pool()) == "reference_oracle(utility=edit)"
    assert score_spec("token_f1", pool()) == "reference_oracle(utility=token_f1)"
    assert score_spec(None, pool()._replace(gold={"reference": "ب"})) == "reference_oracle(utility=chrf)"
    with pytest.raises(InputError, match="carry: human"):
        score_spec(None, pool()._replace(gold={}))
    with pytest.raises(InputError, match="no candidate"):
        score_spec("humna", pool())
    with pytest.raises(SpecError):
        compared([pool()], ["voted"])


def test_a_column_that_a_row_lacks_is_said_and_the_usual_one_is_taken_by_itself():
    row = Pool(prompt_of("؟"), {"cluster": "m1"}, ())
    assert cluster_of(row, None) == "m1"
    assert cluster_of(row._replace(gold={}), None) == "p"
    with pytest.raises(InputError, match="no column 'problem'"):
        cluster_of(row, "problem")
