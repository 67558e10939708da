import asyncio
import time

import pytest

from nbest import registry
from nbest.context import Context
from nbest.errors import (
    EngineError,
    EngineHttpError,
    InputError,
    SpecError,
    UnreachableError,
)
from nbest.scoring.reward import Reward
from nbest.scoring.reward_api import addresses, filled
from nbest.types import Budget, Candidate, Message, Prompt
from scripted import prompt_of

PROMPT = Prompt(
    id="p",
    messages=(Message(role="system", content="简短"), Message(role="user", content="سؤال؟")),
    language="ar",
)
TEXTS = ["جواب", "", "إجابة أطول", "答"]
POOL = [Candidate(id=i, text=t) for i, t in enumerate(TEXTS)]
LENGTHS = [float(len(t)) for t in TEXTS]


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr("nbest.scoring.endpoint._FIRST_WAIT_S", 0.001)


async def values(scorer, pool=POOL, ctx=None):
    return [s.value for s in await scorer(PROMPT, pool, ctx or Context({}))]


@pytest.mark.parametrize(
    "path",
    ["/classify", "/pooling", "/score", "/v1/score", "/rerank", "/v1/rerank", "/v2/rerank", "/v1/classify"],
)
class TestEveryApi:
    async def test_it_is_found_and_scores_in_order(self, reward_server, path):
        async with reward_server(path) as server:
            assert await values(Reward(url=server.url)) == LENGTHS

    async def test_it_may_be_named(self, reward_server, path):
        async with reward_server(path) as server:
            assert await values(Reward(url=server.url + path)) == LENGTHS
            assert {called for called, _, _ in server.calls} == {path}

    async def test_it_is_looked_for_once(self, reward_server, path):
        async with reward_server(path) as server:
            scorer = Reward(url=server.url, api=path.rpartition("/")[2])
            await asyncio.gather(*(values(scorer) for _ in range(5)))
            num_missed = sum(called != path for called, _, _ in server.calls)
            await values(scorer)
            assert sum(called != path for called, _, _ in server.calls) == num_missed

    async def test_what_it_read_is_counted_for_the_verifier(self, reward_server, path):
        ctx = Context({})
        async with reward_server(path) as server:
            await values(Reward(url=server.url + path), ctx=ctx)
        assert ctx.meter.usage["verifier"].calls == len(server.calls)
        assert ctx.meter.usage["verifier"].prompt == (0 if path == "/v2/rerank" else 28)

    async def test_what_is_refused_alone_has_no_score(self, reward_server, path):
        ctx = Context({})
        async with reward_server(path, refuse=("إجابة أطول",)) as server:
            scored = await values(Reward(url=server.url + path), ctx=ctx)
        assert scored == [4.0, 0.0, None, 1.0]
        assert "1 of 4 candidates have no score" in ctx.notes[0]
        assert "maximum context length" in ctx.notes[0]

    async def test_transient_faults_are_tried_again(self, reward_server, path):
        async with reward_server(path, faults=[503, 429]) as server:
            assert await values(Reward(url=server.url + path), POOL[:1]) == LENGTHS[:1]

    @pytest.mark.parametrize("faults", [[500] * 3, ["garbage"], ["empty"], [422]])
    async def test_where_none_can_be_scored_the_reason_is_raised(self, reward_server, path, faults):
        async with reward_server(path, faults=faults) as server:
            with pytest.raises(EngineError, match=r"fault (500|422)|no such answer|left candidates out"):
                await values(Reward(url=server.url + path), POOL[:1])


