"""The gateway over HTTP, in this process, before engines that do what a test needs."""

import asyncio
import contextlib
import json
import time
import urllib.request
from dataclasses import dataclass, field

import pytest
from aiohttp import ClientSession, web

from nbest.engines.fake import Fake
from nbest.errors import EngineHttpError, EngineTimeoutError
from nbest.protocols import Capabilities
from nbest.serve import streaming
from nbest.serve.app import Service
from nbest.serve.config import Key, Serve, ServeSettings
from nbest.serve.gateway import Gateway
from nbest.serve.keys import hash_of
from nbest.types import CallPiece, Completion, Thought, ToolCall, Usage

TURN_CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TURN_TOOL = {"type": "function", "function": {"name": "f"}}
QUESTIONS = ("كم 2+2؟", "2加2等于几？", "2+2 कितना है?", "2足す2は？", "Сколько 2+2?", "2+2 เท่ากับเท่าไร")


@dataclass
class Scripted:
    """Draw i says `texts[i]`; an exception is raised instead."""

    texts: list = field(default_factory=lambda: ["4"])
    calls: tuple = ()
    reasoning: str | None = None
    finish: str = "stop"
    delay_s: float = 0.0
    seen: list = field(default_factory=list)
    cancelled: int = 0
    name: str = "scripted"

    async def capabilities(self):
        return Capabilities()

    async def generate(self, request, on_text=None):
        self.seen.append(request)
        try:
            await asyncio.sleep(self.delay_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        drawn = []
        for i in range(request.n):
            said = self.texts[i % len(self.texts)]
            if isinstance(said, Exception):
                raise said
            if on_text and self.reasoning:
                on_text(Thought(text=self.reasoning))
            if on_text:
                on_text(said)
            calls = (self.calls[i % len(self.calls)],) if self.calls else ()
            drawn.append(
                Completion(
                    text=said,
                    finish=self.finish,
                    tool_calls=calls,
                    reasoning=self.reasoning and f"{self.reasoning}{i or ''}",
                    usage=Usage(prompt=3 * (i == 0), completion=2, calls=i == 0, reasoning=i == 0),
                )
            )
        return drawn

    async def aclose(self):
        pass


class Client:
    def __init__(self, session, base, service):
        self.session, self.base, self.service = session, base, service

    async def post(self, path="/v1/chat/completions", headers=None, **body):
        body = {"model": "fake", "messages": [{"role": "user", "content": QUESTIONS[0]}], **body}
        async with self.session.post(self.base + path, json=body, headers=headers) as reply:
            return reply.status, reply.headers, json.loads(await reply.read())

    async def stream(self, **body):
        body = {
            "model": "fake",
            "messages": [{"role": "user", "content": QUESTIONS[3]}],
            "stream": True,
            **body,
        }
        async with self.session.post(self.base + "/v1/chat/completions", json=body) as reply:
            assert reply.content_type == "text/event-stream"
            lines = (await reply.read()).decode().split("\n\n")
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        comments = [line for line in lines if line.startswith(":")]
        assert data[-1] == "[DONE]"
        return [json.loads(d) for d in data[:-1]], comments

    async def get(self, path, **how):
        async with self.session.get(self.base + path, **how) as reply:
            return reply.status, reply.headers, await reply.read()


@contextlib.asynccontextmanager
async def serving(engine=None, *, serve=None, visits=None, **settings):
    how = {"sample": "iid(n=3)", "select": "vote", **settings}
    gateway = Gateway(ServeSettings(engine="fake", serve=serve or Serve(), **how))
    if engine is not None:
        gateway.engines["policy"] = engine
    await gateway.start()
    gateway.models = ("fake",)
    service = Service(gateway)
    service.is_ready = True
    if visits is not None:
        service.tell(visits.append)
    runner = web.AppRunner(service.app(), handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        async with ClientSession() as session:
            yield Client(session, f"http://{host}:{port}", service)
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_question_is_answered_and_says_how(question):
    async with serving(Fake()) as client:
        status, _, reply = await client.post(messages=[{"role": "user", "content": question}])
    assert status == 200
    assert reply["choices"][0]["message"]["content"]
    told = reply["nbest"]
    assert told["num_candidates"] == 3
    assert told["stopped"] == "done"
    usage = told["usage_by_role"]["policy"]
    assert reply["usage"]["total_tokens"] == usage["prompt"] + usage["completion"] > 0


async def test_the_majority_answers():
    async with serving(Scripted(texts=["4", "5", "5"])) as client:
        _, _, reply = await client.post()
    assert reply["choices"][0]["message"]["content"] == "5"
    assert reply["nbest"]["chosen"] == 1


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
async def test_the_thoughts_of_the_chosen_answer_come_with_it(path):
    async with serving(Scripted(texts=["4", "5", "5"], reasoning="考える")) as client:
        said = {"input": QUESTIONS[3], "messages": None} if path.endswith("responses") else {}
        _, _, reply = await client.post(path, **said)
    if path.endswith("responses"):
        assert reply["output"][0]["content"] == [{"type": "reasoning_text", "text": "考える1"}]
        assert reply["usage"]["output_tokens_details"] == {"reasoning_tokens": 1}
    else:
        assert reply["choices"][0]["message"]["reasoning_content"] == "考える1"
        assert reply["usage"]["completion_tokens_details"] == {"reasoning_tokens": 1}


@pytest.mark.parametrize("sample", ["greedy", "iid(n=3)"])
async def test_thoughts_are_heard_before_the_answer_and_once(sample):
    async with serving(Scripted(texts=["да"], reasoning="подумаем"), sample=sample) as client:
        chunks, _ = await client.stream()
    deltas = [c["choices"][0]["delta"] for c in chunks if c["choices"]]
    kinds = [next(iter(d.keys() & {"reasoning_content", "content"}), None) for d in deltas[1:]]
    assert kinds == ["reasoning_content", "content", None]
    assert [d.get("reasoning_content") for d in deltas].count("подумаем") == 1


async def test_thoughts_that_a_client_sends_back_reach_the_engine():
    engine = Scripted(texts=["4"])
    turn = {"role": "assistant", "content": "", "reasoning_content": "หา", "tool_calls": [TURN_CALL]}
    said = [
        {"role": "user", "content": QUESTIONS[5]},
        turn,
        {"role": "tool", "tool_call_id": "c", "content": "2"},
    ]
    async with serving(engine) as client:
        assert (await client.post(messages=said, tools=[TURN_TOOL]))[0] == 200
        items = [
            {"role": "user", "content": QUESTIONS[5]},
            {
                "type": "reasoning",
                "id": "rs",
                "summary": [{"type": "summary_text", "text": "1/3"}],
                "content": [{"type": "reasoning_text", "text": "หา"}],
            },
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "2"},
        ]
        assert (await client.post("/v1/responses", input=items, messages=None))[0] == 200
    for request in engine.seen:
        assert request.prompt.messages[1].fields["reasoning_content"] == "หา"
        assert request.prompt.messages[1].fields["tool_calls"][0]["id"] == "c"


async def test_tool_calls_are_voted_on_by_name_and_canonical_arguments():
    def call(i, arguments, name="weather"):
        return ToolCall(id=f"c{i}", name=name, arguments=arguments)

    engine = Scripted(
        texts=[""],
        calls=(
            call(0, '{"city": "東京", "days": 2}'),
            call(1, '{"city": "القاهرة"}'),
            call(2, '{"days":2.0,"city":"東京"}'),
        ),
    )
    async with serving(engine) as client:
        _, _, reply = await client.post(tools=[{"type": "function", "function": {"name": "weather"}}])
    choice = reply["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"][0]["id"] == "c0"
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"city": "東京", "days": 2}'
    assert engine.seen[0].prompt.overrides.body["tools"]


