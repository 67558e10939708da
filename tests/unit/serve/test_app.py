"""What a request to the gateway over HTTP gets: answers, calls of tools, choices, refusals."""

import asyncio
import json

import pytest

from inprocess import QUESTIONS, TURN_CALL, TURN_TOOL, Answers, serving
from nbest.engines.fake import Fake
from nbest.settings.gateway import Serve
from nbest.types import Completion, ToolCall, ToolCallDelta, Usage


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
    async with serving(Answers(texts=["4", "5", "5"])) as client:
        _, _, reply = await client.post()
    assert reply["choices"][0]["message"]["content"] == "5"
    assert reply["nbest"]["chosen"] == 1


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
async def test_the_reasoning_of_the_chosen_answer_comes_with_it(path):
    async with serving(Answers(texts=["4", "5", "5"], reasoning="考える")) as client:
        said = {"input": QUESTIONS[3], "messages": None} if path.endswith("responses") else {}
        _, _, reply = await client.post(path, **said)
    if path.endswith("responses"):
        assert reply["output"][0]["content"] == [{"type": "reasoning_text", "text": "考える1"}]
        assert reply["usage"]["output_tokens_details"] == {"reasoning_tokens": 1}
    else:
        assert reply["choices"][0]["message"]["reasoning_content"] == "考える1"
        assert reply["usage"]["completion_tokens_details"] == {"reasoning_tokens": 1}


@pytest.mark.parametrize("sample", ["greedy", "iid(n=3)"])
async def test_reasoning_is_streamed_before_the_answer_and_once(sample):
    async with serving(Answers(texts=["да"], reasoning="подумаем"), sample=sample) as client:
        chunks, _ = await client.stream()
    deltas = [c["choices"][0]["delta"] for c in chunks if c["choices"]]
    kinds = [next(iter(d.keys() & {"reasoning_content", "content"}), None) for d in deltas[1:]]
    assert kinds == ["reasoning_content", "content", None]
    assert [d.get("reasoning_content") for d in deltas].count("подумаем") == 1


async def test_reasoning_that_a_client_sends_back_reaches_the_engine():
    engine = Answers(texts=["4"])
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
    for request in engine.requests:
        assert request.prompt.messages[1].fields["reasoning_content"] == "หา"
        assert request.prompt.messages[1].fields["tool_calls"][0]["id"] == "c"


async def test_tool_calls_are_voted_on_by_name_and_canonical_arguments():
    def call(i, arguments, name="weather"):
        return ToolCall(id=f"c{i}", name=name, arguments=arguments)

    engine = Answers(
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
    assert engine.requests[0].prompt.overrides.body["tools"]


async def test_calls_that_were_cut_before_the_next_say_so():
    engine = Answers(texts=[""], calls=(ToolCall(id="c", name="天気", arguments="{}"),), finish="length")
    async with serving(engine) as client:
        _, _, reply = await client.post(tools=[{"type": "function", "function": {"name": "天気"}}])
    (choice,) = reply["choices"]
    assert (choice["finish_reason"], len(choice["message"]["tool_calls"])) == ("length", 1)


async def test_candidates_that_violate_the_schema_are_set_aside():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    async with serving(Answers(texts=['{"n": "四"}', '{"n": "四"}', '{"n": 4}'])) as client:
        _, _, reply = await client.post(response_format=wanted)
        assert reply["choices"][0]["message"]["content"] == '{"n": 4}'
        assert reply["nbest"]["num_failed"] == 2
    async with serving(Answers(texts=['{"n": ', "nein"])) as client:
        _, _, reply = await client.post(response_format=wanted)
        assert reply["choices"][0]["message"]["content"] == '{"n": '
        assert any("response_format" in note for note in reply["nbest"]["notes"])


async def test_n_choices_come_best_first():
    async with serving(Answers(texts=["4", "5", "5"])) as client:
        _, _, reply = await client.post(n=3)
        assert [c["message"]["content"] for c in reply["choices"]] == ["5", "5", "4"]
        _, _, reply = await client.post(n=5)
        assert len(reply["choices"]) == 5


async def test_the_model_name_or_the_body_chooses_the_strategy():
    presets = {"careful": "parallel(sampler=iid(n=7), selector=vote)"}
    async with serving(Answers(), presets=presets) as client:
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
    async with serving(Answers(), presets=presets) as client:
        client.service.gateway.upstreams.models = ("text-bison", "text-bison@001", "文本@北京")
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
    engine = Answers()
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
    assert engine.requests == []


async def test_a_refusal_does_not_repeat_all_that_it_was_sent():
    endless = "模" * 2000
    async with serving(Answers(), serve=Serve(strategies_by_clients=False)) as client:
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
    async with serving(Answers()) as client:
        status, _, reply = await client.post(**body)
    assert (status, reply["error"]["param"]) == (400, param), reply


async def test_several_answers_of_a_strategy_whose_size_is_not_one_number():
    async with serving(Answers(texts=["4", "5"])) as client:
        _, _, reply = await client.post(model="fake@revise(sequential=1, parallel=4)", n=3)
    assert [c["index"] for c in reply["choices"]] == [0, 1, 2]
    assert reply["nbest"]["num_candidates"] == 4


async def test_presets_alone_where_the_server_says_so():
    async with serving(
        Answers(), serve=Serve(strategies_by_clients=False), presets={"p": "parallel"}
    ) as client:
        assert (await client.post(model="fake@parallel"))[0] == 400
        assert (await client.post(model="fake@p"))[0] == 200


async def test_a_single_sample_streams_its_text():
    async with serving(Answers(texts=["四。"]), sample="greedy", select="first") as client:
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
    async with serving(Answers(texts=["4", "5", "5"])) as client:
        chunks, comments = await client.stream()
        assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks) == "5"
        assert ": candidate 3" in comments
        events, _ = await client.stream(nbest={"progress": "events", "candidates": True})
    told = [c["nbest"]["candidate"]["text"] for c in events if not c["choices"] and "nbest" in c]
    assert told == ["4", "5", "5"]


