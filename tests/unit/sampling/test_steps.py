import pytest

from judges import PROMPT
from nbest.sampling.steps import Steps, joined, sentence_ends
from nbest.types import Candidate, Logprobs


def drawn(text, **how):
    return Candidate(id=9, text=text, **how)


PARENT = Candidate(id=4, text="Nombres : 3\n", finish="step")


def test_the_next_step_continues_its_parent_in_one_request():
    request = Steps(step_tokens=50, max_tokens=120, tags=("</step>",)).next(
        PROMPT, PARENT, 3, seed=7, spent=100
    )
    assert (request.prefix, request.n, request.parents) == (PARENT.text, 3, (4,))
    assert request.params.stop == ("\n", "</step>")
    assert (request.params.max_tokens, request.params.seed) == (20, 7)
    assert Steps().next(PROMPT, None, 1, seed=0, spent=0, is_greedy=True).params.temperature == 0


@pytest.mark.parametrize(
    ("draw", "spent", "expected"),
    [
        (drawn("Nombres : 3\nx", stopped_by="\n"), 9, ("Nombres : 3\nx\n", "step")),
        (drawn("Nombres : 3\nx", stopped_by="</s>"), 9, ("Nombres : 3\nx</s>", "step")),
        (drawn("Nombres : 3\nx"), 9, ("Nombres : 3\nx", "stop")),
        (drawn("Nombres : 3\nx", finish="length"), 9, ("Nombres : 3\nx", "step")),
        (drawn("Nombres : 3\n", finish="length"), 9, ("Nombres : 3\n", "length")),
        (drawn("Nombres : 3\nx", finish="length"), 20, ("Nombres : 3\nx", "length")),
        (drawn("Nombres : 3\nx", stopped_by="\n"), 20, ("Nombres : 3\nx\n", "length")),
    ],
)
def test_what_a_draw_is(draw, spent, expected):
    read = Steps(max_tokens=20).read(draw, PARENT, spent=spent, names_stop=True)
    assert (read.text, read.finish) == expected


def test_where_nobody_says_what_ended_a_text_an_empty_continuation_is_the_end():
    steps = Steps()
    going_on = steps.read(drawn("Nombres : 3\nx"), PARENT, spent=1, names_stop=False)
    assert (going_on.text, going_on.finish) == ("Nombres : 3\nx\n", "step")
    end = steps.read(drawn("Nombres : 3\n"), PARENT, spent=1, names_stop=False)
    assert (end.text, end.finish) == ("Nombres : 3\n", "stop")
    whole = Steps(boundary="tokens").read(drawn("Nombres : 3\nx"), PARENT, spent=1, names_stop=False)
    assert whole.finish == "stop"


def test_a_failed_draw_stays_as_it_is():
    failed = drawn("", error="no", finish="error")
    assert Steps().read(failed, PARENT, spent=0, names_stop=True) is failed


def test_sentences_end_in_every_script_and_never_at_a_word():
    ends = sentence_ends()
    assert {"。", "．", "！", "？", "।", "॥", "؟", "۔", "።", "။", "។", "։", ". ", "! ", "? ", "\n"} <= set(
        ends
    )
    assert not {".", "!", "?"} & set(ends)
    assert not any(c.isalnum() for end in ends for c in end)


def test_boundaries():
    assert Steps(boundary="blank_line").stop == ("\n\n",)
    assert Steps(boundary="tokens", tags=("<|step|>",)).stop == ("<|step|>",)


def test_log_probabilities_are_joined_only_where_all_are_known():
    a, b = Logprobs(tokens=("x",), values=(-1.0,)), Logprobs(tokens=("y",), values=(-2.0,))
    assert joined(a, b, "x") == Logprobs(tokens=("x", "y"), values=(-1.0, -2.0))
    assert joined(None, b, "") == b
    assert joined(None, b, "x") is None
    assert joined(a, None, "x") is None


@pytest.mark.parametrize("bad", [{"step_tokens": 0}, {"max_tokens": 0}, {"tags": ("",)}, {"top_p": 0}])
def test_nonsense_parameters_are_said(bad):
    with pytest.raises(ValueError, match="must"):
        Steps(**bad)