async def test_calls_that_were_cut_before_the_next_say_so():
    engine = Scripted(texts=[""], calls=(ToolCall(id="c", name="天気", arguments="{}"),), finish="length")
    async with serving(engine) as client:
        _, _, reply = await client.post(tools=[{"type": "function", "function": {"name": "天気"}}])
    (choice,) = reply["choices"]
    assert (choice["finish_reason"], len(choice["message"]["tool_calls"])) == ("length", 1)


async def test_candidates_that_violate_the_schema_are_set_aside():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    async with serving(Scripted(texts=['{"n": "四"}', '{"n": "四"}', '{"n": 4}'])) as client:
        _, _, reply = await client.post(response_format=wanted)
        assert reply["choices"][0]["message"]["content"] == '{"n": 4}'
        assert reply["nbest"]["num_failed"] == 2
    async with serving(Scripted(texts=['{"n": ', "nein"])) as client:
        _, _, reply = await client.post(response_format=wanted)
        assert reply["choices"][0]["message"]["content"] == '{"n": '
        assert any("response_format" in note for note in reply["nbest"]["notes"])


async def test_n_choices_come_best_first():
    async with serving(Scripted(texts=["4", "5", "5"])) as client:
        _, _, reply = await client.post(n=3)
        assert [c["message"]["content"] for c in reply["choices"]] == ["5", "5", "4"]
        _, _, reply = await client.post(n=5)
        assert len(reply["choices"]) == 5


async def test_the_model_name_or_the_body_chooses_the_strategy():
    presets = {"careful": "parallel(sampler=iid(n=7), selector=vote)"}
    async with serving(Scripted(), presets=presets) as client:
        for name, n in (
            ("fake", 3),
            ("fake@careful", 7),
            ("careful", 7),
            ("fake@parallel(sampler=iid(n=2))", 2),
        ):
            _, _, reply = await client.post(model=name)
            assert reply["nbest"]["num_candidates"] == n
        _, _, reply = await client.post(nbest={"strategy": "careful", "n": 4, "candidates": True})
        assert [c["id"] for c in reply["nbest"]["candidates"]] == [0, 1, 2, 3]
        _, _, rows = await client.get("/v1/models")
        assert [r["id"] for r in json.loads(rows)["data"]] == ["fake", "fake@careful"]


