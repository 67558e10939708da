from nbest.errors import EngineProtocolError
from nbest.serve.observer import GatewayObserver
from nbest.types import Completion, Message, Prompt, Request, SamplingParams, Usage

ASKED = Request(
    prompt=Prompt(id="p", messages=(Message(role="user", content="Привет"),)), params=SamplingParams()
)


def test_what_was_heard_of_a_call_that_broke_off_counts_beside_later_calls():
    watching = GatewayObserver(None, wants_deltas=True)
    watching.on_delta("да" * 100)
    watching.on_error(ASKED, EngineProtocolError("broken off"))
    watching.on_completions(ASKED, [Completion.failed("broken off")])
    assert watching.num_tokens == 100
    watching.on_completions(ASKED, [Completion(text="ok", usage=Usage(prompt=5, completion=1, calls=1))])
    assert watching.num_tokens == 106


def test_what_was_heard_of_a_call_that_came_back_is_what_it_says():
    watching = GatewayObserver(None, wants_deltas=True)
    watching.on_delta("да" * 100)
    watching.on_completions(
        ASKED, [Completion(text="да" * 100, usage=Usage(prompt=5, completion=60, calls=1))]
    )
    assert watching.num_tokens == 65