class Calling(Answers):
    """Streams a call in several deltas, where deltas are wanted."""

    parts = ("{", '"город": "Казань"', "}")

    async def generate(self, request, on_delta=None):
        if on_delta:
            on_delta(ToolCallDelta(index=0, id="a", name="погода"))
            for part in self.parts:
                on_delta(ToolCallDelta(index=0, arguments=part))
        return await super().generate(request)


@pytest.mark.parametrize(
    ("strategy", "num_deltas"), [("parallel(sampler=greedy, selector=first)", 4), (None, 1)]
)
async def test_the_call_of_a_single_draw_is_streamed(strategy, num_deltas):
    call = ToolCall(id="a", name="погода", arguments="".join(Calling.parts))
    async with serving(Calling(texts=[""], calls=(call,))) as client:
        chunks, _ = await client.stream(nbest={"strategy": strategy})
    said = [d["tool_calls"][0] for c in chunks if (d := c["choices"][0]["delta"]).get("tool_calls")]
    assert len(said) == num_deltas
    assert (said[0]["id"], said[0]["function"]["name"]) == ("a", "погода")
    assert "".join(s["function"]["arguments"] for s in said) == call.arguments
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


class Refusing(Answers):
    """Draws whose text is "" are refused, as `wire.completions` reads a refusal."""

    refusal = Completion(
        text="لا أستطيع.", finish="refused", error="the model refused", usage=Usage(completion=3)
    )

    async def generate(self, request, on_delta=None):
        drawn = await super().generate(request, on_delta)
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
        async def generate(self, request, on_delta=None):
            if request.params.temperature > 0:
                await asyncio.sleep(60)
            return await super().generate(request, on_delta)

    async with serving(Slow(texts=[""]), sample="hedged(n=3)") as client:
        _, _, reply = await client.post(nbest={"deadline": 0.1})
    assert reply["choices"][0]["message"]["refusal"] == Refusing.refusal.text
    assert reply["nbest"]["stopped"] == "deadline"


async def test_where_the_choice_fails_an_answer_is_given_and_no_refusal():
    select = "best(scorer=reward(url='http://127.0.0.1:9'))"
    async with serving(Refusing(texts=["", "4", "5"]), select=select) as client:
        _, _, reply = await client.post()
    assert reply["choices"][0]["message"]["content"] == "4"
    assert "first chose instead" in reply["nbest"]["notes"][-1]


async def test_what_a_content_filter_cut_is_given_with_its_finish_reason():
    class Filtering(Refusing):
        refusal = Completion(text="да", finish="filtered", error="the server cut the text")

        async def generate(self, request, on_delta=None):
            if on_delta:
                on_delta("да")
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
