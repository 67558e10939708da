"""Chat through the official client, unchanged but for its base URL."""

import asyncio

import openai
import pytest

WORDS = ("४", "四", "٤")


def ask(text, **more):
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def text_of(chunks):
    return "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices if c.index == 0)


def test_a_vote_answers_and_says_how(client, upstream, question):
    upstream.will("五", "四", "五", "四", "四")
    got = client.chat.completions.create(**ask(question))
    assert got.choices[0].message.content == "四"
    assert got.choices[0].finish_reason == "stop"
    assert got.nbest["num_candidates"] == 5
    assert got.nbest["chosen"] == 1
    assert got.nbest["stopped"] == "done"
    assert got._request_id == got.id
    (body,) = upstream.bodies
    assert (body["n"], body["messages"]) == (5, [{"role": "user", "content": question}])
    assert got.usage.completion_tokens == 5 == got.nbest["usage_by_role"]["policy"]["completion"]


def test_a_stream_of_a_pool_gives_the_chosen_answer(client, upstream, question):
    upstream.will("五", "四", "五", "四", "四")
    chunks = list(client.chat.completions.create(**ask(question), stream=True))
    assert text_of(chunks) == "四"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].nbest["chosen"] == 1
    assert all(c.usage is None for c in chunks)


def test_a_stream_of_one_sample_is_heard_while_the_upstream_writes(client, upstream):
    upstream.will("один два три четыре", pause_s=0.1)
    with client.chat.completions.create(**ask("сколько", model="m@single"), stream=True) as stream:
        pieces = [c.choices[0].delta.content for c in stream if c.choices and c.choices[0].delta.content]
    assert upstream.bodies[0]["stream"] is True
    assert "".join(pieces) == "один два три четыре"
    assert len(pieces) == 4


def test_usage_of_a_stream_comes_where_it_is_asked_for(client, upstream):
    upstream.will("一 二 三")
    options = {"include_usage": True}
    *_, end, usage = client.chat.completions.create(**ask("几？"), stream=True, stream_options=options)
    assert end.choices[0].finish_reason == "stop"
    assert (usage.choices, usage.usage.completion_tokens) == ([], 15)
    assert usage.usage.total_tokens == usage.usage.prompt_tokens + 15


def test_the_stream_helper(client, upstream, question):
    upstream.will("答え は 四")
    with client.chat.completions.stream(**ask(question)) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "答え は 四"
    assert [e.content for e in events if e.type == "content.done"] == ["答え は 四"]


@pytest.mark.parametrize("progress", ["events", "reasoning", "none"])
def test_candidates_seen_on_the_way_do_not_disturb_the_answer(client, upstream, progress):
    upstream.will(*WORDS)
    nbest = {"progress": progress, "n": 3}
    chunks = list(client.chat.completions.create(**ask("؟"), stream=True, extra_body={"nbest": nbest}))
    assert text_of(chunks) == WORDS[0]
    told = [c.nbest["candidate"]["text"] for c in chunks if not c.choices]
    assert told == (list(WORDS) if progress == "events" else [])
    deltas = [c.choices[0].delta.model_extra for c in chunks if c.choices]
    reasoning = "".join(d.get("reasoning_content", "") for d in deltas)
    assert all(w in reasoning for w in WORDS) == (progress == "reasoning")


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_a_thinking_model_thinks_aloud_as_it_does_without_a_gateway(client, upstream, name):
    upstream.will("四", reasoning="二 足す 二", reasoning_name=name)
    whole = client.chat.completions.create(**ask("2+2?"))
    assert whole.choices[0].message.reasoning_content == "二 足す 二"
    for model in ("m", "m@single"):  # chosen from five, and streamed
        chunks = list(client.chat.completions.create(**ask("2+2?", model=model), stream=True))
        deltas = [c.choices[0].delta for c in chunks if c.choices]
        reasoning = [d.model_extra.get("reasoning_content", "") for d in deltas]
        assert "".join(reasoning).replace(" ", "") == "二足す二"
        assert text_of(chunks) == "四"
        said = [d.content or "" for d in deltas]
        assert max(i for i, t in enumerate(reasoning) if t) < said.index("四")


async def test_the_async_client(address, upstream, question):
    upstream.will("四")
    async with openai.AsyncOpenAI(base_url=address, api_key="none", max_retries=0) as client:
        both = await asyncio.gather(*(client.chat.completions.create(**ask(question)) for _ in range(2)))
        stream = await client.chat.completions.create(**ask(question), stream=True)
        said = text_of([chunk async for chunk in stream])
    assert [b.choices[0].message.content for b in both] == ["四", "四"]
    assert said == "四"


async def test_many_at_once(address, upstream):
    upstream.will("五", "四", "四", "四", "五", delay_s=0.2)
    async with openai.AsyncOpenAI(base_url=address, api_key="none", max_retries=0) as client:

        async def one(i):
            got = await client.chat.completions.create(**ask(f"{i}?"), stream=i % 2 == 0)
            return text_of([k async for k in got]) if i % 2 == 0 else got.choices[0].message.content

        assert await asyncio.gather(*(one(i) for i in range(60))) == ["四"] * 60
    assert len(upstream.bodies) == 60


