import pytest

from nbest.accounting.costs import Costs, ModelSize, Price, entry_for, inference_flops, money
from nbest.accounting.meter import Meter, spent_of
from nbest.accounting.price_list import costs_of
from nbest.errors import InputError
from nbest.types import Outcome, Prompt, Spent, Usage

SMALL, LARGE = ModelSize(parameters=1e9), ModelSize(parameters=70e9)
USAGE = Usage(prompt=100, cached=0, completion=20, calls=1)


def test_each_engine_of_a_mixture_is_priced_as_itself():
    spent = [
        Spent(role="policy", engine="policy", model="openai/small@a", usage=USAGE),
        Spent(role="policy", engine="big", model="openai/large@b", usage=USAGE),
    ]
    for name in ("big", "openai/large@b"):
        assert Costs(sizes={"policy": SMALL, name: LARGE}).flops(spent) == 2 * 1e9 * 120 + 2 * 70e9 * 120
    prices = {"policy": Price(prompt=1, completion=2), "big": Price(prompt=10, completion=20)}
    assert Costs(prices=prices).money(spent) == pytest.approx(11 * (100 + 2 * 20) / 1e6)


def test_a_role_on_the_policys_engine_has_its_own_price_and_without_one_the_policys():
    table = {"policy": 1, "judge": 2, "big": 3}
    assert entry_for(Spent(role="judge", engine="policy"), table) == 2
    assert entry_for(Spent(role="fusor", engine="policy"), table) == 1
    assert entry_for(Spent(role="verifier", engine="big"), table) == 3
    assert entry_for(Spent(role="judge"), table) == 2  # a record of an older version
    assert entry_for(Spent(role="fusor"), {"judge": 2}) is None


def test_what_has_no_price_or_was_not_used_costs_nothing_that_is_known():
    costs = Costs(sizes={"judge": SMALL}, prices={"judge": Price(prompt=1, completion=1)})
    spent = [Spent(role="fusor", usage=USAGE)]
    assert (costs.flops(spent), costs.money(spent)) == (None, None)
    assert (Costs(sizes={"policy": SMALL}).flops([]), Costs().money([])) == (None, None)


def test_only_what_the_outcome_computed_itself_is_credited():
    spent = Spent(role="policy", usage=Usage(prompt=100, cached=90, completion=10), reused=30)
    assert inference_flops(spent, SMALL) == 2e9 * (100 - 30 + 10)
    price = Price(prompt=1, completion=2, cached=0.1)
    assert money(spent, price) == pytest.approx((70 * 1 + 30 * 0.1 + 10 * 2) / 1e6)


def test_attention_is_counted_where_it_is_asked_for_and_the_shape_is_known():
    spent = [Spent(role="policy", usage=Usage(prompt=3, completion=2), context=1 + 2 + 3 + 4 + 5)]
    shaped = {"policy": ModelSize(parameters=1e3, attention=8)}
    assert Costs(sizes=shaped).flops(spent) == 2e3 * 5
    assert Costs(sizes=shaped, with_attention=True).flops(spent) == 2e3 * 5 + 4 * 8 * 15
    unshaped = {"policy": ModelSize(parameters=1e3)}
    assert Costs(sizes=unshaped, with_attention=True).flops(spent) == 2e3 * 5


def test_the_meter_counts_by_role_and_engine():
    meter = Meter()
    meter.add("policy", USAGE, engine="big", model="b")
    meter.add("policy", USAGE, engine="policy", model="a")
    meter.add("policy", USAGE, engine="policy", model="a")
    assert meter.usage == {"policy": USAGE + USAGE + USAGE}
    assert [(s.engine, s.model, s.usage.calls) for s in meter.spent] == [("big", "b", 1), ("policy", "a", 2)]


def test_old_outcomes_are_spent_by_role():
    old = Outcome(
        prompt=Prompt(id="1", messages=()),
        strategy="greedy",
        seed=0,
        selection=None,
        candidates=(),
        usage={"judge": USAGE},
    )
    assert spent_of(old) == [Spent(role="judge", usage=USAGE, reused=USAGE.cached)]


def test_prices_name_engines_of_the_configuration_and_models():
    costs = costs_of(["1e9", "big=70e9"], ["1/2", "openai/m@host=3/4"], engines=["policy", "big"])
    assert costs.sizes == {"policy": SMALL, "big": LARGE}
    assert costs.prices["openai/m@host"] == Price(prompt=3, completion=4)
    with pytest.raises(InputError, match="did you mean 'big'"):
        costs_of(["bgi=70e9"], [], engines=["policy", "big"])
