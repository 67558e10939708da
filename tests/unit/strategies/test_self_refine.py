import pytest

from nbest import registry
from nbest.errors import EngineError, SpecError
from nbest.run import ask
from nbest.strategies.self_refine import SelfRefine
from nbest.types import Budget, Completion
from scripted import Scripted, prompt_of

ZH = prompt_of("7 + 5 等于几？", "zh")


def author(answers, critiques):
    """Answers in turn, criticises in turn."""
    return Scripted(lambda request: (critiques if request.role == "verifier" else answers).pop(0))


async def refined(answers, critiques, budget=None, **how):
    engine = author(answers, critiques)
    return await ask(ZH, SelfRefine(**how), {"policy": engine}, budget=budget), engine


async def test_it_rewrites_until_the_critique_is_satisfied():
    outcome, engine = await refined(["答案：11", "答案：12"], ["7 + 5 不是 11。\n[[2]]", "正确。\n[[1]]"])
    assert outcome.selection.winner.text == "答案：12"
    assert [c.parents for c in outcome.candidates] == [(), (0,)]
    rewrite = engine.requests[2].prompt.messages
    assert [(m.role, m.content) for m in rewrite[1:]] == [
        ("assistant", "答案：11"),
        ("user", "7 + 5 不是 11。\n\n请检查一下，再试一次。"),
    ]
    assert [c["verdict"] for c in outcome.selection.details["critiques"]] == [2, 1]
    assert outcome.usage["verifier"].calls == 2
    assert outcome.usage["policy"].calls == 2


async def test_a_critique_in_one_line_with_its_verdict_is_heard():
    _, engine = await refined(["答案：11", "答案：12"], ["7 + 5 不是 11。**[[2]]**"], rounds=1)
    assert engine.requests[2].prompt.messages[-1].content == "7 + 5 不是 11。\n\n请检查一下，再试一次。"


async def test_what_a_critic_thinks_is_not_part_of_its_critique():
    thought = "<think>也许是对的？[[1]]</think>\n7 + 5 不是 11。\n[[2]]"
    outcome, engine = await refined(["答案：11", "答案：12"], [thought], rounds=1)
    assert engine.requests[2].prompt.messages[-1].content == "7 + 5 不是 11。\n\n请检查一下，再试一次。"
    assert outcome.selection.details["critiques"][0]["reply"] == thought


async def test_a_critique_that_names_its_verdict_when_asked_again_is_heard_without_either_thought():
    critiques = ["想一想。</think>7 + 5 不是 11。", "<think>嗯</think>[[2]]"]
    _, engine = await refined(["答案：11", "答案：12"], critiques, rounds=1)
    assert engine.requests[-1].prompt.messages[-1].content == "7 + 5 不是 11。\n\n请检查一下，再试一次。"


async def test_the_critique_is_asked_for_in_the_prompts_language():
    _, engine = await refined(["答案：12"], ["[[1]]"])
    assert engine.requests[1].prompt.messages[0].content.startswith("你是一道题的一份回答的细心评论者。")


async def test_rounds_are_a_limit_and_the_last_answer_is_not_criticised():
    outcome, engine = await refined(["1", "2", "3"], ["[[2]]", "[[2]]"], rounds=2)
    assert outcome.selection.winner.text == "3"
    assert len(engine.requests) == 5


async def test_a_critique_without_a_verdict_is_not_satisfied():
    outcome, engine = await refined(["1", "2"], ["不知道", "还是不知道"], rounds=1)
    assert outcome.selection.winner.text == "2"
    assert "不知道" in engine.requests[-1].prompt.messages[-1].content


async def test_a_failed_critique_ends_it_with_a_note():
    outcome, _ = await refined(["1"], [EngineError("down")])
    assert outcome.selection.winner.text == "1"
    assert "no critique of candidate 0: the judge failed: down" in outcome.notes[0]


async def test_a_failed_answer_is_drawn_again():
    outcome, engine = await refined([EngineError("down"), "1", "2"], ["[[2]]"], rounds=2)
    assert [c.error for c in outcome.candidates] == ["down", None, None]
    assert outcome.selection.winner.text == "2"
    assert len({r.params.seed for r in engine.requests if r.role == "policy"}) == 3


async def test_an_answer_that_was_cut_off_does_not_replace_a_whole_one():
    outcome, _ = await refined(["1", Completion(text="2", finish="length")], ["[[2]]"], rounds=1)
    assert outcome.selection.winner.text == "1"


@pytest.mark.parametrize(
    ("finishes", "winner"),
    [
        ("stop stop", 1),
        ("stop length", 0),
        ("length stop", 1),
        ("length length", 1),
        ("stop length stop", 2),
        ("stop length length", 0),
        ("length length length", 2),
    ],
)
async def test_the_last_whole_answer_stands_and_without_any_the_last(finishes, winner):
    answers = [Completion(text=f"答案：{i}", finish=finish) for i, finish in enumerate(finishes.split())]
    outcome, _ = await refined([*answers], ["[[2]]"] * (len(answers) - 1), rounds=len(answers) - 1)
    assert outcome.selection.winner.id == winner


async def test_the_budget_may_forbid_the_critique():
    outcome, engine = await refined(["1"], [], budget=Budget(samples=1))
    assert outcome.selection.winner.text == "1"
    assert outcome.stopped == "budget"
    assert len(engine.requests) == 1


async def test_a_selector_may_choose_among_all():
    outcome, _ = await refined(
        ["答案：12", "答案：11", "答案：12"],
        ["[[2]]", "[[2]]"],
        rounds=2,
        selector=registry.parse("selectors", "vote"),
    )
    assert outcome.selection.winner.id == 0


@pytest.mark.parametrize("spec", ["self_refine(rounds=-1)", "self_refine(shown=0)"])
def test_parameters_that_do_not_fit_are_said(spec):
    with pytest.raises(SpecError):
        registry.parse("strategies", spec)