def test_n_answers_come_best_first(client, upstream):
    upstream.will("٥", "٤", "٤", "٣", "٤")
    got = client.chat.completions.create(**ask("كم؟"), n=3)
    assert [c.message.content for c in got.choices] == ["٤", "٤", "٤"]
    assert [c.index for c in got.choices] == [0, 1, 2]
    chunks = list(client.chat.completions.create(**ask("كم؟"), n=4, stream=True))
    texts = [
        "".join(c.delta.content or "" for k in chunks for c in k.choices if c.index == i) for i in range(4)
    ]
    assert texts[:3] == ["٤", "٤", "٤"]
    assert texts[3] in {"٥", "٣"}


def test_a_pool_is_made_as_large_as_n(client, upstream):
    upstream.will(*WORDS)
    got = client.chat.completions.create(**ask("?"), n=9)
    assert (len(got.choices), got.nbest["num_candidates"]) == (9, 9)


def test_log_probabilities_are_those_of_the_answer(client, upstream):
    upstream.will("четыре да")
    got = client.chat.completions.create(**ask("2+2?"), logprobs=True, top_logprobs=1)
    rows = got.choices[0].logprobs.content
    assert [(r.token, r.logprob) for r in rows] == [("четыре", -0.5), ("да", -0.5)]
    assert rows[0].top_logprobs[0].token == "a"
    assert upstream.bodies[0]["top_logprobs"] == 1
    assert client.chat.completions.create(**ask("2+2?")).choices[0].logprobs is None


def test_what_is_said_about_the_draws_reaches_the_upstream(client, upstream):
    said = {
        "top_p": 0.9,
        "max_tokens": 9,
        "stop": ["。", "৷"],
        "logit_bias": {"5": -100},
        "presence_penalty": 0.5,
        "reasoning_effort": "low",
        "user": "عمر",
    }
    upstream.will()
    client.chat.completions.create(**ask("?"), **said, temperature=0.4, extra_body={"top_k": 7, "foo": [1]})
    body = upstream.bodies[0]
    assert {k: body[k] for k in said} == said
    assert (body["temperature"], body["top_k"], body["foo"]) == (0.4, 7, [1])


def test_a_conversation_is_passed_on_as_it_is(client, upstream):
    turns = [
        {"role": "system", "content": "ตอบสั้น ๆ"},
        {"role": "user", "content": "2+2?", "name": "สมชาย"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "+3?"},
    ]
    upstream.will("7")
    client.chat.completions.create(model="m", messages=turns)
    assert upstream.bodies[0]["messages"] == turns


def test_a_cut_answer_says_so(client, upstream):
    upstream.will("раз два три")
    assert client.chat.completions.create(**ask("?"), max_tokens=2).choices[0].finish_reason == "length"


def test_temperature_0_does_not_make_all_draws_equal(client, upstream):
    upstream.will()
    got = client.chat.completions.create(**ask("?", model="m@parallel(sampler=hedged(n=4))"), temperature=0)
    assert sorted(b["temperature"] for b in upstream.bodies) == got.nbest["temperatures"] == [0.0, 0.7]
    assert sum(b.get("n", 1) for b in upstream.bodies) == 4
    got = client.chat.completions.create(**ask("?"), temperature=0.3)
    assert got.nbest["temperatures"] == [0.3]
    got = client.chat.completions.create(**ask("?"), temperature=0, extra_body={"nbest": {"n": 1}})
    assert got.nbest["temperatures"] == [0.0]


def test_a_seed_repeats_the_answer(fake, question):
    says = [fake.chat.completions.create(**ask(question, model="fake"), seed=s) for s in (1, 1, 2, 3, 4, 5)]
    texts = [s.choices[0].message.content for s in says]
    assert texts[0] == texts[1]
    assert len(set(texts)) > 1


def test_the_model_name_chooses_the_strategy(client, upstream):
    for name, n in (
        ("m", 5),
        ("m@careful", 7),
        ("careful", 7),
        ("m@single", 1),
        ("m@vote(n=6)", 6),
        ("m@parallel(sampler=iid(n=2), selector=vote)", 2),
    ):
        upstream.will("四")
        got = client.chat.completions.create(**ask("?", model=name))
        assert (got.nbest["num_candidates"], got.model) == (n, name)
        assert upstream.bodies[0]["model"] == "m"


def test_the_body_chooses_the_strategy_and_gives_the_pool_back(client, upstream, question):
    upstream.will("五", "四", "四")
    nbest = {"strategy": "careful", "n": 3, "candidates": True, "deadline": 20}
    got = client.chat.completions.create(**ask(question), extra_body={"nbest": nbest})
    assert [c["text"] for c in got.nbest["candidates"]] == ["五", "四", "四"]
    assert got.model_extra["nbest"]["chosen"] == 1


def test_the_budget_of_a_request_bounds_its_pool(client, upstream):
    upstream.will("四")
    got = client.chat.completions.create(**ask("?"), extra_body={"nbest": {"budget": {"samples": 2}}})
    assert (got.nbest["num_candidates"], got.nbest["stopped"]) == (2, "budget")


def test_models_are_listed_and_looked_up(client):
    names = [m.id for m in client.models.list()]
    assert names == ["m", "m@careful", "m@single"]
    assert client.models.retrieve("m@careful").nbest["preset"] == "careful"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("x")
