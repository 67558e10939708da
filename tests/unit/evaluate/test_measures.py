from collections import Counter
from itertools import combinations
from math import comb

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nbest.accounting.costs import Costs, ModelSize, Price, inference_flops, money, training_flops
from nbest.evaluate.measures import Row, measure
from nbest.types import Candidate, Message, Outcome, Prompt, SamplingParams, Selection, Spent, ToolCall, Usage

GREEDY = SamplingParams(temperature=0)


def outcome(texts, *, gold=None, winner=0, language="ar", scores=None, greedy=None, **changes):
    pool = [
        Candidate(id=i, text=t or "", error=None if t else "timeout", params=GREEDY if i == greedy else None)
        for i, t in enumerate(texts)
    ]
    chosen = winner if isinstance(winner, Candidate) else pool[winner] if pool else None
    return Outcome(**{
        "prompt": Prompt(id="p", messages=(Message(role="user", content="؟"),), language=language),
        "strategy": "s",
        "seed": 0,
        "selection": chosen and Selection(winner=chosen, weights={}, scores=scores or {}),
        "candidates": tuple(pool),
        "usage": {},
        "gold": gold or {},
        **changes,
    })  # fmt: skip


def measured(o, scorer="oracle", costs=None):
    found = measure([Row(o)], scorer, costs or Costs())
    return {name: values[0] for name, values in found.items()}


def test_a_pool_of_answers():
    o = outcome(
        ["الجواب: ٤٢", "الجواب: 7", "الجواب: 42", None], gold={"answer": "42"}, winner=1,
        scores={0: 0.1, 1: 0.9, 2: 0.2, 3: 0.0}, greedy=0, strategy="best(recorded(liked))",
    )  # fmt: skip
    found = measured(o)
    assert found["score"] == 0
    assert found["oracle"] == found["regret"] == found["greedy"] == 1
    assert found["hope"] == 0
    assert found["risk"] == -1
    assert found["pass@1"] == pytest.approx(0.5)
    assert found["pass@2"] == pytest.approx(5 / 6)
    assert found["maj@4"] == 1
    assert found["best@4"] == 0
    assert found["best@1"] == pytest.approx(0.5)
    assert found["distinct"] == 2


def naive_majority(texts, k):
    """Mean over all k of the draws of the share of right answers among the commonest, failed ones having no vote."""
    shares = []
    for part in combinations(texts, k):
        counts = Counter(text for text in part if text is not None)
        most = max(counts.values(), default=0)
        top = [text for text, count in counts.items() if count == most]
        shares.append(sum(text == "الجواب: 42" for text in top) / len(top) if top else 0.0)
    return sum(shares) / len(shares)


@settings(max_examples=25)
@given(st.lists(st.sampled_from(["الجواب: 42", "الجواب: 7", "الجواب: 8", None]), min_size=1, max_size=6))
@example(["الجواب: 42", None, None])
def test_what_fewer_draws_would_have_given_is_that_of_all_their_subsets(texts):
    if not any(texts):
        return
    winner = next(i for i, text in enumerate(texts) if text)
    found = measured(outcome(texts, gold={"answer": "42"}, winner=winner))
    num_right, n = texts.count("الجواب: 42"), len(texts)
    for k in {1, 2, 4, n} & set(range(1, n + 1)):
        expected = 1 - comb(n - num_right, k) / comb(n, k)
        assert found[f"pass@{k}"] == pytest.approx(expected), k
        assert found[f"maj@{k}"] == pytest.approx(naive_majority(texts, k)), k
    assert found["distinct"] == len(set(texts) - {None})


def test_json_objects_are_one_answer_by_their_fields_as_in_a_vote():
    texts = ['{"مدينة": "فاس", "n": 3}', '{"n": 3.0, "مدينة": "فاس"}', '{"مدينة": "مكة", "n": 3}']
    assert measured(outcome(texts))["distinct"] == 2


def test_calls_of_tools_are_answers_as_in_a_vote():
    calls = [ToolCall(id=str(i), name="f", arguments=a) for i, a in enumerate(['{"x":1}', '{"x": 1.0}'])]
    pool = tuple(Candidate(id=i, text="", tool_calls=(call,)) for i, call in enumerate(calls))
    assert measured(outcome(["", ""], candidates=pool))["distinct"] == 1


@pytest.mark.parametrize(
    "answer", ["الجواب: ٤٢", "答案：42", "उत्तर: ४२", "Ответ: 42", "คำตอบ: ๔๒", "Answer: 42"]
)
def test_a_failed_draw_is_never_right_whatever_was_written_of_it(answer):
    pool = (Candidate(id=0, text="Answer: 7"), Candidate(id=1, text=answer, error="HTTP 500"))
    found = measured(outcome(["7", "42"], gold={"answer": "42"}, candidates=pool))
    assert found["score"] == found["oracle"] == found["pass@1"] == found["pass@2"] == found["maj@2"] == 0
    assert found["distinct"] == 1
    whole = (pool[0], Candidate(id=1, text=answer))
    assert measured(outcome(["7", "42"], gold={"answer": "42"}, candidates=whole))["pass@2"] == 1


