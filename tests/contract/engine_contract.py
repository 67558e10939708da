"""What every engine promises. A subclass gives the engine: see test_engines.py."""

import asyncio
import time
from math import isclose

import pytest

from nbest.errors import CapabilityError, EngineError
from nbest.types import Message, Prompt, Request, SamplingParams

HOT = 2.0
"""Where a trained model is unsure as well."""

QUESTIONS = {
    "ar": "لدى سارة ٣ تفاحات واشترت ٤. كم تفاحة لديها؟",
    "hi": "सारा के पास 3 सेब हैं और वह 4 खरीदती है। कुल कितने?",
    "ja": "サラはりんごを３個持っていて、４個買いました。何個ですか？",
    "ru": "У Сары 3 яблока, она купила ещё 4. Сколько всего?",
    "th": "ซาร่ามีแอปเปิล 3 ผล และซื้อเพิ่ม 4 ผล มีทั้งหมดกี่ผล",
    "zh": "小明有三个苹果，又买了四个。一共有几个？",
}


def ask(text="Tom has 3 apples and buys 4 more. How many?", **changes):
    prompt = Prompt(id="p", messages=(Message(role="user", content=text),))
    outside = {k: changes.pop(k) for k in ("n", "prefix") if k in changes}
    return Request(prompt=prompt, params=SamplingParams(**{"max_tokens": 24, "seed": 5} | changes), **outside)


class StreamContract:
    """What an engine promises to who listens. Subclasses define `make`, which gives a new engine to every test."""

    def make(self):
        raise NotImplementedError

    @pytest.fixture
    async def engine(self):
        engine = self.make()
        yield engine
        await engine.aclose()

    @pytest.mark.parametrize(
        "how",
        [
            {"temperature": 0.0},
            {"temperature": HOT},
            {"temperature": 0.0, "logprobs": 1},
            {"temperature": 0.0, "max_tokens": 3},
            {"temperature": 0.0, "prefix": "7 + 7 ="},
        ],
    )
    async def test_the_deltas_are_the_text(self, engine, how):
        for question in QUESTIONS.values():
            request = ask(question, **how)
            pieces = []
            (heard,) = await engine.generate(request, pieces.append)
            (silent,) = await engine.generate(request)
            assert "".join(pieces) == heard.text
            assert all(pieces)
            rest = silent.text.removeprefix(heard.text)
            assert heard.text == silent.text or "\ufffd" in rest  # a stream ends before half a character
            assert (heard.finish, heard.stopped_by) == (silent.finish, silent.stopped_by)
            assert heard.usage.completion == silent.usage.completion
            assert (heard.logprobs is None) == (silent.logprobs is None)

    async def test_stop_strings_are_not_emitted_and_what_only_begins_one_is(self, engine):
        (whole,) = await engine.generate(ask(temperature=0.0))
        middle = len(whole.text) // 2
        starts = [i for i in range(1, middle) if whole.text[i : i + 2].isprintable()]
        for i in (starts[0], starts[-1]):
            for stop in (whole.text[i : i + 2], whole.text[i:] + "、\n"):
                pieces = []
                (heard,) = await engine.generate(ask(temperature=0.0, stop=(stop,)), pieces.append)
                assert "".join(pieces) == heard.text == whole.text.partition(stop)[0]

    async def test_a_text_comes_in_deltas_before_it_is_whole(self, engine):
        first, call = asyncio.Event(), None
        pieces = []

        def hear(piece):
            pieces.append((piece, call.done()))
            first.set()

        call = asyncio.create_task(engine.generate(ask(temperature=0.0, max_tokens=60), hear))
        await asyncio.wait_for(first.wait(), 20)
        await call
        assert len(pieces) > 1
        assert not any(is_done for _, is_done in pieces)

    async def test_several_draws_are_the_same_with_on_delta(self, engine):
        pieces = []
        heard = await engine.generate(ask(n=3, temperature=0.0), pieces.append)
        silent = await engine.generate(ask(n=3, temperature=0.0))
        assert [c.text for c in heard] == [c.text for c in silent]
        assert pieces == []

    async def test_a_cancelled_stream_frees_the_engine(self, engine):
        for _ in range(10):
            first = asyncio.Event()
            call = asyncio.create_task(
                engine.generate(ask(temperature=HOT, max_tokens=200), lambda _, first=first: first.set())
            )
            await asyncio.wait_for(first.wait(), 20)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        async with asyncio.timeout(5):
            await engine.generate(ask(max_tokens=1))