async def test_names_of_models_may_hold_an_at():
    presets = {"careful": "parallel(sampler=iid(n=7), selector=vote)", "001": "parallel(sampler=iid(n=5))"}
    async with serving(Scripted(), presets=presets) as client:
        client.service.gateway.models = ("text-bison", "text-bison@001", "文本@北京")
        for name, n in (
            ("text-bison@001", 3),
            ("text-bison@001@careful", 7),
            ("text-bison@001@vote(n=2)", 2),
            ("text-bison@careful", 7),
            ("文本@北京@vote(n=2)", 2),
            ("001", 5),
        ):
            status, _, reply = await client.post(model=name)
            assert (status, reply["model"], reply["nbest"]["num_candidates"]) == (200, name, n)
        for name, status in (
            ("text-bison@001@", 400),
            ("text-bison@001x", 400),
            ("文本", 404),
            ("文本@北", 404),
        ):
            assert (await client.post(model=name))[0] == status


async def test_what_cannot_be_served_is_refused_before_anything_is_spent():
    engine = Scripted()
    async with serving(engine, serve=Serve(max_n=8)) as client:
        for body, status, says in (
            ({"model": "fakes"}, 404, "did you mean 'fake'? GET /v1/models"),
            ({"model": "模型"}, 404, "'模型' is not served: GET /v1/models"),
            ({"model": "fake@nope"}, 400, "unknown strategy"),
            ({"model": "fake@"}, 400, "names no strategy"),
            ({"nbest": {"n": 9}}, 400, "above the limit of 8"),
            ({"nbest": {"strategies": "x"}}, 400, "is not known"),
            ({"n": 9}, 400, "above the limit of 8"),
            ({"temperature": -1}, 400, "must not be negative"),
            ({"response_format": {"type": "xml"}}, 400, "response_format"),
            ({"messages": []}, 400, "messages"),
        ):
            got, _, reply = await client.post(**body)
            assert (got, says in reply["error"]["message"]) == (status, True), reply
        async with client.session.post(client.base + "/v1/chat/completions", data="{}") as reply:
            assert reply.status == 415
        assert (await client.get("/v1/nothing"))[0] == 404
        status, _, reply = await client.post("/chat/completions")
        assert (status, "end in /v1" in reply["error"]["message"]) == (404, True)
        status, headers, _ = await client.get("/v1/chat/completions")
        assert (status, headers["Allow"]) == (405, "POST")
        assert (await client.post("/v1/completions", prompt="x"))[0] == 404
    assert engine.seen == []


async def test_a_refusal_does_not_repeat_all_that_it_was_sent():
    endless = "模" * 2000
    async with serving(Scripted(), serve=Serve(strategies_by_clients=False)) as client:
        for name in (endless, f"{endless}@careful", f"fake@{endless}"):
            _, _, reply = await client.post(model=name)
            assert 300 < len(reply["error"]["message"]) < 400
        for path in (f"/v1/models/{endless[:500]}", f"/v1/{endless[:500]}"):
            assert len(json.loads((await client.get(path))[2])["error"]["message"]) < 400


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "数"}}}, "response_format"),
        (
            {
                "tools": [
                    {"type": "function", "function": {"name": "f", "strict": True, "parameters": {"type": 3}}}
                ]
            },
            "tools",
        ),
        ({"nbest": {"deadline": -1}}, "nbest.deadline"),
        ({"nbest": {"strategy": "revise", "n": 3}}, "n"),
    ],
)
async def test_a_refusal_names_the_parameter(body, param):
    async with serving(Scripted()) as client:
        status, _, reply = await client.post(**body)
    assert (status, reply["error"]["param"]) == (400, param), reply


async def test_several_answers_of_a_strategy_whose_size_is_not_one_number():
    async with serving(Scripted(texts=["4", "5"])) as client:
        _, _, reply = await client.post(model="fake@revise(sequential=1, parallel=4)", n=3)
    assert [c["index"] for c in reply["choices"]] == [0, 1, 2]
    assert reply["nbest"]["num_candidates"] == 4


async def test_presets_alone_where_the_server_says_so():
    async with serving(
        Scripted(), serve=Serve(strategies_by_clients=False), presets={"p": "parallel"}
    ) as client:
        assert (await client.post(model="fake@parallel"))[0] == 400
        assert (await client.post(model="fake@p"))[0] == 200


async def test_a_single_sample_streams_its_text():
    async with serving(Scripted(texts=["四。"]), sample="greedy", select="first") as client:
        chunks, _ = await client.stream(stream_options={"include_usage": True})
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"]) == "四。"
    assert chunks[-1]["usage"]["completion_tokens"] == 2
    assert chunks[-2]["nbest"]["stopped"] == "done"


async def test_progress_of_a_search_tells_steps_from_answers():
    strategy = "tree(search=beam(n=3, width=1), verifier=logprob, boundary=newline)"
    async with serving(Fake()) as client:
        events, _ = await client.stream(
            nbest={"progress": "events", "candidates": True, "strategy": strategy}
        )
    told = [e["nbest"]["candidate"] for e in events if e.get("nbest", {}).get("event") == "candidate"]
    final = events[-1]["nbest"]["candidates"]
    assert sorted(c["finish"] for c in told) == sorted(c["finish"] for c in final)
    assert {c["finish"] for c in told} == {"step", "stop"}


