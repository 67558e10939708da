from nbest.errors import EngineProtocolError
from nbest.serve.watching import Watching
from nbest.types import Completion, Message, Prompt, Request, SamplingParams, Usage

ASKED = Request(
    prompt=Prompt(id="p", messages=(Message(role="user", content="Привет"),)), params=SamplingParams()
)


def test_what_was_heard_of_a_call_that_broke_off_counts_beside_later_calls():
    watching = Watching(None, wants_text=True)
    watching.wrote("да" * 100)
    watching.failed(ASKED, EngineProtocolError("broken off"))
    watching.drew(ASKED, [Completion.failed("broken off")])
    assert watching.num_tokens == 100
    watching.drew(ASKED, [Completion(text="ok", usage=Usage(prompt=5, completion=1, calls=1))])
    assert watching.num_tokens == 106


def test_what_was_heard_of_a_call_that_came_back_is_what_it_says():
    watching = Watching(None, wants_text=True)
    watching.wrote("да" * 100)
    watching.drew(ASKED, [Completion(text="да" * 100, usage=Usage(prompt=5, completion=60, calls=1))])
    assert watching.num_tokens == 65
