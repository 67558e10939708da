"""The official client, with the wire in place of a server, and its types, checked strictly."""

import msgspec
import pytest

from nbest.serve.api.bad_request import BadRequestError
from nbest.serve.api.chat_reply import chat_reply
from nbest.serve.api.chat_request import read_chat
from nbest.serve.api.chat_stream import ChatWriter
from nbest.serve.api.completions_reply import completion_reply
from nbest.serve.api.completions_request import read_completion
from nbest.serve.api.completions_stream import CompletionWriter
from nbest.serve.api.reply import Choice, Reply, error_reply
from nbest.serve.api.responses_reply import responses_reply
from nbest.serve.api.responses_request import read_responses
from nbest.serve.api.responses_stream import ResponsesWriter
from nbest.types import Logprobs, ToolCall, Usage

openai = pytest.importorskip("openai")

import httpx2  # noqa: E402 - the client's own transport
from openai.types import Completion  # noqa: E402
from openai.types.chat import ChatCompletion, ChatCompletionChunk  # noqa: E402
from openai.types.responses import Response, ResponseStreamEvent  # noqa: E402
from pydantic import TypeAdapter  # noqa: E402

USAGE = Usage(prompt=11, cached=4, completion=6, calls=3)
LOGPROBS = Logprobs(tokens=("日", "本"), values=(-0.5, float("-inf")), top=({"日": -0.5}, {}))
CALLS = (ToolCall(id="c1", name="f", arguments='{"x":"ж"}'), ToolCall(id="c2", name="g", arguments="{}"))
CHOICES = {
    "text": Choice(text="مرحبا 👋"),
    "logprobs": Choice(text="日本", logprobs=LOGPROBS),
    "cut": Choice(text="ไทย", finish="length"),
    "filtered": Choice(text="", finish="content_filter"),
    "refused": Choice(text="", refusal="Không thể trả lời."),
    "calls": Choice(text="", finish="tool_calls", tool_calls=CALLS),
    "both": Choice(text="हाँ", finish="tool_calls", tool_calls=CALLS),
    "thought": Choice(text="42", reasoning="六かける七…"),
    "thought before calls": Choice(
        text="", finish="tool_calls", tool_calls=CALLS, reasoning="Сначала погода."
    ),
}
ASK = {"model": "m", "messages": [{"role": "user", "content": "سؤال"}]}
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}
EVENT = TypeAdapter(ResponseStreamEvent)
each_choice = pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)


@pytest.fixture
def client():
    """A client of a gateway that answers with `choices`, in pieces where a stream is asked for."""
    with Gateway() as gateway:
        yield gateway


class Gateway(openai.OpenAI):
    def __init__(self):
        http = httpx2.Client(transport=httpx2.MockTransport(self.answer))
        super().__init__(api_key="k", base_url="http://gateway/v1", http_client=http, max_retries=0)
        self.choices = ()
        self.asks = []
        self.fails = None

    def answer(self, request):
        api = request.url.path.rpartition("/")[2]
        read, shape, writer = {
            "completions": (read_chat, chat_reply, ChatWriter),
            "responses": (read_responses, responses_reply, ResponsesWriter),
        }[api]
        if api == "completions" and "chat" not in request.url.path:
            read, shape, writer = read_completion, completion_reply, CompletionWriter
        try:
            ask = read(request.content)
        except BadRequestError as e:
            return httpx2.Response(400, json=error_reply(str(e), param=e.param))
        self.asks.append(ask)
        made = Reply(
            id="resp_7",
            model=ask.model,
            created=7,
            choices=self.choices,
            usage=USAGE,
            nbest={"n": 2},
            echo=ask.echo,
        )
        if not ask.stream:
            return httpx2.Response(
                200, content=msgspec.json.encode(shape(made)), headers={"content-type": "application/json"}
            )
        w = writer(
            id="resp_7",
            model="m",
            created=7,
            include_usage=ask.include_usage,
            progress=ask.nbest.progress,
            echo=ask.echo,
        )
        raw = w.start() + w.keep_alive("1/2") + w.event({"arrived": 1}) + w.show_progress("١/٢")
        already = made.choices[0].text[:1]
        raw += w.text(already)
        raw += w.error(self.fails) if self.fails else w.finish(made, emitted=already)
        return httpx2.Response(200, content=raw, headers={"content-type": "text/event-stream"})


