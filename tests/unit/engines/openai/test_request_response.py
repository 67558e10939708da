import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbest.engines.openai.dialect import Dialect
from nbest.engines.openai.reply_logprobs import completion_logprobs, echoed_logprobs, prompt_logprobs
from nbest.engines.openai.request import chat_body, text_body
from nbest.engines.openai.response import completions
from nbest.engines.openai.server_reply import ServerLogprobs, models, parse_reply
from nbest.engines.openai.usage import split
from nbest.errors import EngineProtocolError
from nbest.http_errors import error_text
from nbest.types import Logprobs, Message, Prompt, Request, SamplingParams, Usage

PROMPT = Prompt(
    id="p", messages=(Message(role="system", content="Sei kurz."), Message(role="user", content="سؤال"))
)
PLAIN = SamplingParams()
WITH_LOGPROBS = SamplingParams(logprobs=0)


def reply(*choices, **more):
    return msgspec.json.encode({"choices": choices, **more})


def chat(text, **more):
    return {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop", **more}


def content(*tokens):
    return {"content": [{"token": t, "logprob": -1.0, "top_logprobs": []} for t in tokens]}


def test_a_body_says_temperature_and_top_p_and_nothing_that_is_a_default():
    body = chat_body(Request(prompt=PROMPT), "m")
    assert body == {
        "model": "m",
        "messages": [{"role": "system", "content": "Sei kurz."}, {"role": "user", "content": "سؤال"}],
        "temperature": 1.0,
        "top_p": 1.0,
        "max_tokens": 1024,
    }


def test_a_body_says_what_was_asked_for():
    params = SamplingParams(
        temperature=0.7, top_p=0.9, top_k=5, min_p=0.1, max_tokens=7, stop=("\n",), seed=0, logprobs=3
    )
    body = chat_body(Request(prompt=PROMPT, n=4, prefix="Also", params=params), "m")
    assert body["messages"][-1] == {"role": "assistant", "content": "Also"}
    del body["messages"]
    assert body == {
        "model": "m",
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 5,
        "min_p": 0.1,
        "max_tokens": 7,
        "stop": ("\n",),
        "seed": 0,
        "n": 4,
        "logprobs": True,
        "top_logprobs": 3,
    }


def test_a_text_body_is_the_raw_prompt_and_the_prefix():
    body = text_body(Request(prompt=PROMPT, prefix=" ja", params=WITH_LOGPROBS), "m")
    assert (body["prompt"], body["logprobs"]) == ("Sei kurz.\n\nسؤال ja", 0)


def test_choices_come_in_order_of_index():
    raw = reply(chat("b", index=1), chat("a", index=0))
    assert [c.text for c in completions(parse_reply(raw), PLAIN)] == ["a", "b"]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", "stop"),
        ("eos_token", "stop"),
        (None, "stop"),
        ("tool_calls", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("content_filter", "filtered"),
        ("abort", "error"),
    ],
)
def test_finish_reasons(reason, finish):
    (completion,) = completions(parse_reply(reply(chat("a", finish_reason=reason))), PLAIN)
    assert completion.finish == finish
    assert (completion.error is None) == (finish in {"stop", "length"})


@pytest.mark.parametrize("content", [None, ""])
def test_a_refusal_is_a_failed_draw_in_the_models_words(content):
    message = {"role": "assistant", "content": content, "refusal": "Не могу помочь."}
    raw = reply({"index": 0, "message": message, "finish_reason": "stop"})
    (completion,) = completions(parse_reply(raw), PLAIN)
    assert (completion.text, completion.finish) == ("Не могу помочь.", "refused")
    assert completion.error == "the model refused: Не могу помочь."


def test_log_probs_in_the_shape_of_chat():
    rows = [
        {"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": [{"token": "b", "logprob": -2}]},
        {"token": "c", "logprob": 0, "top_logprobs": []},
    ]
    raw = reply(chat("ac", logprobs={"content": rows, "refusal": None}))
    (completion,) = completions(parse_reply(raw), SamplingParams(logprobs=1))
    assert completion.logprobs is not None
    assert completion.logprobs.tokens == ("a", "c")
    assert completion.logprobs.values == (-0.1, 0.0)
    assert completion.logprobs.top == ({"b": -2.0}, {})


