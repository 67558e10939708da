import pytest

from nbest.types import Completion, Message, Prompt, Request, SamplingParams
from scripted import prompt_of

PROMPT = prompt_of("सवाल")


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1.0},
        {"temperature": float("inf")},
        {"temperature": float("nan")},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"min_p": 2.0},
        {"top_k": -1},
        {"max_tokens": 0},
        {"logprobs": -1},
    ],
)
def test_parameters_that_servers_disagree_on_are_refused_here(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SamplingParams(**wrong)


@pytest.mark.parametrize("temperature", [-1.0, float("inf"), float("nan")])
def test_a_wrong_temperature_is_told_what_it_must_be(temperature):
    with pytest.raises(ValueError, match=rf"a finite number of at least 0, got {temperature}"):
        SamplingParams(temperature=temperature)


def test_a_part_of_a_request_has_the_seeds_of_the_whole():
    request = Request(prompt=PROMPT, n=5, params=SamplingParams(seed=7))
    part = request.part(2, 3)
    assert (part.n, part.params.seed) == (3, 9)
    assert Request(prompt=PROMPT, n=5).part(2, 3).params.seed is None


def test_a_failed_draw_has_no_text_and_says_why():
    assert Completion.failed("HTTP 500") == Completion(text="", finish="error", error="HTTP 500")


def test_the_text_of_a_prompt_is_its_last_user_turn():
    turns = [("user", "а"), ("assistant", "б"), ("user", "в"), ("assistant", "г")]
    prompt = Prompt(id="p", messages=tuple(Message(role=r, content=c) for r, c in turns))
    assert prompt.text == "в"
