import asyncio
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist, fmean

import pytest

from nbest import registry
from nbest.context import Context
from nbest.errors import CapabilityError, SpecError
from nbest.scoring.noisy_oracle import NoisyOracle
from nbest.scoring.oracle import Oracle
from nbest.types import Candidate, Score, replace
from scripted import prompt_of

PROMPT = prompt_of("٧ + ٥ = ؟", "ar")


@dataclass(frozen=True, kw_only=True)
class Open:
    """A beginning can succeed unless it holds a 9."""

    async def __call__(self, prompt, candidates, ctx):
        return [Score(value=float("9" not in c.text)) for c in candidates]


def values(scorer, pool, seed=0, gold="12", prompt_id="p"):
    ctx = Context({}, seed=seed, prompt_id=prompt_id, gold={"answer": gold})
    return [s.value for s in asyncio.run(scorer(PROMPT, pool, ctx))]


def finals(num, answer):
    return [Candidate(id=i, text=f"خطوة {answer} {i}\nثم\nالجواب: {answer}") for i in range(num)]


def measured_auc(right, wrong):
    return fmean((r > w) + 0.5 * (r == w) for r in right for w in wrong)


@pytest.mark.parametrize("auc", [0.6, 0.75, 0.9, 0.97])
@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_the_measured_auc_is_the_one_asked_for(auc, rho):
    num = 400
    scorer = NoisyOracle(auc=auc, rho=rho)
    right, wrong = values(scorer, finals(num, "١٢")), values(scorer, finals(num, "١٣"))
    # Hanley and McNeil 1982, eq. 2: standard error of an AUC.
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    error = sqrt((auc * (1 - auc) + (num - 1) * (q1 - auc**2 + q2 - auc**2)) / num**2)
    assert measured_auc(right, wrong) == pytest.approx(auc, abs=3 * error)
    assert all(0 <= v <= 1 for v in right + wrong)


def test_auc_1_is_the_oracle():
    pool = [*finals(5, "١٢"), *finals(5, "١٣")]
    assert values(NoisyOracle(auc=1.0), pool) == values(Oracle(), pool)


def test_auc_one_half_knows_nothing():
    right, wrong = (values(NoisyOracle(auc=0.5), finals(400, a)) for a in ("١٢", "١٣"))
    assert measured_auc(right, wrong) == pytest.approx(0.5, abs=0.06)
    assert len(set(right)) == 400


def test_beginnings_are_told_apart_by_what_prefix_says():
    pool = [Candidate(id=i, text=f"{n} {i:b}\n", finish="step") for n in "29" for i in range(300)]
    got = values(NoisyOracle(auc=0.9, prefix=Open()), pool)
    assert measured_auc(got[:300], got[300:]) == pytest.approx(0.9, abs=0.05)


def test_calls_in_any_order_agree_and_other_seeds_and_prompts_differ():
    pool = finals(6, "١٢")
    scorer = NoisyOracle()
    assert values(scorer, pool[::-1])[::-1] == values(scorer, pool)
    assert [values(scorer, [c])[0] for c in pool] == values(scorer, pool)
    assert values(scorer, pool, seed=1) != values(scorer, pool) != values(scorer, pool, prompt_id="q")


def correlation(xs, ys):
    mx, my = fmean(xs), fmean(ys)
    cov = fmean((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True))
    return cov / sqrt(fmean((x - mx) ** 2 for x in xs) * fmean((y - my) ** 2 for y in ys))


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_errors_go_on_along_a_path(rho):
    scorer = NoisyOracle(rho=rho, auc=0.8, prefix=Open())
    texts = [f"ابدأ {i:b}\n" for i in range(600)]
    now = values(scorer, [Candidate(id=i, text=t, finish="step") for i, t in enumerate(texts)])
    then = values(scorer, [Candidate(id=i, text=f"{t}ثم\n", finish="step") for i, t in enumerate(texts)])
    errors = [[NormalDist().inv_cdf(v) for v in vs] for vs in (now, then)]
    assert correlation(*errors) == pytest.approx(rho, abs=0.12)