def body(shape, *choices, **said):
    sent = Reply(id="resp_7", model="m", created=7, choices=choices, usage=USAGE, nbest={"n": 2}, **said)
    return msgspec.json.decode(msgspec.json.encode(shape(sent)))


def data(raw):
    lines = [x.removeprefix("data: ") for x in raw.decode().split("\n") if x.startswith("data: ")]
    return [msgspec.json.decode(x) for x in lines if x != "[DONE]"]


@each_choice
def test_whole_replies_are_what_the_types_say(choice):
    assert ChatCompletion.model_validate(body(chat_reply, choice)).choices[0].finish_reason == choice.finish
    assert Completion.model_validate(body(completion_reply, choice)).choices[0].text == choice.text
    echo = {"tools": [TOOL], "tool_choice": {"type": "function", "name": "f"}, "metadata": {"k": "v"}}
    found = Response.model_validate(body(responses_reply, choice, echo=echo), strict=True)
    assert found.output_text == choice.text
    assert found.usage.total_tokens == 17


@each_choice
@pytest.mark.parametrize("progress", ["comments", "reasoning", "none"])
def test_every_chunk_and_event_is_what_the_types_say(choice, progress):
    said = {"id": "resp_7", "model": "m", "created": 7, "include_usage": True, "progress": progress}
    for writer, check in (
        (ChatWriter(**said), ChatCompletionChunk.model_validate),
        (ResponsesWriter(**said), EVENT.validate_python),
    ):
        made = Reply(id="resp_7", model="m", created=7, choices=(choice,), usage=USAGE)
        raw = writer.start() + writer.show_progress("…") + writer.text(choice.text[:1])
        for event in data(raw + writer.finish(made, emitted=choice.text[:1])):
            assert check(event).model_dump(exclude_unset=True, by_alias=True) == event
    failing = ResponsesWriter(**said)
    assert [EVENT.validate_python(e).type for e in data(failing.error("x"))] == ["error", "response.failed"]


@each_choice
def test_chat(client, choice):
    client.choices = (choice, CHOICES["text"])
    got = client.chat.completions.create(**ASK, n=2, temperature=0.5, extra_body={"nbest": {"n": 4}})
    assert [c.message.content or "" for c in got.choices] == [choice.text, "مرحبا 👋"]
    assert [c.message.refusal for c in got.choices] == [choice.refusal, None]
    assert getattr(got.choices[0].message, "reasoning_content", None) == choice.reasoning
    assert [c.id for c in got.choices[0].message.tool_calls or ()] == [c.id for c in choice.tool_calls]
    assert (got.usage.prompt_tokens_details.cached_tokens, got.nbest) == (4, {"n": 2})
    assert (client.asks[0].nbest.n, client.asks[0].n, client.asks[0].overrides.temperature) == (4, 2, 0.5)


@each_choice
@pytest.mark.parametrize("progress", ["comments", "events", "reasoning", "none"])
def test_a_stream_of_chat_adds_up_to_the_whole(client, choice, progress):
    client.choices = (choice,)
    asked = client.chat.completions.stream(
        **ASK, stream_options={"include_usage": True}, extra_body={"nbest": {"progress": progress}}
    )
    with asked as stream:
        try:
            final = stream.get_final_completion()
        except (openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError):
            assert choice.finish in {"length", "content_filter"}
            return
    message = final.choices[0].message
    assert message.content or choice.text == ""
    assert message.refusal == choice.refusal
    assert [(c.id, c.function.arguments) for c in message.tool_calls or ()] == [
        (c.id, c.arguments) for c in choice.tool_calls
    ]
    found = final.choices[0].logprobs
    assert [t.logprob for t in found.content] == [-0.5, -9999.0] if choice.logprobs else not found
    assert final.usage.total_tokens == 17


def test_chunks_as_they_come(client):
    client.choices = (CHOICES["text"], CHOICES["cut"])
    chunks = list(
        client.chat.completions.create(**ASK, n=2, stream=True, extra_body={"nbest": {"progress": "events"}})
    )
    texts = [
        "".join(c.delta.content or "" for k in chunks for c in k.choices if c.index == i) for i in (0, 1)
    ]
    assert texts == ["مرحبا 👋", "ไทย"]
    assert [k.nbest for k in chunks if getattr(k, "nbest", None)] == [{"arrived": 1}, {"n": 2}]
    assert all(k.usage is None for k in chunks)


