"""What a client of the gateway over HTTP is told when something fails, in a stream and without, and deadlines."""

import asyncio
import contextlib
import logging

import pytest

from inprocess import Answers, serving
from nbest.errors import EngineHttpError, EngineTimeoutError
from nbest.serve import streaming
from nbest.settings.gateway import Serve
from nbest.types import Completion, ToolCall


class Fusing(Answers):
    """Drafts differ; the fusor streams word by word, with time in between."""

    words = ("四，", "إذن ", "ห้า")

    async def generate(self, request, on_delta=None):
        if request.role != "fusor":
            return await super().generate(request, on_delta)
        assert on_delta, "the fusor is not streamed"
        for word in self.words:
            on_delta(word)
            await asyncio.sleep(0.02)
        return [Completion(text="".join(self.words), finish=self.finish)]

    finish = "stop"


@pytest.mark.parametrize("finish", ["stop", "length"])
async def test_a_fusion_is_streamed_and_stays(finish):
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
    async with serving(Answers(texts=[""], calls=(call,))) as client:
        chunks, _ = await client.stream(tools=[{"type": "function", "function": {"name": "天気"}}])
    [delta] = [c["choices"][0]["delta"] for c in chunks if c["choices"][0]["delta"].get("tool_calls")]
    assert delta["tool_calls"][0]["function"] == {"name": "天気", "arguments": '{"都市": "東京"}'}
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_a_fusion_that_does_not_fit_the_schema_is_set_aside_in_a_stream_too():
    engine = Answers(texts=['{"一": 1}', '{"二": 2}', '{"三": 3}'])

    async def generate(request, on_delta=None):
        if request.role != "fusor":
            return await Answers.generate(engine, request, on_delta)
        for word in ("دمج ", "سيئ") if on_delta else ():
            on_delta(word)
        return [Completion(text="دمج سيئ")]

    engine.generate = generate
    async with serving(engine, select="fuse(fallback=first)") as client:
        chunks, _ = await client.stream(response_format={"type": "json_object"})
    said = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks)
    assert (said, chunks[-1]["choices"][0]["finish_reason"]) == ('{"一": 1}', "stop")


class Breaking(Answers):
    """Says the first of its texts, and fails."""

    async def generate(self, request, on_delta=None):
        if on_delta:
            on_delta(self.texts[0])
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
    async with serving(Answers(texts=[error])) as client:
        got, headers, reply = await client.post(stream=True)
    assert got == status
    assert str(error) in reply["error"]["message"]
    assert headers.get("Retry-After") == ("1" if status == 429 else None)


async def test_a_stream_begins_before_its_first_candidate_where_that_takes_long(monkeypatch):
    monkeypatch.setattr(streaming, "QUIET_S", 0.01)
    engine = Answers(texts=[EngineHttpError("boom", status=500)], delay_s=0.2)
    async with serving(engine) as client:
        chunks, _ = await client.stream()
    assert "boom" in chunks[-1]["error"]["message"]


async def test_sinks_get_what_failed():
    contexts = []
    async with serving(Answers(texts=[EngineHttpError("boom", status=500)]), contexts=contexts) as client:
        await client.post()
        await client.post(stream=True)
    assert [(v.outcome.stopped, len(v.outcome.candidates)) for v in contexts] == [("error", 3)] * 2


async def test_waiting_for_a_place_is_part_of_the_deadline():
    engine = Answers(delay_s=0.6)
    async with serving(engine, serve=Serve(concurrency=1)) as client:
        first = asyncio.ensure_future(client.post())
        while not engine.requests:  # noqa: ASYNC110
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
    contexts = []
    async with serving(Answers(texts=[error]), contexts=contexts) as client:
        got, headers, reply = await client.post()
    assert got == status
    assert str(error) in reply["error"]["message"]
    assert headers.get("Retry-After") == ("7" if status == 429 else None)
    assert [v.status for v in contexts] == [status]


async def test_a_client_is_not_told_about_the_gateways_own_key():
    error = EngineHttpError("gpu-7.internal answered 401; no key was sent", status=401)
    async with serving(Answers(texts=[error])) as client:
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
    async with serving(Answers(texts=[causes])) as client:
        got, _, reply = await client.post()
    assert (got, reply["error"]["code"]) == (status, code)


@pytest.mark.internal_errors
async def test_a_bug_in_an_engine_costs_its_request():
    async with serving(Answers(texts=[KeyError("secret")])) as client:
        status, _, reply = await client.post()
        assert status == 502
        assert "KeyError" in reply["error"]["message"]


async def test_a_deadline_before_anything_is_there_is_told():
    async with serving(Answers(delay_s=5)) as client:
        status, _, reply = await client.post(nbest={"deadline": 0.05})
    assert (status, reply["error"]["code"]) == (504, "deadline")


@pytest.mark.parametrize("said", [{"deadline": 20}, {"budget": {"seconds": 20}}])
async def test_draws_before_a_clients_own_deadline_are_calls_of_their_own(said):
    engine = Answers(texts=["4"])
    async with serving(engine) as client:
        _, _, reply = await client.post(nbest=said)
        assert [r.n for r in engine.requests] == [1, 1, 1]
        assert (reply["nbest"]["stopped"], reply["nbest"]["num_candidates"]) == ("done", 3)
        assert "quorum" not in reply["nbest"]["strategy"]
        engine.requests.clear()
        await client.post(nbest={"budget": {"tokens": 9000}})
        assert [r.n for r in engine.requests] == [3]


async def test_before_a_deadline_a_pool_is_as_large_as_its_samplers_table_says(tmp_path):
    table = tmp_path / "params.toml"
    table.write_text('[[params]]\nlanguage = "th"\nn = 8\n[[params]]\nlanguage = "ja"\nn = 1\n')
    sample = f'iid(n=5, table="{table}")'
    async with serving(Answers(texts=["4"]), sample=sample) as client:
        for language, num in (("th", 8), ("ja", 1), ("ar", 5)):
            _, _, reply = await client.post(nbest={"deadline": 20, "language": language})
            told = reply["nbest"]
            assert (told["num_candidates"], told["num_failed"], told["stopped"]) == (num, 0, "done")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
async def test_a_preset_that_lacks_what_it_needs_is_the_servers_fault(path, monkeypatch, caplog):
    monkeypatch.delenv("REWARD_KEY", raising=False)
    presets = {"оценка": "best_of_n(n=2, scorer=reward(url='http://127.0.0.1:9', key_env='REWARD_KEY'))"}
    async with serving(Answers(texts=["4"]), presets=presets) as client:
        body = {"input": "؟", "messages": None} if path.endswith("responses") else {}
        status, _, reply = await client.post(path, model="оценка", **body)
    assert (status, reply["error"]["code"], reply["error"]["type"]) == (500, "configuration", "server_error")
    assert "REWARD_KEY" not in reply["error"]["message"]
    assert "REWARD_KEY" in caplog.text


async def test_a_client_names_no_engine_and_learns_of_none():
    async with serving(Answers(texts=["4", "5"])) as client:
        status, _, reply = await client.post(nbest={"strategy": "self_refine(critic='big')"})
    assert status == 400
    assert "critic" in reply["error"]["message"]
    assert "policy" not in reply["error"]["message"]


async def test_clients_that_go_away_leave_no_errors_in_the_log(caplog):
    async with serving(Answers(texts=["長い" * 2000], delay_s=0.05)) as client:
        for i in range(10):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.02 + 0.01 * i):
                    await client.stream()
        assert (await client.post())[0] == 200
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
