"""The contract of engines: on the embedded model here, on real servers with `make test-servers`."""

import asyncio
import os
from importlib import resources
from pathlib import Path

import pytest

from contract.engine_contract import EngineContract, StreamContract, ask
from nbest import registry
from nbest.engines.llamacpp.runtime import LlamaServer
from nbest.errors import EngineError, EngineHttpError

PACKAGED = Path(str(resources.files("nbest"))) / "data" / "nbest-mini.gguf"
GGUF = os.environ.get("NBEST_TEST_GGUF", str(PACKAGED))


def llamacpp(**parameters):
    return registry.load("engines", "llamacpp")(model=GGUF, slots=8, **parameters)


class TestFake(StreamContract):
    def make(self):
        return registry.load("engines", "fake")()


class TestBalance(StreamContract):
    def make(self):
        return registry.parse("engines", "balance([fake, fake, fake], sticky=true)")


class TestFailover(StreamContract):
    def make(self):
        return registry.parse("engines", "failover([fake(error_rate=1.0), fake])")


class TestLlamaCpp(EngineContract):
    def make(self):
        return llamacpp()

    async def test_every_token_has_a_logprob_where_characters_span_tokens(self, engine):
        pool = await engine.generate(ask("我 นก صخرة 🐦", n=4, temperature=3.0, logprobs=1, max_tokens=30))
        assert any("" in c.logprobs.tokens or "\ufffd" in c.text for c in pool)
        assert all(len(c.logprobs.values) == c.usage.completion for c in pool)

    async def test_too_many_draws_name_the_parameter_to_raise(self, engine):
        with pytest.raises(EngineError, match="slots="):
            await engine.generate(ask(n=9))

    async def test_a_prompt_that_is_too_long_names_both_numbers_and_the_parameter(self):
        engine = llamacpp(context=256)
        with pytest.raises(EngineHttpError, match=r"\d{3,} tokens, but a sequence holds 256.*context=") as e:
            await engine.generate(ask("one two three " * 300))
        assert (e.value.status, e.value.is_transient) == (400, False), "it is the client's to mend"
        await engine.aclose()

    async def test_a_text_ends_with_the_context(self):
        engine = llamacpp(context=256)
        (c,) = await engine.generate(ask(max_tokens=500, temperature=3.0))
        assert c.usage.prompt + c.usage.completion <= 256
        await engine.aclose()

    async def test_a_repeated_prompt_is_partly_cached(self, engine):
        for _ in range(10):
            (c,) = await engine.generate(ask("The same long question again and again", max_tokens=1))
        assert 0 < c.usage.cached < c.usage.prompt

    async def test_after_closing_it_says_so(self, engine):
        await engine.generate(ask(max_tokens=1))
        await engine.aclose()
        with pytest.raises(EngineError, match="closed"):
            await engine.generate(ask(max_tokens=1))

    async def test_closing_ends_calls_that_still_run(self, engine):
        await engine.generate(ask(max_tokens=1))
        calls = [
            asyncio.create_task(engine.generate(ask(n=8, max_tokens=200, temperature=3.0))) for _ in range(8)
        ]
        await asyncio.sleep(0.05)
        await asyncio.wait_for(engine.aclose(), 5)
        for result in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(result, EngineError | list)

    def test_it_serves_several_event_loops(self):
        engine = llamacpp()
        first, second = [asyncio.run(engine.generate(ask(temperature=0.0))) for _ in range(2)]
        assert first[0].text == second[0].text
        asyncio.run(engine.aclose())


class TestLlamaCppDeterministic(EngineContract):
    def make(self):
        return llamacpp(deterministic=True)

    async def test_the_load_changes_nothing(self, engine):
        requests = [ask(f"{i} + {i}?", n=1 + i % 3, temperature=1.0, logprobs=0) for i in range(12)]
        alone = [await engine.generate(r) for r in requests]
        together = await asyncio.gather(*[engine.generate(r) for r in reversed(requests)])
        assert [[(c.text, c.logprobs) for c in p] for p in alone] == [
            [(c.text, c.logprobs) for c in p] for p in reversed(together)
        ]


class ServerContract(EngineContract):
    variable = ""

    def make(self):
        url = os.environ.get(self.variable)
        if not url:
            pytest.skip(f"{self.variable} names no server")
        return registry.load("engines", "openai")(url=url, model=os.environ.get("NBEST_TEST_MODEL", "tiny"))


@pytest.mark.servers
class TestLlamaCppOverHttp(ServerContract):
    variable = "NBEST_TEST_LLAMACPP_URL"
    names_every_logprob = False
    counts_every_draw = False


@pytest.mark.servers
class TestVllm(ServerContract):
    variable = "NBEST_TEST_VLLM_URL"


class TestOpenAIOnLlamaCpp(StreamContract):
    """The protocol as llama.cpp itself speaks it: the listener of the embedded model."""

    @pytest.fixture
    async def engine(self, monkeypatch):
        server = LlamaServer(llamacpp().config())
        monkeypatch.setenv("LLAMACPP_KEY", server._key)
        url = f"http://{server._host}:{server._port}/v1"
        engine = registry.load("engines", "openai")(url=url, key_env="LLAMACPP_KEY")
        yield engine
        await engine.aclose()
        server.close()