async def test_a_pool_streams_its_progress_then_the_answer():
    async with serving(Scripted(texts=["4", "5", "5"])) as client:
        chunks, comments = await client.stream()
        assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks) == "5"
        assert ": candidate 3" in comments
        events, _ = await client.stream(nbest={"progress": "events", "candidates": True})
    told = [c["nbest"]["candidate"]["text"] for c in events if not c["choices"] and "nbest" in c]
    assert told == ["4", "5", "5"]


class Calling(Scripted):
    """Writes a call piece by piece, where it is heard."""

    pieces = ("{", '"город": "Казань"', "}")

    async def generate(self, request, on_text=None):
        if on_text:
            on_text(CallPiece(index=0, id="a", name="погода"))
            for piece in self.pieces:
                on_text(CallPiece(index=0, arguments=piece))
        return await super().generate(request)


@pytest.mark.parametrize(
    ("strategy", "num_deltas"), [("parallel(sampler=greedy, selector=first)", 4), (None, 1)]
)
async def test_the_call_of_a_single_draw_is_heard_while_it_is_written(strategy, num_deltas):
    call = ToolCall(id="a", name="погода", arguments="".join(Calling.pieces))
    async with serving(Calling(texts=[""], calls=(call,))) as client:
        chunks, _ = await client.stream(nbest={"strategy": strategy})
    said = [d["tool_calls"][0] for c in chunks if (d := c["choices"][0]["delta"]).get("tool_calls")]
    assert len(said) == num_deltas
    assert (said[0]["id"], said[0]["function"]["name"]) == ("a", "погода")
    assert "".join(s["function"]["arguments"] for s in said) == call.arguments
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


class Refusing(Scripted):
    """Draws whose text is "" are refused, as `wire.completions` reads a refusal."""

    refusal = Completion(
        text="لا أستطيع.", finish="refused", error="the model refused", usage=Usage(completion=3)
    )

    async def generate(self, request, on_text=None):
        drawn = await super().generate(request, on_text)
        return [c if c.text else self.refusal for c in drawn]


async def test_a_refused_candidate_is_set_aside_where_others_answer():
    async with serving(Refusing(texts=["", "4", ""])) as client:
        _, _, reply = await client.post()
    assert reply["choices"][0]["message"] == {"role": "assistant", "content": "4", "refusal": None}
    assert (reply["nbest"]["chosen"], reply["nbest"]["num_failed"]) == (1, 2)


@pytest.mark.parametrize(
    "strategy",
    ["parallel(sampler=greedy, selector=first)", "best_of_n(n=3)", "self_refine", "tree(verifier=logprob)"],
)
async def test_where_every_candidate_is_refused_the_refusal_is_the_answer(strategy):
    async with serving(Refusing(texts=[""])) as client:
        nbest = {"strategy": strategy}
        _, _, reply = await client.post(nbest=nbest)
        chunks, _ = await client.stream(nbest=nbest)
        _, _, response = await client.post("/v1/responses", input="?", messages=None, nbest=nbest)
    said = reply["choices"][0]
    assert said["message"] == {"role": "assistant", "content": None, "refusal": Refusing.refusal.text}
    assert said["finish_reason"] == "stop"
    assert reply["usage"]["completion_tokens"] >= 3
    assert "refused" in reply["nbest"]["notes"][-1]
    deltas = [c["choices"][0]["delta"] for c in chunks if c["choices"]]
    assert "".join(d.get("refusal") or "" for d in deltas) == Refusing.refusal.text
    assert not any(d.get("content") for d in deltas)
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert response["status"] == "completed"
    assert response["output"][0]["content"] == [{"type": "refusal", "refusal": Refusing.refusal.text}]


async def test_a_refusal_beside_draws_that_were_late_says_that_the_deadline_ended_it():
    class Slow(Refusing):
        async def generate(self, request, on_text=None):
            if request.params.temperature > 0:
                await asyncio.sleep(60)
            return await super().generate(request, on_text)

    async with serving(Slow(texts=[""]), sample="hedged(n=3)") as client:
        _, _, reply = await client.post(nbest={"deadline": 0.1})
    assert reply["choices"][0]["message"]["refusal"] == Refusing.refusal.text
    assert reply["nbest"]["stopped"] == "deadline"


async def test_where_the_choice_fails_an_answer_is_given_and_no_refusal():
    select = "best(scorer=reward(url='http://127.0.0.1:9'))"
    async with serving(Refusing(texts=["", "4", "5"]), select=select) as client:
        _, _, reply = await client.post()
    assert reply["choices"][0]["message"]["content"] == "4"
    assert "the choice failed" in reply["nbest"]["notes"][-1]