class TestForms:
    async def test_a_chat_is_sent_as_it_is_with_the_candidate_last(self, reward_server):
        async with reward_server("/classify") as server:
            await values(Reward(url=server.url, model="rm"), POOL[:1])
        assert server.calls[-1][1] == {
            "model": "rm",
            "messages": [
                {"role": "system", "content": "简短"},
                {"role": "user", "content": "سؤال؟"},
                {"role": "assistant", "content": "جواب"},
            ],
        }

    async def test_texts_go_in_batches(self, reward_server):
        async with reward_server("/pooling") as server:
            scorer = Reward(
                url=server.url + "/pooling", form="text", template="س: {prompt} ج: {answer}", batch=3
            )
            scored = await values(scorer)
        assert scored == [x + len("س: 简短\n\nسؤال؟ ج: ") for x in LENGTHS]
        assert sorted(len(body["input"]) for _, body, _ in server.calls) == [1, 3]

    async def test_raw_logits_are_asked_for(self, reward_server):
        async with reward_server("/score") as server:
            await values(Reward(url=server.url + "/score", activation=False))
        assert server.calls[0][1]["use_activation"] is False

    async def test_rerankers_see_the_conversation(self, reward_server):
        async with reward_server("/v1/rerank") as server:
            await values(Reward(url=server.url + "/v1/rerank", model="m"))
        assert server.calls == [
            ("/v1/rerank", {"model": "m", "query": "简短\n\nسؤال؟", "documents": TEXTS, "top_n": 4}, None)
        ]

    def test_a_template_is_filled_once(self):
        prompt = prompt_of("{answer}?")
        assert filled("{prompt} → {answer}", prompt, "{prompt}!") == "{answer}? → {prompt}!"


class TestReadings:
    async def test_places_are_steps_and_the_last_is_the_score(self, reward_server):
        async with reward_server("/pooling", places=True) as server:
            for reduce, expected in {"last": 4.0, "min": 2.0, "product": 24.0, "mean": 3.0}.items():
                (score,) = await Reward(url=server.url, reduce=reduce)(PROMPT, POOL[:1], Context({}))
                assert score.value == expected
                assert score.steps == (2.0, 3.0, 4.0)

    @pytest.mark.parametrize("form", ["chat", "text"])
    async def test_steps_are_marked_and_their_places_are_steps(self, reward_server, form):
        async with reward_server("/pooling") as server:
            server.mark = "<extra_0>"
            scorer = Reward(
                url=server.url, form=form, template="{answer}", step_mark="<extra_0>", reduce="min"
            )
            pool = [Candidate(id=i, text=t) for i, t in enumerate(["一二三\n\n一\n", "一二", " \n"])]
            many, one, none = await scorer(PROMPT, pool, Context({}))
        assert (many.value, many.steps) == (0.1, (0.3, 0.1))
        assert (one.value, one.steps) == (0.2, (0.2,))
        assert none.value is None
        sent = [t for _, body, _ in server.calls for t in server.texts(body)]
        assert {"一二三<extra_0>一<extra_0>", "一二<extra_0>"} == set(sent)

    @pytest.mark.parametrize("form", ["chat", "text"])
    @pytest.mark.parametrize("mark", [None, "ки"])
    async def test_a_server_that_finds_no_mark_is_said_with_what_to_name(self, reward_server, form, mark):
        async with reward_server("/pooling") as server:
            server.mark = "<extra_0>"
            with pytest.raises(EngineError, match=r"no numbers for candidates.*step_mark="):
                await values(Reward(url=server.url, form=form, step_mark=mark), POOL[:1])

    async def test_a_server_that_reads_another_mark_is_said(self, reward_server):
        async with reward_server("/pooling", places=True) as server:
            with pytest.raises(InputError, match="3 places for 1 steps marked 'ки'"):
                await Reward(url=server.url, step_mark="ки")(PROMPT, POOL[:1], Context({}))

    @pytest.mark.parametrize("path", ["/classify", "/pooling"])
    async def test_several_classes_need_a_label(self, reward_server, path):
        async with reward_server(path, classes=2) as server:
            with pytest.raises(InputError, match="label=1"):
                await values(Reward(url=server.url))
            assert await values(Reward(url=server.url, label=1)) == [x + 10 for x in LENGTHS]
            with pytest.raises(InputError, match="2 classes"):
                await values(Reward(url=server.url, label=2))

    async def test_failed_candidates_are_not_sent(self, reward_server):
        failed = Candidate(id=1, text="", error="HTTP 500")
        async with reward_server("/score") as server:
            assert await values(Reward(url=server.url + "/score"), [POOL[0], failed]) == [4.0, None]
            assert await values(Reward(url=server.url + "/score"), [failed]) == [None]
            assert await values(Reward(url=server.url + "/score"), []) == []
        assert [body["text_2"] for _, body, _ in server.calls] == [["جواب"]]


