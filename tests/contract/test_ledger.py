"""What is metered is what servers count: a part of benchmarks/ledger.py."""

import importlib.util
import os
from pathlib import Path

import pytest

from nbest import registry
from nbest.accounting.costs import Costs, ModelSize, Price
from nbest.run import ask
from nbest.types import Budget

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "ledger.py"
_spec = importlib.util.spec_from_file_location("ledger_benchmark", BENCHMARK)
ledger = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(ledger)

TRIED = (
    "vote(n=4)",
    "best(self_certainty, n=3)",
    "beam(n=4, verifier=logprob)",
    "revise(sequential=3, parallel=2)",
)


async def test_the_embedded_engines_counters(monkeypatch):
    monkeypatch.setattr(ledger, "BUDGETS", (Budget(), Budget(samples=3), Budget(tokens=96)))
    server = await ledger.embedded()
    try:
        num_runs, num_tokens, wrong = await ledger.uncut(server, TRIED)
    finally:
        await server.engine.aclose()
    assert (num_runs, wrong) == (12, [])
    assert num_tokens > 1000


@pytest.mark.parametrize("spec", [*TRIED, "best(judge, n=2)", "rebase(n=4, verifier=logprob)"])
async def test_the_same_run_twice_in_a_process_costs_the_same(spec):
    """The first finds a cold cache, the second everything in it."""
    server = await ledger.embedded()
    size, price = ModelSize(parameters=1e6, attention=512.0), Price(prompt=1, completion=2, cached=0.1)
    costs = Costs(sizes={"policy": size}, prices={"policy": price}, with_attention=True)
    strategy = registry.parse("strategies", spec)
    try:
        first, second = [
            await ask(ledger.prompt_of(1), strategy, {"policy": server.engine}, seed=5) for _ in range(2)
        ]
    finally:
        await server.engine.aclose()
    assert [c.text for c in first.candidates] == [c.text for c in second.candidates]
    assert costs.money(first.spent) == costs.money(second.spent)
    assert costs.flops(first.spent) == costs.flops(second.spent)


async def test_an_engine_says_what_a_cut_call_had_drawn():
    """Draws that a quorum cuts, against what the engine's counters have in the end: at most a little more."""
    server = await ledger.embedded()
    try:
        row = await ledger.cut(server, end_of_text=1, by_deadline=False, seed=3)
    finally:
        await server.engine.aclose()
    estimated, drawn_in_the_end = map(int, row.split())
    assert 0.8 * drawn_in_the_end <= estimated <= drawn_in_the_end


@pytest.mark.servers
@pytest.mark.parametrize("variable", ["NBEST_TEST_LLAMACPP_URL", "NBEST_TEST_VLLM_URL"])
async def test_a_servers_counters(variable):
    url = os.environ.get(variable)
    if not url:
        pytest.skip(f"{variable} names no server")
    if "LLAMACPP" in variable:
        server = ledger.llamacpp_server(int(url.removesuffix("/v1").rpartition(":")[2]))
    else:
        server = ledger.vllm_server(url)
    try:
        num_runs, _, wrong = await ledger.uncut(server)
    finally:
        await server.engine.aclose()
    assert (num_runs, wrong) == (len(ledger.STRATEGIES) * len(ledger.BUDGETS), [])