async def test_what_a_content_filter_cut_is_given_with_its_finish_reason():
    class Filtering(Refusing):
        refusal = Completion(text="да", finish="filtered", error="the server cut the text")

        async def generate(self, request, on_text=None):
            if on_text:
                on_text("да")
            return await super().generate(request)

    async with serving(Filtering(texts=[""]), sample="greedy", select="first") as client:
        _, _, reply = await client.post()
        chunks, _ = await client.stream()
        _, _, response = await client.post("/v1/responses", input="?", messages=None)
    said = reply["choices"][0]
    assert (said["message"]["content"], said["finish_reason"]) == ("да", "content_filter")
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks) == "да"
    assert chunks[-1]["choices"][0]["finish_reason"] == "content_filter"
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "content_filter"}


class Fusing(Scripted):
    """Drafts differ; the fusor writes word by word, and waits to be heard before it goes on."""

    words = ("四，", "إذن ", "ห้า")

    async def generate(self, request, on_text=None):
        if request.role != "fusor":
            return await super().generate(request, on_text)
        assert on_text, "the fusor is not heard"
        for word in self.words:
            on_text(word)
            await asyncio.sleep(0.02)
        return [Completion(text="".join(self.words), finish=self.finish)]

    finish = "stop"


@pytest.mark.parametrize("finish", ["stop", "length"])
async def test_a_fusion_is_heard_while_it_is_written_and_stands(finish):
    engine = Fusing(texts=["4", "5", "6"])
    engine.finish = finish
    async with serving(engine, select="fuse") as client:
        chunks, _ = await client.stream()
        _, _, reply = await client.post(nbest={"strategy": "parallel(sampler=iid(n=2), selector=first)"})
    said = [c["choices"][0]["delta"]["content"] for c in chunks if c["choices"][0]["delta"].get("content")]
    assert said == list(Fusing.words)
    assert chunks[-1]["choices"][0]["finish_reason"] == finish
    assert chunks[-1]["nbest"]["usage_by_role"].keys() == {"policy", "fusor"}
    assert reply["choices"][0]["message"]["content"] == "4"


async def test_a_tool_call_streams_as_one_delta():
    call = ToolCall(id="c", name="天気", arguments='{"都市": "東京"}')
    async with serving(Scripted(texts=[""], calls=(call,))) as client:
        chunks, _ = await client.stream(tools=[{"type": "function", "function": {"name": "天気"}}])
    [delta] = [c["choices"][0]["delta"] for c in chunks if c["choices"][0]["delta"].get("tool_calls")]
    assert delta["tool_calls"][0]["function"] == {"name": "天気", "arguments": '{"都市": "東京"}'}
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_a_fusion_that_does_not_fit_the_schema_is_set_aside_in_a_stream_too():
    engine = Scripted(texts=['{"一": 1}', '{"二": 2}', '{"三": 3}'])

    async def generate(request, on_text=None):
        if request.role != "fusor":
            return await Scripted.generate(engine, request, on_text)
        for word in ("دمج ", "سيئ") if on_text else ():
            on_text(word)
        return [Completion(text="دمج سيئ")]

    engine.generate = generate
    async with serving(engine, select="fuse(fallback=first)") as client:
        chunks, _ = await client.stream(response_format={"type": "json_object"})
    said = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks)
    assert (said, chunks[-1]["choices"][0]["finish_reason"]) == ('{"一": 1}', "stop")


class Breaking(Scripted):
    """Says the first of its texts, and fails."""

    async def generate(self, request, on_text=None):
        if on_text:
            on_text(self.texts[0])
        raise EngineHttpError("boom", status=500)


async def test_an_error_in_a_stream_is_in_the_stream():
    async with serving(Breaking(texts=["四"]), sample="greedy", select="first") as client:
        chunks, _ = await client.stream()
    assert chunks[1]["choices"][0]["delta"]["content"] == "四"
    assert (chunks[-1]["error"]["type"], chunks[-1]["error"]["code"]) == ("server_error", "upstream_error")
    assert "boom" in chunks[-1]["error"]["message"]


@pytest.mark.parametrize(
    ("error", "status"),
    [(EngineHttpError("too long", status=400), 400), (EngineHttpError("slow down", status=429), 429)],
)
async def test_an_error_before_anything_was_said_has_its_status(error, status):
    async with serving(Scripted(texts=[error])) as client:
        got, headers, reply = await client.post(stream=True)
    assert got == status
    assert str(error) in reply["error"]["message"]
    assert headers.get("Retry-After") == ("1" if status == 429 else None)


async def test_a_stream_begins_before_its_first_candidate_where_that_takes_long(monkeypatch):
    monkeypatch.setattr(streaming, "QUIET_S", 0.01)
    engine = Scripted(texts=[EngineHttpError("boom", status=500)], delay_s=0.2)
    async with serving(engine) as client:
        chunks, _ = await client.stream()
    assert "boom" in chunks[-1]["error"]["message"]


async def test_what_failed_is_told_to_who_listens():
    visits = []
    async with serving(Scripted(texts=[EngineHttpError("boom", status=500)]), visits=visits) as client:
        await client.post()
        await client.post(stream=True)
    assert [(v.outcome.stopped, len(v.outcome.candidates)) for v in visits] == [("error", 3)] * 2


