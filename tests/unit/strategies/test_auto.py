"""`auto(effort=…)`: one dial."""

import asyncio

import pytest

from nbest import registry
from nbest.demand import demand_of
from nbest.errors import SpecError
from nbest.run import ask
from planning import PLAN, write_plan_file
from scripted import Scripted, prompt_of

HINDI = prompt_of("७ और ५ का योग क्या है?", "hi", task="sums")
ESSAY = prompt_of("서울을 소개해 주세요.", "ko")
STORY = "서울은 한강을 따라 펼쳐진 도시입니다. 오래된 궁궐과 높은 빌딩이 함께 있습니다. {}번째 이야기입니다. 사람들은 시장에서 만납니다."


def answer(spec, script, prompt=HINDI):
    engine = Scripted(script)
    outcome = asyncio.run(ask(prompt, registry.parse("strategies", spec), {"policy": engine}))
    return outcome, sum(r.n for r in engine.requests)


def agreed(request):
    return ["उत्तर: १२"] * request.n


def differing(request):
    return [f"उत्तर: {(request.params_of(i).seed or 0) % 9973}" for i in range(request.n)]


@pytest.mark.parametrize(("effort", "most"), [("low", 4), ("medium", 12), ("high", 32)])
def test_without_a_plan_it_votes_until_it_is_certain(effort, most):
    outcome, num_drawn = answer(f"auto(effort={effort})", agreed)
    assert outcome.text == "उत्तर: १२"
    assert num_drawn == 4  # four that agree are certain enough
    outcome, num_drawn = answer(f"auto(effort={effort})", differing)
    assert num_drawn == most
    assert outcome.notes[0] == f"auto: effort {effort}, final answers → vote over at most {most}"


@pytest.mark.parametrize(("effort", "num"), [("low", 4), ("medium", 8), ("high", 16)])
def test_texts_without_a_final_answer_are_chosen_by_mbr(effort, num):
    def tell(request):
        return [STORY.format((request.params_of(i).seed or 0) % 97) for i in range(request.n)]

    outcome, num_drawn = answer(f"auto(effort={effort})", tell, ESSAY)
    assert num_drawn == num
    assert outcome.notes[0] == f"auto: effort {effort}, no final answers → mbr over {num}"
    assert outcome.text in {c.text for c in outcome.candidates}


@pytest.mark.parametrize(
    ("text", "language", "votes"),
    [
        ("١٢", "ar", True),
        ("答案是 (B)", "zh", True),
        ("The answer is Paris.", "en", True),
        ("猫がマットの上に座った。", "ja", False),
        ("แมวนั่งบนเสื่อ", "th", False),
        ("Кошка сидела на коврике.", "ru", False),
    ],
)
def test_what_is_a_final_answer(text, language, votes):
    outcome, _ = answer("auto", lambda request: [text] * request.n, prompt_of("?", language))
    assert ("→ vote" in outcome.notes[0]) == votes
    assert outcome.text == text


@pytest.mark.parametrize(("effort", "num"), [("low", 4), ("medium", 8), ("high", 16)])
def test_with_a_plan_effort_is_a_budget_of_the_plan(tmp_path, effort, num):
    plan = write_plan_file(tmp_path / "plan.toml")
    outcome, num_drawn = answer(f"auto(effort={effort}, file='{plan}')", differing)
    assert num_drawn == num
    assert outcome.selection.details["plan"]["budget"] == num


def test_a_plan_without_efforts_has_its_smallest_middle_and_largest_budget(tmp_path):
    head = PLAN[: PLAN.index("[efforts]")] + PLAN[PLAN.index("[difficulty]") :]
    plan = write_plan_file(tmp_path / "plan.toml", head=head)
    drawn = [answer(f"auto(effort={e}, file='{plan}')", differing)[1] for e in ("low", "medium", "high")]
    assert drawn == [4, 8, 16]


def test_a_client_may_name_it():
    strategy = registry.parse("strategies", "auto(effort=high)", is_from_client=True)
    assert registry.spec_of(strategy) == "auto(effort='high')"
    assert registry.spec_of(registry.parse("strategies", "auto")) == "auto"
    with pytest.raises(SpecError, match="effort"):
        registry.parse("strategies", "auto(effort=huge)")


def test_demand():
    draws = [
        demand_of(registry.parse("strategies", f"auto(effort={e})")).draws for e in ("low", "medium", "high")
    ]
    assert draws == [4, 12, 32]