def test_log_probs_in_the_shape_of_completions():
    found = {"tokens": ["a", "c"], "token_logprobs": [-0.1, 0], "top_logprobs": [{"b": -2}, None]}
    raw = reply({"index": 0, "text": "ac", "finish_reason": "stop", "logprobs": found})
    (completion,) = completions(parse_reply(raw), SamplingParams(logprobs=1))
    assert completion.logprobs is not None
    assert (completion.text, completion.logprobs.values) == ("ac", (-0.1, 0.0))
    assert completion.logprobs.top == ({"b": -2.0}, {})


def test_log_probs_that_nobody_asked_for_are_left_out():
    (completion,) = completions(parse_reply(reply(chat("a", logprobs=content("a")))), PLAIN)
    assert completion.logprobs is None


@pytest.mark.parametrize("found", [None, {}, {"content": None}, {"tokens": None}])
def test_log_probs_that_are_not_there_are_none(found):
    (completion,) = completions(parse_reply(reply(chat("a", logprobs=found))), WITH_LOGPROBS)
    assert completion.logprobs is None


def test_the_prompt_is_charged_to_the_first_and_the_call_counts_once():
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}
    first, second = completions(parse_reply(reply(chat("aaaa"), chat("a", index=1), usage=usage)), PLAIN)
    assert first.usage == Usage(prompt=9, cached=4, completion=4, calls=1)
    assert second.usage == Usage(completion=1)


def test_log_probs_reveal_how_many_tokens_each_choice_has():
    choices = (
        chat("a b c", logprobs=content("a", "b", "c")),
        chat("long-but-one", index=1, logprobs=content("x")),
    )
    drawn = completions(parse_reply(reply(*choices, usage={"completion_tokens": 4})), PLAIN)
    assert [c.usage.completion for c in drawn] == [3, 1]


def test_tokens_that_are_not_counted_apart_are_shared_by_bytes():
    choices = chat("abc"), chat("三四五", index=1)  # 3 and 9 bytes, each with one for its end
    drawn = completions(parse_reply(reply(*choices, usage={"completion_tokens": 14})), PLAIN)
    assert [c.usage.completion for c in drawn] == [4, 10]


def test_a_text_that_was_cut_has_all_its_tokens():
    choices = chat("a", finish_reason="length"), chat("bcd", index=1), chat("b", index=2)
    params = SamplingParams(max_tokens=10)
    drawn = completions(parse_reply(reply(*choices, usage={"completion_tokens": 16})), params)
    assert [c.usage.completion for c in drawn] == [10, 4, 2]
    drawn = completions(
        parse_reply(reply(*choices, usage={"completion_tokens": 8})), params
    )  # cut by the context
    assert sum(c.usage.completion for c in drawn) == 8


def test_a_server_that_counts_one_choice_only_is_corrected_by_log_probs():
    choices = chat("a b c", logprobs=content("a", "b", "c")), chat("x", index=1, logprobs=content("x"))
    drawn = completions(parse_reply(reply(*choices, usage={"completion_tokens": 3})), WITH_LOGPROBS)
    assert [c.usage.completion for c in drawn] == [3, 1]


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None, "completion_tokens": None}])
def test_tokens_are_estimated_only_where_the_server_counts_none(usage):
    (completion,) = completions(parse_reply(reply(chat("a" * 9), usage=usage)), PLAIN)
    assert completion.usage == Usage(completion=3, calls=1)


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**4), min_size=1, max_size=40))
def test_a_split_sums_up_and_is_fair(total, weights):
    parts = split(total, weights)
    assert sum(parts) == total
    assert min(parts) >= 0
    even = [1] * len(weights) if not sum(weights) else weights
    assert all(abs(p - total * w / sum(even)) < 1 for p, w in zip(parts, even, strict=True))