async def test_waiting_for_a_place_is_part_of_the_deadline():
    engine = Scripted(delay_s=0.6)
    async with serving(engine, serve=Serve(concurrency=1)) as client:
        first = asyncio.ensure_future(client.post())
        while not engine.seen:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        status, _, reply = await client.post(nbest={"deadline": 0.9})
        assert (status, reply["error"]["code"]) == (504, "deadline")
        assert (await first)[0] == 200


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (EngineHttpError("the prompt is too long", status=400), 400),
        (EngineHttpError("slow down", status=429, retry_after_s=7), 429),
        (EngineTimeoutError("late"), 504),
        (EngineHttpError("boom", status=500), 502),
    ],
)
async def test_why_nothing_was_drawn_is_told_by_the_status(error, status):
    visits = []
    async with serving(Scripted(texts=[error]), visits=visits) as client:
        got, headers, reply = await client.post()
    assert got == status
    assert str(error) in reply["error"]["message"]
    assert headers.get("Retry-After") == ("7" if status == 429 else None)
    assert [v.status for v in visits] == [status]


async def test_a_client_is_not_told_about_the_gateways_own_key():
    error = EngineHttpError("gpu-7.internal answered 401; no key was sent", status=401)
    async with serving(Scripted(texts=[error])) as client:
        got, _, reply = await client.post()
    assert (got, reply["error"]["code"]) == (502, "upstream_key")
    assert "gpu-7" not in str(reply)


@pytest.mark.parametrize(
    ("errors", "status", "code"),
    [
        ((401, 429), 429, "upstream_busy"),
        ((401, 400), 400, None),
        ((403, 403), 502, "upstream_error"),  # moderation, in some places
    ],
)
async def test_a_refused_key_is_told_where_nothing_is_the_clients_to_mend(errors, status, code):
    texts = [EngineHttpError(f"it answered {s}", status=s) for s in errors]
    causes = EngineHttpError("; ".join(map(str, texts)), status=500)
    causes.causes = tuple(texts)
    async with serving(Scripted(texts=[causes])) as client:
        got, _, reply = await client.post()
    assert (got, reply["error"]["code"]) == (status, code)


async def test_a_bug_in_an_engine_costs_its_request():
    async with serving(Scripted(texts=[KeyError("secret")])) as client:
        status, _, reply = await client.post()
        assert status == 502
        assert "KeyError" in reply["error"]["message"]


async def test_a_deadline_before_anything_is_there_is_told():
    async with serving(Scripted(delay_s=5)) as client:
        status, _, reply = await client.post(nbest={"deadline": 0.05})
    assert (status, reply["error"]["code"]) == (504, "deadline")


@pytest.mark.parametrize("said", [{"deadline": 20}, {"budget": {"seconds": 20}}])
async def test_draws_before_a_clients_own_deadline_are_calls_of_their_own(said):
    engine = Scripted(texts=["4"])
    async with serving(engine) as client:
        _, _, reply = await client.post(nbest=said)
        assert [r.n for r in engine.seen] == [1, 1, 1]
        assert (reply["nbest"]["stopped"], reply["nbest"]["num_candidates"]) == ("done", 3)
        assert "quorum" not in reply["nbest"]["strategy"]
        engine.seen.clear()
        await client.post(nbest={"budget": {"tokens": 9000}})
        assert [r.n for r in engine.seen] == [3]


async def test_before_a_deadline_a_pool_is_as_large_as_its_samplers_table_says(tmp_path):
    table = tmp_path / "params.toml"
    table.write_text('[[params]]\nlanguage = "th"\nn = 8\n[[params]]\nlanguage = "ja"\nn = 1\n')
    sample = f'iid(n=5, table="{table}")'
    async with serving(Scripted(texts=["4"]), sample=sample) as client:
        for language, num in (("th", 8), ("ja", 1), ("ar", 5)):
            _, _, reply = await client.post(nbest={"deadline": 20, "language": language})
            told = reply["nbest"]
            assert (told["num_candidates"], told["num_failed"], told["stopped"]) == (num, 0, "done")


async def test_a_client_that_leaves_cancels_the_work():
    engine = Scripted(delay_s=30)
    visits = []
    async with serving(engine, visits=visits) as client:
        for stream in (False, True):
            task = asyncio.ensure_future((client.stream if stream else client.post)())
            while len(engine.seen) < 1 + stream:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            task.cancel()
            async with asyncio.timeout(1):
                while engine.cancelled < 1 + stream:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert client.service.admission.num_at_work == 0
    assert [v.status for v in visits] == [499, 499]


