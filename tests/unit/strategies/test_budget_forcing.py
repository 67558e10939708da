import pytest

from nbest import registry
from nbest.accounting.meter import Meter
from nbest.errors import EngineError, SpecError
from nbest.run import ask
from nbest.strategies.budget_forcing import BudgetForcing
from nbest.types import Completion, ToolCall, Usage
from scripted import Scripted, prompt_of

AR = prompt_of("كم ٧ + ٥؟", "ar")


class Listener:
    wants_deltas = True

    def __init__(self):
        self.heard = ""
        self.meter = Meter()

    def on_completions(self, *_):
        pass

    def on_error(self, *_):
        pass

    def on_cut(self, *_):
        pass

    def on_delta(self, text):
        self.heard += text


class Thinker(Scripted):
    """Says one text after another."""

    def __init__(self, texts):
        super().__init__(lambda request: texts.pop(0))

    def usage(self, text):
        return Usage(completion=2)


def cut(text):
    return Completion(text=text, finish="length", usage=Usage(completion=9))


async def forced(*says, **how):
    engine = Thinker(list(says))
    return await ask(AR, BudgetForcing(**how), {"policy": engine}), engine


async def test_a_text_that_ends_goes_on_after_a_word_of_its_language():
    outcome, engine = await forced("الجواب: ١١\n", " الجواب: ١٢", " نعم، الجواب: ١٢")
    assert [r.prefix for r in engine.requests] == [
        "",
        "الجواب: ١١\nلحظة،",
        "الجواب: ١١\nلحظة، الجواب: ١٢\nلحظة،",
    ]
    assert [c.parents for c in outcome.candidates] == [(), (0,), (1,)]
    assert outcome.selection.winner.text == "الجواب: ١١\nلحظة، الجواب: ١٢\nلحظة، نعم، الجواب: ١٢"
    assert outcome.usage["policy"].completion == 6


async def test_of_a_reasoning_model_the_thinking_goes_on():
    _, engine = await forced("<think>٧ + ٥\n</think>\n١١", "…", waits=1, word="مهلا")
    assert engine.requests[1].prefix == "<think>٧ + ٥\nمهلا"


@pytest.mark.parametrize(
    ("last", "text"),
    [
        ([cut(" ٧ + ٥"), cut(" ١٢")], "١١\nلحظة، ٧ + ٥\nالجواب: ١٢"),
        ([EngineError("down")], "١١"),
    ],
)
async def test_what_was_heard_while_it_was_written_is_the_answer(last, text):
    listener = Listener()
    outcome = await ask(AR, BudgetForcing(waits=1), {"policy": Thinker(["١١", *last])}, observer=listener)
    assert outcome.text == text
    assert listener.heard in {text, ""}


async def test_a_text_that_is_cut_off_is_made_to_answer():
    outcome, engine = await forced(cut("<think>٧ + ٥ + …"), " ١٢")
    assert engine.requests[1].prefix == "<think>٧ + ٥ + …\n</think>\nالجواب:"
    assert engine.requests[1].params.max_tokens == 256
    assert outcome.selection.winner.text.endswith("الجواب: ١٢")


async def test_or_is_left_as_it_is():
    outcome, engine = await forced("١١", cut(" ١"), answer_tokens=0)
    assert len(engine.requests) == 2
    assert outcome.selection.winner.id == 0


async def test_a_stage_that_fails_is_drawn_again():
    outcome, engine = await forced("١١", EngineError("down"), " ١٢")
    assert engine.requests[1].prefix == engine.requests[2].prefix
    assert engine.requests[1].params.seed != engine.requests[2].params.seed
    assert outcome.selection.winner.id == 2


async def test_a_stage_that_adds_nothing_does_not_replace_the_one_before():
    outcome, engine = await forced("١١", " \n", " ١٢")
    assert engine.requests[1].prefix == engine.requests[2].prefix == "١١\nلحظة،"
    assert outcome.text == "١١\nلحظة، ١٢"
    outcome, _ = await forced("الجواب: ١٢", "", waits=1)
    assert outcome.text == "الجواب: ١٢"
    assert len(outcome.candidates) == 2


async def test_nor_does_an_answer_that_was_not_given():
    outcome, _ = await forced("١١", cut(" ٧ + ٥"), "")
    assert outcome.text == "١١"
    outcome, _ = await forced(cut("٧ + ٥"), "")
    assert outcome.text == "٧ + ٥"


async def test_a_stage_that_calls_a_tool_says_something():
    call = ToolCall(id="1", name="calc", arguments="{}")
    outcome, _ = await forced("١١", Completion(text="", tool_calls=(call,)))
    assert outcome.selection.winner.tool_calls == (call,)


@pytest.mark.parametrize(
    "spec", ["budget_forcing(waits=-1)", "budget_forcing(word='')", "budget_forcing(end_of_thinking='')"]
)
def test_parameters_that_do_not_fit_are_said(spec):
    with pytest.raises(SpecError):
        registry.parse("strategies", spec)