class EngineContract(StreamContract):
    """What every engine promises that has a model."""

    may_stop_late_s = 3.0
    """How long a cancelled call may keep its slots busy."""

    names_every_logprob = True
    """Whether tokens that only begin a character have a log-probability of their own."""

    counts_every_draw = True
    """Whether the number of tokens is known of each of n draws."""

    @pytest.fixture
    async def can(self, engine):
        return await engine.capabilities()

    async def test_n_draws_come_back_in_order(self, engine):
        pool = await engine.generate(ask(n=4, temperature=HOT))
        alone = [(await engine.generate(ask(seed=5 + i, temperature=HOT)))[0] for i in range(len(pool))]
        assert len(pool) == 4
        assert len({c.text for c in pool}) > 1
        assert sum(a.text == b.text for a, b in zip(pool, alone, strict=True)) >= 2

    async def test_a_seed_reproduces_when_alone(self, engine):
        first, second = [(await engine.generate(ask(temperature=HOT)))[0] for _ in range(2)]
        assert first.text == second.text

    async def test_greedy_is_deterministic_and_the_same_for_every_draw(self, engine):
        pool = await engine.generate(ask(n=2, temperature=0.0))
        again = await engine.generate(ask(temperature=0.0, seed=77))
        assert len({c.text for c in [*pool, *again]}) == 1

    async def test_draws_without_a_seed_differ(self, engine):
        texts = {(await engine.generate(ask(seed=None, temperature=HOT)))[0].text for _ in range(6)}
        assert len(texts) > 1

    async def test_stop_strings_end_the_text_and_are_not_in_it(self, engine):
        whole = (await engine.generate(ask(temperature=0.0)))[0].text
        stop = next(c for c in whole[len(whole) // 2 :] if c.isprintable())
        cut = (await engine.generate(ask(temperature=0.0, stop=(stop,))))[0]
        assert cut.text == whole[: whole.index(stop)]
        assert cut.finish == "stop"

    async def test_max_tokens_cuts_the_text(self, engine):
        cut = (await engine.generate(ask(max_tokens=2, temperature=0.0)))[0]
        assert cut.finish == "length"
        assert cut.usage.completion == 2

    async def test_a_prefix_is_continued_and_not_repeated(self, engine):
        prefix = "7 + 7 ="
        longer = await engine.generate(ask(temperature=0.0, prefix=prefix, max_tokens=12))
        assert not longer[0].text.startswith(prefix)
        plain = await engine.generate(ask(temperature=0.0, max_tokens=12))
        assert longer[0].usage.prompt > plain[0].usage.prompt

    async def test_the_rest_of_a_greedy_text_follows_its_own_beginning(self, engine):
        whole = (await engine.generate(ask(temperature=0.0)))[0].text
        cuts = range(1, len(whole))
        rests = [
            (await engine.generate(ask(temperature=0.0, prefix=whole[:i], max_tokens=4)))[0].text
            for i in cuts
        ]
        assert any(r and whole[i:].startswith(r) for i, r in zip(cuts, rests, strict=True))

    async def test_logprobs_have_one_value_per_drawn_token(self, engine, can):
        if not can.logprobs:
            pytest.skip("the engine gives none")
        for c in await engine.generate(ask(n=2, temperature=HOT, logprobs=2)):
            assert len(c.logprobs.tokens) == len(c.logprobs.values) == len(c.logprobs.top)
            left_out = c.usage.completion - len(c.logprobs.values)
            # some engines leave out the token that ended the text
            assert left_out in (0, 1) or not self.names_every_logprob
            assert all(v <= 0 for v in c.logprobs.values)
            assert all(1 <= len(top) <= 3 for top in c.logprobs.top)

    async def test_logprobs_of_zero_alternatives_are_of_the_drawn_tokens_alone(self, engine, can):
        if not can.logprobs:
            pytest.skip("the engine gives none")
        (c,) = await engine.generate(ask(temperature=HOT, logprobs=0))
        assert c.logprobs.values
        assert c.logprobs.top == ()

    async def test_logprobs_are_not_given_where_they_are_not_wanted(self, engine):
        assert (await engine.generate(ask()))[0].logprobs is None

    async def test_usage_charges_the_prompt_once_and_every_draw(self, engine):
        one = (await engine.generate(ask(max_tokens=3, temperature=0.0)))[0].usage
        pool = await engine.generate(ask(n=3, max_tokens=3, temperature=0.0))
        assert one.prompt > 0
        assert sum(c.usage.prompt for c in pool) in (one.prompt, 3 * one.prompt)
        assert pool[0].usage.prompt == one.prompt
        assert sum(c.usage.completion for c in pool) == 9
        assert all(c.usage.cached <= c.usage.prompt for c in pool)
        assert pool[0].usage.calls == 1

    async def test_a_text_that_ends_by_itself_says_so_and_counts_its_own_tokens(self, engine):
        pool = await engine.generate(ask(n=4, temperature=HOT, max_tokens=120))
        for c in pool:
            assert c.finish in ("stop", "length")
            assert c.usage.completion == 120 or c.finish == "stop" or not self.counts_every_draw

    async def test_many_calls_at_once_are_all_answered(self, engine):
        calls = [engine.generate(ask(f"{i} + {i}?", n=1 + i % 4, max_tokens=6)) for i in range(40)]
        pools = await asyncio.gather(*calls)
        assert [len(p) for p in pools] == [1 + i % 4 for i in range(40)]

    async def test_cancelling_returns_at_once_and_stops_the_work(self, engine):
        calls = [
            asyncio.create_task(engine.generate(ask(n=4, max_tokens=200, temperature=HOT))) for _ in range(24)
        ]
        await asyncio.sleep(0.05)
        started = time.monotonic()
        for call in calls:
            call.cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert time.monotonic() - started < 0.5
        assert any(isinstance(r, asyncio.CancelledError) for r in results)
        await engine.generate(ask(max_tokens=1))
        assert time.monotonic() - started < self.may_stop_late_s

    async def test_a_prompt_longer_than_the_context_is_an_engine_error(self, engine):
        with pytest.raises(EngineError):
            await engine.generate(ask("one two three four " * 3000))

    @pytest.mark.parametrize("language", QUESTIONS)
    async def test_every_script_goes_in_and_out(self, engine, language):
        question = QUESTIONS[language]
        longer = await engine.generate(ask(question * 2, max_tokens=1, temperature=0.0))
        (c,) = await engine.generate(ask(question, prefix=question[:9], temperature=0.0))
        c.text.encode()
        assert 0 < c.usage.prompt < longer[0].usage.prompt

    async def test_a_lone_surrogate_is_replaced_or_refused_clearly(self, engine):
        try:
            (c,) = await engine.generate(ask("half \ud800 a pair", max_tokens=3))
        except EngineError as e:
            assert "surrogate" in str(e)  # noqa: PT017
        else:
            assert c.usage.completion > 0

    async def test_given_text_is_scored_or_refused_clearly(self, engine, can):
        prompt = ask().prompt
        if not can.scores_text:
            with pytest.raises(CapabilityError):
                await engine.logprobs(prompt, "14")
            return
        (c,) = await engine.generate(ask(temperature=0.0, max_tokens=6, logprobs=0))
        scored = await engine.logprobs(prompt, c.text)
        assert all(v <= 0 for v in scored.values)
        if scored.tokens == c.logprobs.tokens:  # the text is read as it was drawn
            assert all(
                isclose(a, b, abs_tol=2e-2) for a, b in zip(scored.values, c.logprobs.values, strict=True)
            )

    async def test_seeds_of_a_split_request_are_those_of_the_whole(self, engine):
        whole = await engine.generate(ask(n=4, temperature=HOT))
        tail = await engine.generate(ask(n=2, temperature=HOT, seed=7))
        assert sum(a.text == b.text for a, b in zip(whole[2:], tail, strict=True)) >= 1

    async def test_it_may_be_closed_twice(self, engine):
        await engine.aclose()
        await engine.aclose()