async def test_a_client_that_reads_no_more_gives_its_place_back(monkeypatch):
    monkeypatch.setattr(streaming, "STALLED_S", 0.2)
    engine, visits = Scripted(texts=["あ" * 4_000_000]), []
    async with serving(
        engine, serve=Serve(concurrency=1), sample="greedy", select="first", visits=visits
    ) as client:
        address = client.base.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(*address, limit=1024)
        body = json.dumps(
            {"model": "fake", "stream": True, "messages": [{"role": "user", "content": "長く"}]}
        )
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        while not engine.seen:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        engine.texts = ["4"]
        assert (await client.post())[0] == 200
        assert visits[0].status == 499
        writer.transport.abort()


async def test_a_stream_that_waits_for_a_place_says_that_it_lives(monkeypatch):
    monkeypatch.setattr(streaming, "QUIET_S", 0.05)
    monkeypatch.setattr(streaming, "KEEP_ALIVE_S", 0.05)
    engine = Scripted(delay_s=0.5)
    async with serving(engine, serve=Serve(concurrency=1)) as client:
        first = asyncio.ensure_future(client.post())
        while client.service.admission.num_at_work < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        body = {"model": "fake", "stream": True, "messages": [{"role": "user", "content": "待つ"}]}
        async with client.session.post(client.base + "/v1/chat/completions", json=body) as reply:
            assert b"assistant" in await reply.content.readuntil(b"\n\n")
            assert await reply.content.readuntil(b"\n\n") == b": \n\n"
            assert len(engine.seen) == 1  # it waits still
            assert (await reply.read()).endswith(b"data: [DONE]\n\n")
        assert (await first)[0] == 200
        assert client.service.admission.num_at_work == 0


@pytest.mark.parametrize(
    ("serve", "code", "status"),
    [
        (Serve(concurrency=1, queue=0), "overloaded", 429),
        (Serve(concurrency=1, deadline=0.1), "deadline", 504),
    ],
)
async def test_a_stream_that_gets_no_place_has_a_plain_status(serve, code, status):
    engine = Scripted(delay_s=60)
    async with serving(engine, serve=serve) as client:
        first = asyncio.ensure_future(client.post(nbest={"deadline": 30}))
        while client.service.admission.num_at_work < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        found, _, reply = await client.post(stream=True)
        assert (found, reply["error"]["code"]) == (status, code)
        assert (client.service.admission.num_at_work, client.service.admission.num_waiting) == (1, 0)
        first.cancel()


async def test_a_client_that_leaves_the_queue_of_streams_leaves_no_place_taken(monkeypatch):
    monkeypatch.setattr(streaming, "QUIET_S", 0.01)
    engine = Scripted(delay_s=0.3)
    async with serving(engine, serve=Serve(concurrency=1)) as client:
        first = asyncio.ensure_future(client.post())
        while client.service.admission.num_at_work < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        body = {"model": "fake", "stream": True, "messages": [{"role": "user", "content": "待つ"}]}
        async with client.session.post(client.base + "/v1/chat/completions", json=body) as reply:
            await reply.content.readuntil(b"\n\n")
            reply.close()
        while client.service.admission.num_waiting:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert (await first)[0] == 200
        assert (await client.post())[0] == 200
        assert len(engine.seen) == 2


async def test_who_is_not_done_when_a_drain_ends_is_told(monkeypatch):
    monkeypatch.setattr(streaming, "QUIET_S", 0.01)
    engine, visits = Scripted(delay_s=60), []
    async with serving(engine, visits=visits) as client:
        asked = [asyncio.ensure_future(a) for a in (client.post(), client.stream())]
        while client.service.admission.num_at_work < 2 or len(engine.seen) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert await client.service.admission.drain(0.01) == 2
        (status, headers, reply), (chunks, _) = await asyncio.gather(*asked)
        assert (status, reply["error"]["code"], headers["Retry-After"]) == (503, "stopping", "1")
        assert "stopping" in chunks[-1]["error"]["message"]
        assert engine.cancelled == 2
    assert [v.status for v in visits] == [503, 503]


async def test_beyond_the_queue_clients_are_told_to_come_back():
    async with serving(Scripted(delay_s=0.3), serve=Serve(concurrency=1, queue=1)) as client:
        replies = await asyncio.gather(*(client.post() for _ in range(4)))
    assert sorted(r[0] for r in replies) == [200, 200, 429, 429]
    assert all(int(r[1]["Retry-After"]) >= 1 for r in replies if r[0] == 429)


async def test_keys_open_and_limit():
    keys = (Key(name="ana", sha256=hash_of("nbest-ana"), requests_per_minute=1, max_n=4),)
    async with serving(Scripted(), serve=Serve(keys=keys)) as client:
        status, headers, _ = await client.post()
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
        assert (await client.get("/v1/models"))[0] == 401
        assert (await client.get("/metrics"))[0] == 401
        assert (await client.get("/health"))[0] == 200
        bearer = {"Authorization": "Bearer nbest-ana"}
        assert (await client.post(headers=bearer, nbest={"n": 5}))[0] == 400
        status, headers, reply = await client.post(headers=bearer)
        assert (status, reply["error"]["code"]) == (429, "rate_limit_exceeded")


class Endless(Scripted):
    """Writes, and does not end."""

    async def generate(self, request, on_text=None):
        on_text("二加二等于四。" * 100)
        await asyncio.sleep(60)


