"""Grants, reservations and the deadline that calls see."""

import asyncio

import pytest

from nbest import registry
from nbest.accounting.costs import Costs, ModelSize
from nbest.budget import BudgetLedger, deadline, prompt_chars, seconds_left
from nbest.engines.fake import Fake
from nbest.run import ask
from nbest.types import (
    Budget,
    Completion,
    Message,
    Overrides,
    Prompt,
    Request,
    SamplingParams,
    Usage,
    replace,
)
from scripted import prompt_of

PROMPT = prompt_of("ถาม")


def request(n, max_tokens=10):
    return Request(prompt=PROMPT, n=n, params=SamplingParams(seed=1, max_tokens=max_tokens))


@pytest.mark.parametrize(
    ("budget", "num_granted", "max_tokens", "stopped"),
    [
        (Budget(), 3, 10, None),
        (Budget(samples=3, tokens=30), 3, 10, None),
        (Budget(samples=2), 2, 10, "budget"),
        (Budget(tokens=29), 2, 10, "budget"),
        (Budget(tokens=7), 1, 7, "budget"),
    ],
)
def test_fewer_draws_are_granted_first_then_a_shorter_one(budget, num_granted, max_tokens, stopped):
    granted = BudgetLedger(budget).grant(request(3))
    assert (granted.request.n, granted.request.params.max_tokens) == (num_granted, max_tokens)
    assert granted.stopped == stopped


@pytest.mark.parametrize(
    ("budget", "stopped"),
    [(Budget(samples=0), "budget"), (Budget(tokens=0), "budget"), (Budget(seconds=0), "deadline")],
)
def test_nothing_is_granted_of_an_empty_budget(budget, stopped):
    granted = BudgetLedger(budget).grant(request(3))
    assert (granted.request, granted.stopped) == (None, stopped)


def test_a_request_that_is_granted_whole_is_the_same_object():
    wanted = request(3)
    assert BudgetLedger(Budget(samples=3, tokens=30)).grant(wanted).request is wanted


def test_what_draws_leave_of_their_reservation_comes_back():
    ledger = BudgetLedger(Budget(samples=5, tokens=30))
    wanted = ledger.grant(request(2)).request
    assert (ledger.samples_left, ledger.tokens_left) == (3, 10)
    ledger.settle(wanted, [Completion(text="ab", usage=Usage(completion=n)) for n in (2, 10)])
    assert (ledger.samples_left, ledger.tokens_left) == (3, 18)


def test_a_server_that_draws_more_than_it_was_granted_takes_it_from_the_budget():
    ledger = BudgetLedger(Budget(tokens=30))
    ledger.settle(ledger.grant(request(1)).request, [Completion(text="…", usage=Usage(completion=99))])
    assert ledger.tokens_left == 0


async def test_the_nearest_deadline_is_seen_inside_and_forgotten_outside():
    assert seconds_left() == float("inf")
    async with deadline(60):
        async with deadline(90):
            assert 50 < seconds_left() <= 60
        async with deadline(None):
            assert 50 < seconds_left() <= 60
    assert seconds_left() == float("inf")
    with pytest.raises(TimeoutError):
        async with deadline(0.01):
            await asyncio.sleep(60)
    assert seconds_left() == float("inf")


def test_prompts_are_counted_for_each_draw():
    ledger = BudgetLedger(Budget(input_chars=3 * len(PROMPT.text) + 2))
    assert ledger.can_grant([request(3)])
    assert not ledger.can_grant([request(2), request(2)])
    granted = ledger.grant(request(2))
    assert (granted.request.n, granted.stopped) == (2, None)
    granted = ledger.grant(request(2))
    assert (granted.request.n, granted.stopped) == (1, "budget")
    assert ledger.grant(request(1)).request is None


def test_a_beginning_an_image_and_a_tool_are_input_too():
    image = {"type": "image_url", "image_url": {"url": "data:" + "A" * 100}}
    turn = Message(role="user", content="看图", parts=({"type": "text", "text": "看图"}, image))
    tools = Overrides(body={"tools": [{"function": {"description": "す" * 100}}]})
    plain = prompt_chars(Prompt(id="p", messages=(Message(role="user", content="看图"),)))
    assert plain == 2
    assert prompt_chars(Prompt(id="p", messages=(turn,))) > 100
    assert prompt_chars(Prompt(id="p", messages=(turn,), overrides=tools)) > 300
    ledger = BudgetLedger(Budget(input_chars=20))
    assert ledger.grant(replace(request(1), prefix="คำตอบ" * 10)).request is None


async def test_a_budget_of_flops_counts_each_engine_at_its_size():
    sizes = {"policy": 10.0, "big": 100.0}
    ledger = BudgetLedger(Budget(flops=2 * 10 * 40, sizes=sizes))
    small = ledger.grant(request(2)).request
    assert (small.n, small.params.max_tokens) == (2, 10)
    ledger.settle(small, [Completion(text="…", usage=Usage(prompt=8, completion=4)), Completion(text="…")])
    assert ledger.tokens_left == 40 - 8 - 4
    ledger.settle(
        ledger.grant(request(1)).request, [Completion(text="…", usage=Usage(prompt=8, completion=4))], 8
    )
    assert ledger.tokens_left == 40 - 8 - 4 - 4

    big = ledger.grant(replace(request(1), engine="big"))
    assert big.request is None or big.request.params.max_tokens <= 2
    assert ledger.can_grant([request(1)])
    assert not ledger.can_grant([replace(request(1), engine="big")])


def test_a_budget_of_flops_needs_the_size_of_the_policy():
    for sizes in ({}, {"judge": 1e9}, {"policy": 0.0}):
        with pytest.raises(ValueError, match="active parameters of the policy"):
            Budget(flops=1e9, sizes=sizes)


async def test_a_run_stays_within_its_flops_but_for_what_its_prompt_is_underestimated_by():
    strategy = registry.parse("strategies", "vote(n=8)")
    sizes = {"policy": ModelSize(parameters=1e6)}
    for flops in (0.0, 1e8, 1e9, 1e11):
        budget = Budget(flops=flops, sizes={"policy": 1e6})
        outcome = await ask(prompt_of("七加五？"), strategy, {"policy": Fake()}, budget=budget)
        spent = Costs(sizes=sizes).flops(outcome.spent) or 0.0
        num_prompts = outcome.usage["policy"].calls if outcome.usage else 0
        assert spent <= flops + 2 * 1e6 * num_prompts * len("七加五？")
        assert (flops > 0) == bool(outcome.candidates)
    assert len(outcome.candidates) == 8
