from nbest.errors import EngineProtocolError
from nbest.serve.observer import GatewayObserver
from nbest.types import Completion, Request, SamplingParams, Usage
from scripted import prompt_of

ASKED = Request(prompt=prompt_of("Привет"), params=SamplingParams())


def test_what_was_streamed_by_a_call_that_broke_off_counts_beside_later_calls():
    observer = GatewayObserver(None, wants_deltas=True)
    observer.on_delta("да" * 100)
    observer.on_error(ASKED, EngineProtocolError("broken off"))
    observer.on_completions(ASKED, [Completion.failed("broken off")])
    assert observer.num_tokens == 100
    observer.on_completions(ASKED, [Completion(text="ok", usage=Usage(prompt=5, completion=1, calls=1))])
    assert observer.num_tokens == 106


def test_what_was_streamed_by_a_call_that_came_back_is_what_it_says():
    observer = GatewayObserver(None, wants_deltas=True)
    observer.on_delta("да" * 100)
    observer.on_completions(
        ASKED, [Completion(text="да" * 100, usage=Usage(prompt=5, completion=60, calls=1))]
    )
    assert observer.num_tokens == 65


def test_usage_is_by_role_with_what_was_cut_and_what_is_still_streamed():
    judged = Request(prompt=prompt_of("採点"), params=SamplingParams(), role="judge")
    observer = GatewayObserver(None, wants_deltas=True)
    observer.on_completions(ASKED, [Completion(text="ok", usage=Usage(prompt=5, completion=1, calls=1))])
    observer.on_completions(judged, [Completion(text="7", usage=Usage(prompt=50, completion=2, calls=1))])
    observer.on_cut(judged, 0.0)
    observer.on_delta("да" * 10)
    usage = observer.usage
    assert usage["policy"] == Usage(prompt=5, completion=1 + 10, calls=1)
    assert usage["judge"].prompt > 50
    assert (usage["judge"].completion, usage["judge"].calls) == (2, 2)
    assert observer.num_tokens == sum(u.prompt + u.completion for u in usage.values())
