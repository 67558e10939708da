import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nbest.engines.openai.request import chat_body, text_body
from nbest.errors import InputError
from nbest.serve.api.bad_request import BadRequestError
from nbest.serve.api.chat_request import read_chat
from nbest.serve.api.completions_request import read_completion
from nbest.serve.api.gateway_request import GatewayRequest, NbestOptions
from nbest.serve.api.responses_request import read_responses
from nbest.types import Budget, Message, Overrides, Prompt, Request, SamplingParams

TEXTS = [
    "ما عاصمة مصر؟",
    "法国的首都是哪里?",
    "भारत की राजधानी?",
    "日本の首都は?",
    "Столица России?",
    "เมืองหลวงของไทย?",
    "👩‍👩‍👧‍👦🇯🇵",
]
TURN = {"role": "user", "content": "a"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def chat(**said):
    return read_chat(msgspec.json.encode({"model": "m", "messages": [TURN], **said}))


def completion(**said):
    return read_completion(msgspec.json.encode({"model": "m", "prompt": "a", **said}))


def test_what_is_left_out_or_null_is_not_said():
    silent = chat()
    assert silent == GatewayRequest(model="m", messages=(Message(role="user", content="a"),))
    assert (
        chat(temperature=None, n=None, stop=None, tools=None, nbest=None, logit_bias=None, xyz=None) == silent
    )
    assert chat(stream=False, logprobs=False, stream_options={"include_usage": False}) == silent


def test_everything_that_is_said_is_read():
    ask = chat(
        temperature=0,
        top_p=0.5,
        top_k=-1,
        min_p=0.25,
        max_tokens=7,
        stop=["。", ""],
        seed=-3,
        n=2,
        logprobs=True,
        top_logprobs=4,
        stream=True,
        stream_options={"include_usage": True},
    )
    assert ask.overrides == Overrides(
        temperature=0.0, top_p=0.5, top_k=0, min_p=0.25, max_tokens=7, stop=("。",), logprobs=4
    )
    assert (ask.n, ask.seed, ask.stream, ask.include_usage) == (2, -3, True, True)


@pytest.mark.parametrize(("said", "logprobs"), [({}, 0), ({"top_logprobs": 0}, 0), ({"top_logprobs": 2}, 2)])
def test_log_probs_with_and_without_alternatives(said, logprobs):
    assert chat(logprobs=True, **said).overrides.logprobs == logprobs


def test_the_newer_name_of_the_limit_wins():
    assert chat(max_tokens=9, max_completion_tokens=5).overrides.max_tokens == 5
    assert chat(stop="\n").overrides.stop == ("\n",)


def test_what_has_no_field_goes_to_the_engine_as_it_came():
    body = {
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": {"type": "object"}},
        },
        "logit_bias": {"50256": -100},
        "presence_penalty": 0.5,
        "frequency_penalty": -2,
        "reasoning_effort": "low",
        "user": "u",
        "service_tier": "auto",
        "chat_template_kwargs": {"enable_thinking": False},
    }
    ask = chat(**body, store=True, metadata={"a": "b"}, modalities=["text"])
    assert ask.overrides == Overrides(body=body)


def test_without_tools_nothing_is_said_about_them():
    assert chat(tools=[], tool_choice="auto", parallel_tool_calls=True).overrides.body == {}


@pytest.mark.parametrize("text", TEXTS)
def test_every_turn_is_kept_as_it_is(text):
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}
    turns = [
        {"role": "developer", "content": text},
        {
            "role": "user",
            "content": [{"type": "text", "text": text}, picture, {"type": "text", "text": "!"}],
            "name": "n",
        },
        {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None},
        {"role": "tool", "content": [{"type": "text", "text": text}], "tool_call_id": "c"},
    ]
    assert chat(messages=turns).messages == (
        Message(role="developer", content=text),
        Message(role="user", content=text + "\n!", parts=tuple(turns[1]["content"]), fields={"name": "n"}),
        Message(role="assistant", fields={"tool_calls": [call]}),
        Message(role="tool", content=text, fields={"tool_call_id": "c"}),
    )