def in_a_search(scorer, trace):
    """Scores of candidates that a search has just drawn."""
    ctx = Context({}, prompt_id="p", gold={"answer": "12"})
    ctx.candidates = list(trace)
    return [s.value for s in asyncio.run(scorer(PROMPT, trace, ctx))]


def path(*texts, last="step"):
    """Candidates that continue each other."""
    finish = ["step"] * (len(texts) - 1) + [last]
    return [
        Candidate(id=i, text="".join(texts[: i + 1]), finish=f, parents=(i - 1,) if i else ())
        for i, f in enumerate(finish)
    ]


@pytest.mark.parametrize("end", ["\n", "。", " ", ""])
def test_errors_go_on_over_the_steps_of_a_search_wherever_they_end(end):
    now = [Candidate(id=i, text=f"第{i:b}步{end}", finish="step") for i in range(600)]
    then = [replace(c, id=600 + c.id, text=f"{c.text}然后{end}", parents=(c.id,)) for c in now]
    got = in_a_search(NoisyOracle(rho=0.8, auc=0.8, prefix=Open()), [*now, *then])
    errors = [NormalDist().inv_cdf(v) for v in got]
    assert correlation(errors[:600], errors[600:]) == pytest.approx(0.8, abs=0.06)


def test_a_search_whose_steps_are_lines_changes_nothing():
    """Pinned: the recorded curves (docs/search-curves.md) were drawn with these."""
    lines = path("الأعداد: ٧، +٥\n", "\n", "٧ + ٥ = ١٢\n", "الجواب: ١٢", last="stop")
    scorer = NoisyOracle(auc=0.8, prefix=Open())
    pinned = [0.9352947415841799, 0.9352947415841799, 0.8433900965966923, 0.8334297429061659]
    assert in_a_search(scorer, lines) == values(scorer, lines) == pinned


def test_what_a_candidate_was_made_from_is_no_step_of_it():
    attempt, revised = path("الجواب: ١١", "؟", last="stop")
    pool = [replace(attempt, finish="stop"), replace(revised, text="الجواب: ١١؟ الجواب: ١٢")]
    assert in_a_search(NoisyOracle(), pool) == values(NoisyOracle(), pool)
    other = [replace(attempt, text="سؤال آخر"), pool[1]]
    assert in_a_search(NoisyOracle(prefix=Open()), other)[1] == values(NoisyOracle(), pool)[1]


def test_the_oracle_says_that_it_reads_steps_as_answers():
    ctx = Context({}, gold={"answer": "12"})
    asyncio.run(Oracle()(PROMPT, path("الجواب: ١٢", last="stop"), ctx))
    assert not ctx.notes
    asyncio.run(Oracle()(PROMPT, path("٧ + ٥\n"), ctx))
    assert "noisy_oracle(auc=1.0)" in ctx.notes[0]


def test_the_end_of_the_last_line_is_no_new_step():
    pool = [Candidate(id=0, text="أ\nب"), Candidate(id=1, text="أ\nب\n")]
    a, b = values(NoisyOracle(), pool)
    assert a == b


def test_failed_and_empty_candidates_are_wrong_or_without_a_value():
    pool = [Candidate(id=0, text=""), Candidate(id=1, text="", finish="step", error="HTTP 500")]
    empty, failed = values(NoisyOracle(auc=1.0), pool)
    assert empty == 0
    assert failed is None


def test_a_row_without_an_answer_is_said():
    with pytest.raises(CapabilityError, match="`answer`"):
        asyncio.run(NoisyOracle()(PROMPT, finals(1, "١"), Context({})))


@pytest.mark.parametrize("spec", ["noisy_oracle(auc=0.4)", "noisy_oracle(auc=1.1)", "noisy_oracle(rho=1.0)"])
def test_parameters_that_do_not_fit_are_said(spec):
    with pytest.raises(SpecError):
        registry.parse("scorers", spec)
