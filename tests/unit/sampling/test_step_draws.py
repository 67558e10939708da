import pytest

from nbest.sampling.step_draws import Steps, joined, sentence_ends
from nbest.types import Candidate, Logprobs, SamplingParams, replace
from scripted import PROMPT


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
    likeliest = Steps(top_p=0.5).next(PROMPT, None, 1, seed=0, spent=0, is_greedy=True).params
    assert (likeliest.temperature, likeliest.top_p) == (0, 1)


PARAMS = SamplingParams(stop=("\n", "</s>"))


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (drawn("Nombres : 3\nx", stopped_by="\n", params=PARAMS), ("Nombres : 3\nx\n", "step")),
        (drawn("Nombres : 3\nx", stopped_by="</s>", params=PARAMS), ("Nombres : 3\nx</s>", "step")),
        (drawn("Nombres : 3\nx", stopped_by="<|end|>", params=PARAMS), ("Nombres : 3\nx", "stop")),
        (drawn("Nombres : 3\nx", params=PARAMS), ("Nombres : 3\nx", "stop")),
        (drawn("Nombres : 3\nx", finish="length", params=PARAMS), ("Nombres : 3\nx", "step")),
        (drawn("Nombres : 3\n", finish="length", params=PARAMS), ("Nombres : 3\n", "length")),
    ],
)
def test_what_a_draw_is(draw, expected):
    read = Steps(tags=("</s>",)).read(draw, PARENT)
    assert (read.text, read.finish) == expected


@pytest.mark.parametrize(
    ("ends", "own", "expected", "num_tokens"),
    [
        (("Q:",), "x", ("Nombres : 3\nx\n", "step"), 2),
        (("3\nxy",), "xyz", ("Nombres : ", "stop"), 1),
        (("yz", "\n\n"), "", ("Nombres : 3", "stop"), 1),
        (("z\n", "y"), "xyz", ("Nombres : 3\nx", "stop"), 2),
    ],
)
def test_an_answer_ends_before_what_the_client_stops_at_be_it_across_steps(ends, own, expected, num_tokens):
    tokens = Logprobs(tokens=tuple(own), values=(-1.0,) * len(own))
    draw = drawn(PARENT.text + own, stopped_by="\n", params=PARAMS, logprobs=tokens)
    parent = replace(PARENT, logprobs=Logprobs(tokens=(PARENT.text,), values=(-9.0,)))
    read = Steps(ends=ends).read(draw, parent)
    assert (read.text, read.finish) == expected
    assert len(read.logprobs.values) == num_tokens


def test_a_boundary_that_the_client_stops_at_is_the_end():
    read = Steps(ends=("\n",)).read(drawn("ขั้น", stopped_by="\n", params=PARAMS), None)
    assert (read.text, read.finish, read.stopped_by) == ("ขั้น", "stop", "\n")


def test_nothing_goes_on_from_a_part_of_a_character():
    tokens = Logprobs(tokens=("ส", "bytes:\\xe0", "bytes:\\xb8"), values=(-1.0, -2.0, -3.0))
    cut = drawn("Nombres : 3\nส\ufffd", finish="length", params=PARAMS, logprobs=tokens)
    read = Steps().read(cut, None)
    assert (read.text, read.finish, read.logprobs.values) == ("Nombres : 3\nส", "step", (-1.0, -2.0, -3.0))
    read = Steps().read(cut, replace(PARENT, logprobs=Logprobs(tokens=("…",), values=(-9.0,))))
    assert (read.text, read.finish, read.logprobs.values) == ("Nombres : 3\nส", "step", (-9.0, -1.0))
    nothing = drawn("Nombres : 3\n\ufffd", finish="length", params=PARAMS)
    assert Steps().read(nothing, PARENT).finish == "length"
    said = drawn("Nombres : 3\n\ufffd", params=PARAMS)
    assert Steps().read(said, PARENT).text.endswith("\ufffd")  # by the model itself