@pytest.mark.parametrize("role", ["system", "user", "assistant", "tool"])
def test_several_texts_stay_apart(role):
    parts = [{"type": "text", "text": text} for text in ("What is 2+2?", "أجب بالعربية")]
    (turn,) = chat(messages=[{"role": role, "content": parts}]).messages
    assert (turn.content, turn.parts) == ("What is 2+2?\nأجب بالعربية", tuple(parts))
    request = Request(prompt=Prompt(id="p", messages=(turn,)))
    assert chat_body(request, "m")["messages"] == [{"role": role, "content": parts}]
    assert text_body(request, "m")["prompt"] == turn.content


def test_a_text_part_that_says_more_is_kept_as_a_part():
    part = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
    assert chat(messages=[{"role": "user", "content": [part]}]).messages[0].parts == (part,)


def test_a_language_may_have_a_script_and_a_region():
    assert chat(nbest={"language": "zh-Hant"}).nbest.language == "zh-Hant"


def test_the_key_nbest():
    said = {"strategy": "best_of_n(n=8)", "n": 8, "deadline": 1.5, "budget": {"tokens": 10}, "language": "th"}
    ask = chat(nbest={**said, "task": "math", "candidates": True, "progress": "reasoning"})
    wanted = {**said, "budget": Budget(tokens=10)}
    assert ask.nbest == NbestOptions(**wanted, task="math", candidates=True, progress="reasoning")
    assert ask.overrides.body == {}


