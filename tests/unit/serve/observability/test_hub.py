"""What records hold of requests that are over."""

from nbest.serve.observability.hub import recorded
from nbest.types import Message, Outcome, Prompt, replace


def outcome(id_):
    prompt = Prompt(id=id_, messages=(Message(role="user", content="四"),))
    return Outcome(prompt=prompt, strategy="parallel", seed=7, selection=None, candidates=(), usage={})


def test_requests_with_one_seed_are_recorded_apart():
    ids = {recorded(outcome("seeded-ab"), f"chatcmpl-{i}", None).prompt.id for i in range(3)}
    assert len(ids) == 3
    assert all(i.startswith("seeded-ab/") for i in ids)
    assert recorded(outcome("chatcmpl-1"), "chatcmpl-1", None).prompt.id == "chatcmpl-1"


def test_a_record_has_the_language_that_was_found_unless_the_client_said_one():
    assert recorded(outcome("x"), "y", "zh").prompt.language == "zh"
    said = outcome("x")
    said = replace(said, prompt=replace(said.prompt, language="ja"))
    assert recorded(said, "y", "zh").prompt.language == "ja"