def test_content_in_parts_is_one_text():
    (completion,) = completions(
        parse_reply(reply(chat([{"type": "text", "text": "a"}, {"text": "b"}]))), PLAIN
    )
    assert completion.text == "ab"


def test_an_empty_text_is_a_text():
    (completion,) = completions(parse_reply(reply(chat(""))), PLAIN)
    assert (completion.text, completion.error) == ("", None)


def test_reasoning_that_took_every_token_fails_and_is_charged():
    raw = reply(chat(None, finish_reason="length"), usage={"prompt_tokens": 1, "completion_tokens": 8})
    (completion,) = completions(parse_reply(raw), PLAIN)
    assert "max_tokens" in (completion.error or "")
    assert completion.usage == Usage(prompt=1, completion=8, calls=1)


def test_one_choice_without_text_costs_only_itself():
    good, bad = completions(parse_reply(reply(chat("a"), chat(None, index=1))), PLAIN)
    assert (good.error, bad.finish) == (None, "error")


GARBAGE = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b"<html>",
    b'{"choices": [{"mess',
    b"\xff\xfe",
    b'{"choices": []}',
    b'{"choices": null}',
    b'{"choices": {}}',
    b'{"choices": [null]}',
    b'{"choices": [{}]}',
    b'{"choices": [{"message": null, "text": null}]}',
    b'{"choices": [{"message": "hi"}]}',
    b'{"choices": [{"message": {"content": 7}}]}',
    b'{"choices": [{"message": {"content": null}, "finish_reason": "stop"}]}',
    b'{"error": {"message": "overloaded"}}',
    b'{"object": "error", "error": "bad", "choices": 3}',
    b'{"choices": ' + b"[" * 100_000,
]


@pytest.mark.parametrize("raw", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_a_protocol_error_of_one_line(raw):
    with pytest.raises(EngineProtocolError) as caught:
        completions(parse_reply(raw), WITH_LOGPROBS)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "text", "logprobs", "usage", "error", "tokens"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_gives_completions_or_a_protocol_error(value):
    raw = msgspec.json.encode(value)
    for read in (
        lambda: completions(parse_reply(raw), WITH_LOGPROBS),
        lambda: models(raw),
        lambda: prompt_logprobs(parse_reply(raw), start=1),
    ):
        try:
            read()
        except EngineProtocolError as e:
            assert "\n" not in str(e)  # noqa: PT017


@given(st.binary(max_size=60))
def test_error_text_reads_anything_in_one_short_line(raw):
    text = error_text(raw)
    assert "\n" not in text
    assert len(text) <= 300


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b'{"error": {"message": "no\\n such", "code": 4}}', "no such"),
        (b'{"error": "plain"}', "plain"),
        (b'{"detail": "Not Found"}', "Not Found"),
        (b'{"detail": [{"loc": ["body", "min_p"], "msg": "Extra inputs"}]}', "min_p: Extra inputs"),
        (b'{"message": "x"}', "x"),
        (b"Bad\r\nGateway", "Bad Gateway"),
        (b'{"status": 3}', '{"status":3}'),
        (b"", ""),
    ],
)
def test_error_text_finds_the_servers_own_words(raw, text):
    assert error_text(raw) == text


def test_models_say_who_owns_them():
    raw = b'{"object": "list", "data": [{"id": "a", "owned_by": "vllm"}, {"id": "b"}]}'
    assert models(raw) == {"a": "vllm", "b": None}


@pytest.mark.parametrize(
    ("said", "stopped_by"),
    [
        ({"stop_reason": "\n"}, "\n"),
        ({"stop_reason": None}, None),
        ({"stop_reason": 151643}, None),
        ({"matched_stop": "。"}, "。"),
        ({"matched_stop": 2}, None),
        ({}, None),
    ],
)
def test_the_stop_string_that_ended_a_text_is_read_where_a_server_names_it(said, stopped_by):
    choice = {"message": {"content": "๑"}, "finish_reason": "stop", **said}
    raw = msgspec.json.encode({"choices": [choice]})
    assert completions(parse_reply(raw), SamplingParams())[0].stopped_by == stopped_by


