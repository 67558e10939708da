"""The budget of one prompt against its naive twin, which tries every smaller request until one fits."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from nbest.budget import BudgetLedger, Grant
from nbest.types import Budget, Completion, Request, SamplingParams, Usage
from scripted import prompt_of

LIMITS = st.none() | st.integers(0, 12)
BUDGETS = st.builds(Budget, samples=LIMITS, tokens=LIMITS, input_chars=st.none() | st.integers(0, 20))
REQUESTS = st.builds(
    lambda text, prefix, n, max_tokens: Request(
        prompt=prompt_of(text), prefix=prefix, n=n, params=SamplingParams(max_tokens=max_tokens)
    ),
    st.sampled_from(["", "問", "سؤال"]),
    st.sampled_from(["", "да"]),
    st.integers(1, 5),
    st.integers(1, 6),
)
STEPS = st.lists(
    st.tuples(st.just("grant"), REQUESTS)
    | st.tuples(st.just("settle"), st.lists(st.integers(0, 8), min_size=5, max_size=5))
    | st.tuples(st.just("cut"), st.integers(0, 8))
    | st.tuples(st.just("hold"), st.tuples(st.integers(0, 2), st.integers(0, 3), REQUESTS)),
    max_size=8,
)


@dataclass
class Naive:
    """What is spent or reserved so far."""

    budget: Budget
    samples: int = 0
    tokens: int = 0
    chars: int = 0

    def has_room(self, samples, tokens, chars):
        limits = (self.budget.samples, self.budget.tokens, self.budget.input_chars)
        spent = (self.samples + samples, self.tokens + tokens, self.chars + chars)
        return all(limit is None or num <= limit for limit, num in zip(limits, spent, strict=True))

    def cost(self, request, n, max_tokens):
        num_chars = max(1, len(request.prompt.text) + len(request.prefix))
        return n, n * max_tokens, n * num_chars

    def grant(self, request):
        """(draws, tokens of each): the most draws that fit whole; else one that is as long as fits; else None."""
        whole = request.params.max_tokens
        sizes = [(n, whole) for n in range(request.n, 0, -1)] + [(1, t) for t in range(whole - 1, 0, -1)]
        for n, max_tokens in sizes:
            cost = self.cost(request, n, max_tokens)
            if self.has_room(*cost):
                self.samples, self.tokens, self.chars = (
                    spent + more
                    for spent, more in zip((self.samples, self.tokens, self.chars), cost, strict=True)
                )
                return n, max_tokens
        return None


def granted(grant: Grant):
    if grant.request is None:
        return None
    return grant.request.n, grant.request.params.max_tokens


def check(ledger, naive):
    """Whether both know the same is left."""
    samples, tokens = naive.budget.samples, naive.budget.tokens
    assert ledger.samples_left == (None if samples is None else samples - naive.samples)
    assert ledger.tokens_left == (None if tokens is None else max(0, tokens - naive.tokens))


@given(BUDGETS, STEPS)
def test_a_budget_is_its_naive_twin(budget, steps):
    ledger, naive = BudgetLedger(budget), Naive(budget)
    under_way = []
    for kind, what in steps:
        match kind, what:
            case "grant", request:
                grant = ledger.grant(request)
                expected = naive.grant(request)
                assert granted(grant) == expected
                is_whole = expected == (request.n, request.params.max_tokens)
                assert grant.stopped == (None if is_whole else "budget")
                if grant.request is not None:
                    assert is_whole == (grant.request is request)
                    under_way.append(grant.request)
            case "settle", lengths if under_way:
                request = under_way.pop(0)
                used = lengths[: request.n]
                ledger.settle(request, [Completion(text="", usage=Usage(completion=num)) for num in used])
                naive.tokens -= request.n * request.params.max_tokens - sum(used)
            case "cut", num_tokens if under_way:
                request = under_way.pop(0)
                ledger.give_back(request)
                ledger.charge(request, Usage(completion=num_tokens))
                naive.tokens -= request.n * request.params.max_tokens - num_tokens
            case "hold", (samples, tokens, request):
                held = Naive(budget, naive.samples + samples, naive.tokens + tokens, naive.chars)
                with ledger.held_back(samples, tokens):
                    fits = held.has_room(*held.cost(request, request.n, request.params.max_tokens))
                    assert ledger.can_grant([request]) == fits
                    check(ledger, held)
            case _:
                pass
        check(ledger, naive)


@given(BUDGETS, REQUESTS, st.lists(REQUESTS, max_size=3))
def test_what_can_be_granted_together_is_granted_whole_one_by_one(budget, first, requests):
    ledger = BudgetLedger(budget)
    ledger.grant(first)
    can_grant = ledger.can_grant(requests)
    assert can_grant == all(ledger.grant(request).request is request for request in requests)