@pytest.mark.parametrize("leaves", [True, False])
async def test_what_was_heard_is_charged_though_its_call_never_ends(leaves):
    key = Key(name="ana", sha256=hash_of("k"), tokens_per_minute=300)
    async with serving(Endless(), serve=Serve(keys=(key,)), sample="greedy", select="first") as client:
        body = {"model": "fake", "messages": [{"role": "user", "content": "二加二？"}], "stream": True}
        body |= {} if leaves else {"nbest": {"deadline": 0.1}}
        headers = {"Authorization": "Bearer k"}
        path = client.base + "/v1/chat/completions"
        async with client.session.post(path, json=body, headers=headers) as reply:
            await (reply.content.readany() if leaves else reply.read())
        while client.service.admission.num_at_work:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        status, _, refused = await client.post(headers=headers)
    assert (status, refused["error"]["code"]) == (429, "rate_limit_exceeded")


async def test_without_keys_other_names_of_this_machine_are_refused():
    async with serving(Scripted()) as client:
        assert (await client.get("/v1/models", headers={"Host": "evil.example"}))[0] == 403
        assert (await client.get("/v1/models", headers={"Host": "localhost:1"}))[0] == 200


async def test_a_body_that_is_not_encoded_as_it_says_is_the_clients_fault():
    visits = []
    async with serving(Scripted(), visits=visits) as client:
        reader, writer = await asyncio.open_connection(*client.base.removeprefix("http://").split(":"))
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n".encode())
        await asyncio.sleep(0.05)  # so that the gateway reads already
        writer.write(b"{}{}")
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
        writer.close()
        assert [v.status for v in visits] == [400]
        assert (await client.post())[0] == 200


async def test_a_request_that_is_too_large_is_refused():
    async with serving(Scripted(), serve=Serve(max_body_bytes=100)) as client:
        assert (await client.post(messages=[{"role": "user", "content": "ん" * 100}]))[0] == 413


async def test_ready_says_why_not():
    async with serving(Scripted()) as client:
        assert (await client.get("/ready"))[0] == 200
        client.service.is_ready = False
        status, _, raw = await client.get("/ready")
        assert (status, json.loads(raw)["why"]) == (503, "the engine does not answer yet")
        assert (await client.post())[0] == 503


async def test_the_same_seed_gives_the_same_answer():
    async with serving(Fake()) as client:
        texts = {(await client.post(seed=7))[2]["choices"][0]["message"]["content"] for _ in range(3)}
        assert len(texts) == 1


async def test_what_clients_say_reaches_every_draw():
    engine = Scripted()
    async with serving(engine, sample="hedged(n=3)") as client:
        _, _, reply = await client.post(
            temperature=0, max_tokens=9, stop=["。"], logit_bias={"5": -100}, user="x"
        )
    cold, warm = (r.params for r in engine.seen)
    assert (cold.temperature, warm.temperature) == (0.0, 0.7)
    assert reply["nbest"]["temperatures"] == [0.0, 0.7]
    assert {p.max_tokens for p in (cold, warm)} == {9}
    assert {p.stop for p in (cold, warm)} == {("。",)}
    assert engine.seen[0].prompt.overrides.body["logit_bias"] == {"5": -100}


class Gated(Scripted):
    """Answers when it is told to."""

    async def generate(self, request, on_text=None):
        self.gate = asyncio.Event()
        self.asked.set()
        await self.gate.wait()
        return await super().generate(request, on_text)


async def test_a_reloaded_configuration_leaves_requests_under_way_alone():
    slow = Gated(texts=["old"])
    slow.asked = asyncio.Event()
    async with serving(slow) as client:
        asked = asyncio.ensure_future(client.post())
        await slow.asked.wait()
        old = client.service.gateway
        new = Gateway(ServeSettings(engine="fake", sample="greedy", select="first"))
        new.engines["policy"] = Scripted(texts=["new"])
        await new.start()
        new.models = ("fake",)
        client.service.use(new)
        retired = asyncio.ensure_future(old.retire())
        assert (await client.post())[2]["choices"][0]["message"]["content"] == "new"
        assert not retired.done()
        slow.gate.set()
        assert (await asked)[2]["choices"][0]["message"]["content"] == "old"
        await retired


async def test_who_is_told_of_a_request_hears_of_it_behind_the_reply():
    over = []

    def listen(visit):
        time.sleep(0.5)  # holds up the loop, and with it whatever was not sent
        over.append(time.monotonic())

    def ask(base):
        body = {"model": "fake", "messages": [{"role": "user", "content": QUESTIONS[5]}]}
        with urllib.request.urlopen(
            urllib.request.Request(
                f"{base}/v1/chat/completions",
                data=json.dumps(body).encode(),
                headers={"Content-Type": "application/json"},
            )
        ) as reply:
            assert json.loads(reply.read())["choices"]
        return time.monotonic()

    async with serving(Scripted()) as client:
        client.service.tell(listen)
        replied = await asyncio.to_thread(ask, client.base)
    assert over
    assert replied < over[0]