def test_legacy_completions(client):
    client.choices = (CHOICES["logprobs"], CHOICES["cut"])
    got = client.completions.create(model="m", prompt="こん", n=2, logprobs=1)
    assert [c.text for c in got.choices] == ["日本", "ไทย"]
    assert got.choices[0].logprobs.token_logprobs == [-0.5, -9999.0]
    chunks = list(client.completions.create(model="m", prompt="こん", n=2, stream=True))
    assert ["".join(c.text for k in chunks for c in k.choices if c.index == i) for i in (0, 1)] == [
        "日本",
        "ไทย",
    ]
    assert [c.finish_reason for k in chunks for c in k.choices if c.finish_reason] == ["stop", "length"]


@each_choice
def test_responses(client, choice):
    client.choices = (choice,)
    got = client.responses.create(
        model="m", input="Привет", instructions="i", tools=[TOOL], metadata={"k": "v"}, temperature=0.5
    )
    assert (got.output_text, got.metadata, got.temperature) == (choice.text, {"k": "v"}, 0.5)
    assert [(o.call_id, o.arguments) for o in got.output if o.type == "function_call"] == [
        (c.id, c.arguments) for c in choice.tool_calls
    ]
    assert got.nbest == {"n": 2}
    assert client.asks[0].overrides.body["tools"][0]["function"]["name"] == "f"
    again = client.responses.create(model="m", input=[{"role": "user", "content": "Привет"}, *got.output])
    assert again.output_text == choice.text
    turns = client.asks[1].messages
    assert [t.role for t in turns] == ["user", "assistant"]
    assert turns[1].content == (choice.refusal or choice.text)
    assert [c["id"] for c in turns[1].fields.get("tool_calls", ())] == [c.id for c in choice.tool_calls]


@each_choice
@pytest.mark.parametrize("progress", ["comments", "events", "reasoning", "none"])
def test_a_stream_of_a_response_adds_up_to_the_whole(client, choice, progress):
    client.choices = (choice,)
    asked = client.responses.stream(
        model="m", input="ж", tools=[TOOL], extra_body={"nbest": {"progress": progress}}
    )
    with asked as stream:
        events = list(stream)
        text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
        whole = {"length": "incomplete", "content_filter": "incomplete"}.get(choice.finish, "completed")
        assert (text, events[-1].type) == (choice.text, f"response.{whole}")
        refusal = "".join(e.delta for e in events if e.type == "response.refusal.delta")
        assert refusal == (choice.refusal or "")
        if whole == "completed":
            final = stream.get_final_response()
            assert final.output_text == choice.text
            assert final.usage.input_tokens_details.cached_tokens == 4
    assert [e.type for e in events].count("response.reasoning_summary_text.delta") == (
        progress == "reasoning"
    )


def test_an_error_in_a_stream_reaches_the_client(client):
    client.choices, client.fails = (CHOICES["text"],), "上流が落ちました"
    for asked in (client.chat.completions, client.completions):
        said = ASK if asked is client.chat.completions else {"model": "m", "prompt": "a"}
        with pytest.raises(openai.APIError, match="上流"), asked.create(**said, stream=True) as stream:
            list(stream)
    with client.responses.create(model="m", input="a", stream=True) as stream:
        *_, error, failed = stream
    assert (error.message, failed.response.status) == ("上流が落ちました", "failed")


def test_what_is_refused_names_its_place(client):
    with pytest.raises(openai.BadRequestError) as e:
        client.chat.completions.create(**ASK, temperature=-1)
    assert (e.value.param, e.value.body["message"]) == (
        "temperature",
        "temperature must not be negative, got -1",
    )
    with pytest.raises(openai.BadRequestError, match="send the whole conversation"):
        client.responses.create(model="m", input="a", previous_response_id="resp_1")


def test_a_schema_from_a_type_is_understood(client):
    from pydantic import BaseModel

    class Answer(BaseModel):
        city: str

    client.choices = (Choice(text='{"city":"Москва"}'),)
    got = client.chat.completions.parse(**ASK, response_format=Answer)
    assert got.choices[0].message.parsed == Answer(city="Москва")
    assert client.responses.parse(model="m", input="a", text_format=Answer).output_parsed == Answer(
        city="Москва"
    )
    formats = [a.overrides.body["response_format"]["json_schema"] for a in client.asks]
    assert [f["name"] for f in formats] == ["Answer", "Answer"]
    assert formats[0]["schema"] == formats[1]["schema"]