class TestMistakes:
    async def test_a_server_that_scores_nothing(self, reward_server):
        async with reward_server("/v1/chat/completions") as server:
            with pytest.raises(InputError, match=r"scores nothing at /classify, .*/v2/rerank: .*Not Found"):
                await values(Reward(url=server.url))

    async def test_an_address_that_is_not_there(self, reward_server):
        async with reward_server("/score") as server:
            with pytest.raises(InputError, match="404"):
                await values(Reward(url=server.url + "/v3/rerank"))

    async def test_a_server_of_another_kind_of_model(self, reward_server):
        async with reward_server("/classify", "/v1/rerank") as server:
            server.texts = lambda body: body.get("documents")
            assert await values(Reward(url=server.url)) == LENGTHS

    async def test_nobody_there(self):
        with pytest.raises(UnreachableError, match="start the server"):
            await values(Reward(url="http://127.0.0.1:9/score"), POOL[:1])

    async def test_the_key_goes_along_and_is_never_shown(self, reward_server, monkeypatch):
        monkeypatch.setenv("REWARD_KEY", "s3cret-key")
        async with reward_server("/v2/rerank", key="s3cret-key") as server:
            assert await values(Reward(url=server.url + "/v2/rerank", key_env="REWARD_KEY")) == LENGTHS
            monkeypatch.setenv("REWARD_KEY", "wrong-key")
            with pytest.raises(InputError, match="401: invalid api token") as e:
                await values(
                    Reward(url=server.url + "/v2/rerank", key_env="REWARD_KEY", model="b", timeout_s=9)
                )
            assert "wrong-key" not in str(e.value)
        assert "KEY" in registry.spec_of(Reward(url="http://h/score", key_env="REWARD_KEY"))

    async def test_the_deadline_holds(self, reward_server):
        ctx = Context({}, budget=Budget(seconds=0.1))
        async with reward_server("/score", delay_s=5) as server:
            found = await values(Reward(url=server.url + "/score"), ctx=ctx)
        assert set(found) == {None}
        assert ctx.stopped == "deadline"
        assert "before the deadline" in ctx.notes[0]

    async def test_the_deadline_holds_while_the_api_is_looked_for(self, reward_server):
        """Also for a prompt that waits for what another one finds out."""

        async def ask(server, seconds):
            ctx, began = Context({}, budget=Budget(seconds=seconds)), time.monotonic()
            return set(await values(Reward(url=server.url), ctx=ctx)), time.monotonic() - began, ctx

        async with reward_server("/score", delay_s=5) as server:
            (first, _, _), (found, seconds, ctx) = await asyncio.gather(ask(server, 2.0), ask(server, 0.1))
        assert first == found == {None}
        assert seconds < 1
        assert ctx.stopped == "deadline"
        assert "before the deadline" in ctx.notes[0]

    async def test_a_wrong_request_is_data_not_a_crash(self, reward_server):
        async with reward_server("/classify", faults=[422]) as server:
            with pytest.raises(EngineHttpError, match="fault 422"):
                await values(Reward(url=server.url + "/classify"), POOL[:1])

    @pytest.mark.parametrize(
        ("spec", "said"),
        [
            ("reward", "reward needs url"),
            ("reward(url='localhost:8000')", "http://localhost:8000"),
            ("reward(url='http://h', api=rate)", "api"),
            ("reward(url='http://h', template='x')", "{answer}"),
            ("reward(url='http://h', batch=0)", "batch"),
        ],
    )
    def test_specs_that_cannot_be_meant(self, spec, said):
        with pytest.raises(SpecError, match=said):
            registry.parse("scorers", spec)

    async def test_an_api_that_the_address_contradicts(self):
        with pytest.raises(InputError, match="api=score"):
            await values(Reward(url="http://h/v1/rerank", api="score"))


def test_where_apis_are_looked_for():
    assert addresses("http://h/v1/rerank/") == [("rerank", "http://h/v1/rerank")]
    assert [a for _, a in addresses("http://h/v1") if a.endswith("rerank")] == [
        "http://h/v1/rerank",
        "http://h/rerank",
        "http://h/v2/rerank",
    ]
    assert addresses("http://h")[0] == ("classify", "http://h/classify")