def test_servers_that_name_the_stop_string_are_known_by_their_name():
    can = {
        server: Dialect.of_server(server).capabilities().names_stop for server in ("vllm", "llamacpp", None)
    }
    assert can == {"vllm": True, "llamacpp": False, None: False}


@pytest.mark.parametrize(
    ("start", "stop", "tokens", "values"),
    [
        (0, 9, ("二", "加", "三"), (-0.5, -1.0, -2.0)),
        (2, 9, ("加", "三"), (-1.0, -2.0)),
        (1, 3, ("二", "加"), (-0.5, -1.0)),
        (0, 1, (), ()),
        (4, 9, (), ()),
    ],
)
def test_echoed_log_probs_are_those_that_begin_inside_and_are_known(start, stop, tokens, values):
    """The first token of a text has none."""
    found = {
        "tokens": ["问", "二", "加", "三"],
        "token_logprobs": [None, -0.5, -1.0, -2.0],
        "text_offset": [0, 1, 2, 3],
    }
    raw = json.dumps({"choices": [{"index": 0, "text": "问二加三", "logprobs": found}]}).encode()
    assert echoed_logprobs(parse_reply(raw), start, stop) == Logprobs(tokens=tokens, values=values)


@pytest.mark.parametrize("found", [None, {}, {"tokens": ["a"]}, {"tokens": ["a"], "token_logprobs": [-1.0]}])
def test_what_was_not_echoed_has_no_log_probs(found):
    raw = json.dumps({"choices": [{"index": 0, "text": "a", "logprobs": found}]}).encode()
    assert echoed_logprobs(parse_reply(raw), 0, 9) is None


@pytest.mark.parametrize(
    ("places", "tokens"),
    [
        (
            [{"1": {"logprob": -1.0, "decoded_token": "a"}}, {"2": {"logprob": -2.0, "decoded_token": "б"}}],
            ("a", "б"),
        ),
        ([None, {"1": {"logprob": -1.0, "decoded_token": "a"}}, {"2": {"logprob": -2.0}}], ("a", "")),
    ],
)
@pytest.mark.parametrize("start", [1, 2])
def test_log_probs_of_a_prompt_begin_at_a_token(places, tokens, start):
    raw = json.dumps({"choices": [], "prompt_logprobs": places}).encode()
    expected = Logprobs(tokens=tokens[start - 1 :], values=(-1.0, -2.0)[start - 1 :])
    assert prompt_logprobs(parse_reply(raw), start=start) == expected


def test_log_probs_of_a_prompt_that_are_no_numbers_are_said():
    raw = json.dumps({"prompt_logprobs": [{"1": {"logprob": None, "decoded_token": "a"}}]}).encode()
    with pytest.raises(EngineProtocolError, match="no finite log-probability"):
        prompt_logprobs(parse_reply(raw), start=1)
    assert prompt_logprobs(parse_reply(b'{"prompt_logprobs": [null]}'), start=1) is None


@pytest.mark.parametrize("bad", [None, float("inf"), float("-inf")])
def test_a_token_without_a_finite_value_leaves_none_and_an_alternative_alone_is_left_out(bad):
    rows = [ServerLogprobs(tokens=["a", "б"], token_logprobs=[-1.0, value]) for value in (bad, -2.0)]
    assert completion_logprobs(rows[0], num_top=0) is None
    assert completion_logprobs(rows[1], num_top=0) == Logprobs(tokens=("a", "б"), values=(-1.0, -2.0))
    rows[1].top_logprobs = [{"a": -1.0, "x": bad}, None]
    assert completion_logprobs(rows[1], num_top=2).top == ({"a": -1.0}, {})
    rows[1].tokens = ["a"]
    assert completion_logprobs(rows[1], num_top=0) is None