def test_without_stop_strings_a_draw_is_cut_after_its_first_boundary():
    steps = Steps(tags=("§",))
    assert steps.next(PROMPT, PARENT, 1, seed=0, spent=0, names_stop=False).params.stop == ()
    tokens = Logprobs(tokens=("x", "bytes:\\xe0", "ก", "\n", "y"), values=(-1.0, -2.0, -3.0, -4.0, -5.0))
    long = drawn("Nombres : 3\nxก\ny§z", finish="length", params=SamplingParams(), logprobs=tokens)
    step = steps.read(steps.cut(long, PARENT), PARENT)
    assert (step.text, step.finish, step.stopped_by) == ("Nombres : 3\nxก\n", "step", "\n")
    assert steps.cut(long, None).text == "Nombres : 3"
    assert steps.cut(long, PARENT).logprobs.values == (-1.0, -2.0, -3.0, -4.0)
    end = drawn("Nombres : 3\nxy", params=SamplingParams())
    assert steps.read(steps.cut(end, PARENT), PARENT) == end


def test_a_failed_draw_stays_as_it_is():
    failed = drawn("", error="no", finish="error")
    assert Steps().read(Steps().cut(failed, PARENT), PARENT) is failed


def test_sentences_end_in_every_script_and_never_at_a_word():
    ends = sentence_ends()
    assert {"。", "．", "！", "？", "।", "॥", "؟", "۔", "።", "။", "។", "։", ". ", "! ", "? ", "\n"} <= set(
        ends
    )
    assert not {".", "!", "?"} & set(ends)
    assert not any(c.isalnum() for end in ends for c in end)


def sentences(text, **how):
    """The steps of a text that was drawn without stop strings, each cut off what was drawn behind it."""
    steps, found, parent = Steps(boundary="sentence", **how), [], None
    while parent is None or parent.finish == "step":
        before = parent.text if parent else ""
        parent = steps.read(steps.cut(drawn(text, params=SamplingParams()), parent), parent)
        found.append(parent.text[len(before) :])
    return found


@pytest.mark.parametrize(
    "steps",
    [
        ["他说：“停。”", "然后走了。", ""],
        ["他走了。", "“你好！”", "她说。", ""],
        ["彼は「止まれ。」", "と言った（本当に。）", "終わり"],
        ["真的？！", "是的……好。\n", "完"],
        ['He said "Stop." ', "Then he left (at 3.5 km.)  ", "He's at e.g.com."],
        ["Er rief: „Halt.“ ", "Dann ging er."],
        ["Он сказал: «Стой!» ", "И ушёл."],
        ["सीता के पास २ हैं। ", "फिर"],
        ["هل تعلم؟» ", "نعم"],
        ["บรรทัดแรก\n", "บรรทัดสอง"],
    ],
)
def test_a_sentence_takes_along_what_closes_it(steps):
    assert sentences("".join(steps)) == steps


def test_a_tag_may_come_before_a_sentence_ends():
    assert sentences("一§二。”三", tags=("§",)) == ["一§", "二。”", "三"]


def test_where_a_draw_ends_before_the_quote_that_closes_the_next_step_begins_with_it():
    steps = Steps(boundary="sentence")
    cut = steps.read(steps.cut(drawn("他说：“停。", finish="length", params=SamplingParams()), None), None)
    assert (cut.text, cut.finish) == ("他说：“停。", "step")
    rest = steps.read(steps.cut(drawn("他说：“停。”走了。完", params=SamplingParams()), cut), cut)
    assert (rest.text, rest.finish) == ("他说：“停。”走了。", "step")


@pytest.mark.parametrize(
    ("token", "stopped_by"), [("。”走", "。”"), ('." T', '." '), ("？", "？"), ("。\n\n", "。\n")]
)
def test_an_engine_that_stops_at_the_first_of_them_finds_the_longest(token, stopped_by):
    """As vLLM and llama.cpp do when a token has come."""
    assert next(s for s in sentence_ends() if s in token) == stopped_by
    params = SamplingParams(stop=sentence_ends())
    step = Steps(boundary="sentence").read(drawn("停", stopped_by=stopped_by, params=params), None)
    assert (step.text, step.finish) == (f"停{stopped_by}", "step")


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