def test_a_failed_draw_is_no_translation_however_good_what_was_written_of_it():
    pool = (Candidate(id=0, text="Hallo!"), Candidate(id=1, text="Guten Tag.", error="HTTP 500"))
    changes = {"gold": {"reference": "Guten Tag."}, "language": "de", "candidates": pool}
    assert measured(outcome(["a", "b"], **changes), "reference_oracle(utility=chrf)")["oracle"] < 50


def test_a_failed_prompt_is_wrong_and_has_no_pool():
    found = measured(outcome([], gold={"answer": "42"}))
    assert found["score"] == 0
    assert "pass@1" not in found
    assert "oracle" not in found


def test_without_greedy_there_is_no_hope_and_without_gold_no_score():
    assert "hope" not in measured(outcome(["42"], gold={"answer": "42"}))
    found = measured(outcome(["42", "43"]), scorer="oracle")
    assert found["distinct"] == 2
    assert "score" not in found


def test_a_fused_answer_is_measured_but_is_no_draw():
    fused = Candidate(id=2, text="الجواب: 42", parents=(0, 1))
    found = measured(outcome(["الجواب: 1", "الجواب: 2"], gold={"answer": "42"}, winner=fused))
    assert found["score"] == 1
    assert found["pass@2"] == found["oracle"] == 0
    assert found["regret"] == -1  # better than the best draw
    assert found["candidates"] == 2


def test_the_steps_of_a_search_are_no_answers_and_what_it_finishes_is_no_sample():
    texts = ["संख्याएँ: ३", "संख्याएँ: ३\n२", "संख्याएँ: ३\n२\nउत्तर: ५"]
    steps = tuple(
        Candidate(id=i, text=t, finish="stop" if i == 2 else "step", parents=(i - 1,) if i else ())
        for i, t in enumerate(texts)
    )
    found = measured(outcome(texts, gold={"answer": "3"}, candidates=steps, winner=steps[2]))
    assert found["score"] == 0  # a step says 3, no answer does
    assert not {"pass@1", "maj@1", "hope", "oracle", "regret", "distinct"} & found.keys()
    assert found["candidates"] == 0
    cut = measured(outcome(texts[:1], gold={"answer": "3"}, candidates=steps[:1], winner=steps[0]))
    assert cut["score"] == 1


def test_scores_only_best_at_k_where_all_draws_have_one():
    assert "best@2" not in measured(outcome(["1", "2"], gold={"answer": "1"}, scores={0: 1.0}))


def test_a_reference_gives_chrf_and_the_expected_maximum():
    o = outcome(["Guten Tag.", "Hallo!"], gold={"reference": "Guten Tag."}, language="de", greedy=1)
    found = measured(o, "reference_oracle(utility=chrf)")
    assert found["score"] == found["oracle"] == found["max@2"] == pytest.approx(100)
    assert found["max@1"] == pytest.approx((100 + found["greedy"]) / 2)
    assert "maj@2" not in found


def test_language_is_judged_by_lines_and_words():
    thai = "ทุกเช้าเธอกินไข่สามฟองและใช้ไข่สี่ฟองอบขนมให้เพื่อนทุกวัน"
    assert measured(outcome([thai], language="th"))["word"] == 1
    mixed = measured(outcome([thai + "\n" + thai + " delicious"], language="th"))
    assert mixed["line"] == 1
    assert mixed["word"] == 0
    english = measured(
        outcome(["She eats three eggs for breakfast every morning of the week"], language="th")
    )
    assert english["line"] == 0
    assert "word" not in english


def test_costs_go_by_role_and_cached_tokens_are_credited():
    usage = {"policy": Usage(prompt=100, cached=40, completion=20), "judge": Usage(prompt=10, completion=1)}
    sizes = {"policy": ModelSize(parameters=8e9), "judge": ModelSize(parameters=47e9, active=13e9)}
    prices = {"policy": Price(prompt=1, completion=2, cached=0.5)}
    found = measured(outcome(["x"], usage=usage), costs=Costs(sizes=sizes, prices=prices))
    assert found["flops"] == 2 * 8e9 * 80 + 2 * 13e9 * 11
    assert found["money"] == pytest.approx((60 * 1 + 40 * 0.5 + 20 * 2 + 10 * 1 + 1 * 2) / 1e6)
    assert found["input_tokens"] == 110
    assert "flops" not in measured(outcome(["x"], usage=usage), costs=Costs(sizes={"judge": sizes["judge"]}))


def test_flops_and_money_of_a_call():
    spent = Spent(role="policy", usage=Usage(prompt=10, cached=9, completion=5), reused=4)
    assert inference_flops(spent, ModelSize(parameters=100)) == 2200
    assert training_flops(10, ModelSize(parameters=100)) == 6000
    assert training_flops(10, ModelSize(parameters=100, active=10)) == 600
    assert money(spent, Price(prompt=2, completion=4)) == pytest.approx(40e-6)