@pytest.mark.parametrize(
    ("said", "param", "words"),
    [
        ({"temperature": -1}, "temperature", "temperature must not be negative, got -1"),
        ({"temperature": True}, "temperature", "temperature must be a number, not true or false"),
        ({"temperature": 10**400}, "temperature", "out of range"),
        ({"top_p": 0}, "top_p", "above 0"),
        ({"top_p": 1.5}, "top_p", "top_p must be above 0 and at most 1, got 1.5"),
        ({"min_p": 2}, "min_p", "between 0 and 1"),
        ({"top_k": -2}, "top_k", "negative"),
        ({"n": 0}, "n", "n must be at least 1, and at most what the server allows"),
        ({"n": 1025}, "n", "(never above 1024), got 1025"),
        ({"max_tokens": 0}, "max_tokens", "max_tokens must be at least 1"),
        ({"max_completion_tokens": 10**300}, "max_completion_tokens", "below 2³¹"),
        ({"seed": 2**63}, "seed", "64 bits"),
        ({"seed": 1.5}, "seed", "seed must be an integer, not a number"),
        ({"stop": [1]}, "stop[0]", "a string"),
        ({"stop": 1}, "stop", "must be a string or a list, not an integer"),
        ({"top_logprobs": 3}, "top_logprobs", "needs logprobs"),
        ({"logprobs": True, "top_logprobs": -1}, "top_logprobs", "from 0"),
        ({"presence_penalty": 3}, "presence_penalty", "between -2 and 2"),
        ({"logit_bias": {"1": "x"}}, "logit_bias[...]", "a number"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "json_object, json_schema"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "missing"),
        ({"tools": [{"type": "custom"}]}, "tools[0].type", "'custom'"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "missing"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name", "missing"),
        ({"tool_choice": "required"}, "tool_choice", "tools is empty"),
        ({"functions": []}, "functions", "use tools"),
        ({"function_call": "auto"}, "function_call", "use tools"),
        ({"modalities": ["text", "audio"]}, "modalities", "must be text"),
        ({"model": " "}, "model", "GET /v1/models"),
        ({"messages": []}, "messages", "messages is empty"),
        ({"messages": [{"role": 3}]}, "messages[0].role", "messages[0].role must be a string, not an integer"),
        ({"messages": [{"role": ""}]}, "messages[0].role", "is empty"),
        ({"messages": [{"content": "a"}]}, "messages[0].role", "is missing"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content", "is missing"),
        ({"messages": [TURN, {"role": "user", "name": "n"}]}, "messages[1].content", "is missing"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content", "a list of parts"),
        ({"messages": [{"role": "user", "content": ["a"]}]}, "messages[0].content[0]", "an object"),
        ({"messages": [{"role": "user", "content": [{"text": "a"}]}]}, "messages[0].content[0].type", "string"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text", "missing"),
        ({"messages": [TURN, {"role": "assistant", "tool_calls": [{"id": "a"}]}]}, "messages[1].tool_calls[0].function", "missing"),
        ({"nbest": 3}, "nbest", "an object"),
        ({"nbest": {"n": 0}}, "nbest.n", "nbest.n must be at least 1"),
        ({"nbest": {"deadline": 0}}, "nbest.deadline", "nbest.deadline must be above 0"),
        ({"nbest": {"language": "Thai"}}, "nbest.language", "did you mean 'th'"),
        ({"nbest": {"language": ""}}, "nbest.language", "nbest.language '' is no language code"),
        ({"nbest": {"language": "x" * 10**6}}, "nbest.language", "ISO 639-1"),
        ({"nbest": {"strategy": ""}}, "nbest.strategy", "nbest.strategy is empty"),
        ({"nbest": {"samples": 3}}, "nbest.samples", "there are strategy, n, deadline"),
        ({"nbest": {"progress": "all"}}, "nbest.progress", "'all': there are comments, events"),
        ({"nbest": {"budget": {"sample": 3}}}, "nbest.budget.sample", "samples, tokens, seconds"),
        ({"nbest": {"budget": {"tokens": -(10**400)}}}, "nbest.budget.tokens", "budget.tokens must not be negative"),
    ],
)  # fmt: skip
def test_a_client_is_told_what_does_not_fit_and_where(said, param, words):
    with pytest.raises(BadRequestError) as e:
        chat(**said)
    assert e.value.param == param
    assert words in str(e.value)
    assert isinstance(e.value, InputError)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not JSON"),
        (b"[]", "must be a JSON object"),
        (b"{}", "model is missing"),
        (b'{"model": "\xff"}', "not JSON"),
        (b'{"model": "\\ud800"}', "not JSON: it holds half a character"),
        (b'{"model": "\\uD83Dx"}', "half a character"),
        (b'{"model": "x\\udc00"}', "half a character"),
        (b'{"model": "\\ud83d\\ude00", x}', "JSON is malformed"),
        (b'{"model": "m", "temperature": NaN}', "not JSON"),
        (b'{"model": "m", "seed": 1e999}', "Number out of range"),
        (b'{"model": "m", "seed": ' + b"9" * 5000 + b"}", "out of range"),
        (b"[" * 100_000, "nested deeper"),
        (b'{"x": ' + b"[" * 200 + b"]" * 200 + b"}", "nested deeper than 64 levels"),
        (b'{"model": "m", "messages": [], "nbest": {"' + b"a\\n" * 500 + b'": 1}}', "…"),
    ],
)
def test_any_bytes_that_are_no_request_are_told_in_a_short_line(raw, words):
    for read in (read_chat, read_responses, read_completion):
        with pytest.raises(BadRequestError) as e:
            read(raw)
        assert "\n" not in str(e.value)
        assert len(str(e.value)) <= 300
    with pytest.raises(BadRequestError, match=words):
        read_chat(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(TEXTS),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["role", "content", "type", "text", "tool_calls", "function", "name", "arguments", "call_id", "output", "budget", "x"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip
KEYS = [
    "model", "messages", "input", "prompt", "temperature", "top_p", "top_k", "min_p", "n", "seed", "stop", "stream",
    "nbest", "tools", "tool_choice", "response_format", "text", "reasoning", "logprobs", "top_logprobs", "max_tokens",
    "max_output_tokens", "instructions", "metadata", "include", "stream_options", "echo", "best_of", "suffix", "ملف",
]  # fmt: skip
VALID = {"model": "m", "messages": [TURN], "input": "हिन्दी", "prompt": "日本"}


@given(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=6), st.booleans())
@example({"messages": [{"role": "user", "content": [{"type": "text", "text": "ไทย"}]}]}, True)
def test_any_json_is_an_ask_or_an_error(said, completed):
    raw = msgspec.json.encode({**VALID, **said} if completed else said)
    for read in (read_chat, read_responses, read_completion):
        try:
            ask = read(raw)
        except BadRequestError:
            continue
        else:
            assert msgspec.json.decode(msgspec.json.encode(ask), type=GatewayRequest) == ask
            SamplingParams(
                **{k: v for k in ("temperature", "top_p", "top_k", "min_p", "max_tokens", "logprobs")
                   if (v := getattr(ask.overrides, k)) is not None}
            )  # fmt: skip


@given(st.binary(max_size=80))
def test_any_bytes_are_an_ask_or_an_error(raw):
    for read in (read_chat, read_responses, read_completion):
        with pytest.raises(BadRequestError):
            read(raw)


def test_what_an_engine_sends_a_gateway_reads():
    messages = (Message(role="system", content="Sei kurz."), Message(role="user", content="سؤال"))
    said = {"temperature": 0.0, "top_p": 0.9, "top_k": 5, "min_p": 0.1, "max_tokens": 7, "stop": ("a", "b")}
    params = SamplingParams(**said, seed=3, logprobs=2)
    body = chat_body(Request(prompt=Prompt(id="p", messages=messages), n=4, params=params), "m")
    ask = read_chat(msgspec.json.encode(body))
    assert ask == GatewayRequest(
        model="m", messages=messages, overrides=Overrides(**said, logprobs=2), n=4, seed=3
    )


@pytest.mark.parametrize(
    ("read", "key"),
    [(read_chat, "messages"), (read_responses, "input"), (read_completion, "prompt")],
)
def test_no_api_lets_the_engine_draw_more_than_is_counted(read, key):
    said = {"model": "m", key: VALID[key]}
    with pytest.raises(BadRequestError, match="best_of is not supported") as refused:
        read(msgspec.json.encode({**said, "best_of": 64}))
    assert refused.value.param == "best_of"
    assert "best_of" not in read(msgspec.json.encode({**said, "best_of": 1})).overrides.body


@pytest.mark.parametrize("body", [chat_body, text_body])
def test_a_clients_other_words_for_how_much_is_drawn_do_not_reach_the_engine(body):
    own = {"best_of": 9, "max_completion_tokens": 99_999, "n_predict": -1, "logit_bias": {"1": 1}}
    prompt = Prompt(id="p", messages=(Message(role="user", content="?"),), overrides=Overrides(body=own))
    sent = body(Request(prompt=prompt, params=SamplingParams(max_tokens=7)), "m")
    assert sent["max_tokens"] == 7
    assert own.keys() & sent.keys() == {"logit_bias"}


@pytest.mark.parametrize("prompt", TEXTS)
def test_a_legacy_prompt_is_a_user_turn(prompt):
    ask = completion(prompt=[prompt], logprobs=2, n=2, best_of=2, echo=False, suffix="", logit_bias={"1": 1})
    overrides = Overrides(logprobs=2, body={"logit_bias": {"1": 1}})
    assert ask == GatewayRequest(
        model="m", messages=(Message(role="user", content=prompt),), n=2, overrides=overrides
    )
    assert completion(prompt=prompt).messages == ask.messages


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"prompt": [1, 2]}, "token ids"),
        ({"prompt": [[1], [2]]}, "token ids"),
        ({"prompt": ["a", "b"]}, "must be one text, got 2"),
        ({"prompt": []}, "must be one text, got 0"),
        ({"prompt": {}}, "prompt must be a string or a list, not an object"),
        ({"echo": True}, "echo is not supported"),
        ({"suffix": "x"}, "suffix is not supported"),
        ({"best_of": 4}, "nbest"),
        ({"logprobs": True}, "an integer"),
    ],
)
def test_what_legacy_completions_cannot_do_is_refused(said, words):
    with pytest.raises(BadRequestError, match=words):
        completion(**said)
