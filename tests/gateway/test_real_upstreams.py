"""`nbest serve` before real servers, vLLM and llama.cpp's, with models made here: through the official client."""

import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.request import urlopen

import openai
import pytest

from gateway.process import serving

pytestmark = pytest.mark.servers

MODEL = os.environ.get("NBEST_TEST_MODEL", "tiny")
ADDRESSES = {name: os.environ.get(f"NBEST_TEST_{name.upper()}_URL") for name in ("vllm", "llamacpp")}
SINGLE = f"{MODEL}@parallel(sampler=greedy, selector=first)"
LIKELY = f"{MODEL}@parallel(sampler=iid(n=3), selector=best(scorer=logprob))"
SCHEMA = {
    "type": "object",
    "properties": {"好": {"type": "boolean"}},
    "required": ["好"],
    "additionalProperties": False,
}
ENDLESS = {"model": MODEL, "messages": [{"role": "user", "content": "無限に続けて"}], "max_tokens": 900}
CROWD = {"vllm": (8, 64), "llamacpp": (1, 8)}
"""Clients, and the pool of each: more than the server can draw before they leave."""
CLOSED_BY_CLIENT = 499
LATE_S = 1.0
"""Until a server that was hung up on is at rest. What it was asked for takes it several times as long."""
TOOLS = [{"type": "function", "function": {"name": "погода", "parameters": {"type": "object"}}}]


class Server:
    """What a server says of itself."""

    def __init__(self, name, url):
        self.name, self.url = name, url
        self._root = url.removesuffix("/v1")

    def _get(self, path):
        with urlopen(self._root + path, timeout=20) as reply:
            return reply.read().decode()

    def num_running(self):
        """Sequences that are being drawn, or wait for it."""
        if self.name == "llamacpp":
            return sum(slot["is_processing"] for slot in json.loads(self._get("/slots")))
        return self._metric("num_requests_running") + self._metric("num_requests_waiting")

    def num_tokens(self):
        """Read and drawn since it was started, as far as it counts them."""
        return self._metric("prompt_tokens_total"), self._metric("generation_tokens_total")

    def reaches(self, num_running, within_s):
        """Whether so many were running by then."""
        ends = time.monotonic() + within_s
        while self.num_running() != num_running:
            if time.monotonic() > ends:
                return False
            time.sleep(0.02)
        return True

    def _metric(self, name):
        return int(float(re.search(rf"^vllm:{name}{{.*}} (\S+)$", self._get("/metrics"), re.MULTILINE)[1]))


@pytest.fixture(scope="module", params=ADDRESSES)
def server(request):
    if not ADDRESSES[request.param]:
        pytest.skip(f"no {request.param} server is running")
    return Server(request.param, ADDRESSES[request.param])


@pytest.fixture(scope="module")
def log(server, tmp_path_factory):
    """The gateway's."""
    return tmp_path_factory.mktemp(server.name) / "gateway.log"


@pytest.fixture(scope="module")
def client(server, connect, log):
    flags = ("--engine", f"openai:{server.url}", "--sample", "iid(n=5)", "--select", "vote")
    with serving(log.parent, *flags) as base:
        yield connect(base, timeout=120)


@contextmanager
def counted(server):
    """Checks that the usage in `said` is what the server counts itself; vLLM does."""
    said = {}
    before = server.num_tokens() if server.name == "vllm" else None
    yield said
    if before is None:
        return
    ends = time.monotonic() + 5
    while True:  # its counters follow its replies
        prompt, drawn = (now - then for now, then in zip(server.num_tokens(), before, strict=True))
        # A prompt of which n texts are drawn is read once, and counted once for each of them.
        if (said["n"] * said["prompt"], said["completion"]) == (prompt, drawn):
            return
        assert time.monotonic() < ends, (said, prompt, drawn)
        time.sleep(0.05)


def ask(question, **more):
    return {"model": MODEL, "messages": [{"role": "user", "content": question}], "max_tokens": 24, **more}


def text_of(chunks):
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def test_a_vote_over_five_draws_with_the_servers_own_counts(client, server, question):
    with counted(server) as said:
        got = client.chat.completions.create(**ask(question))
        said |= {"prompt": got.usage.prompt_tokens, "completion": got.usage.completion_tokens, "n": 5}
    assert (got.nbest["num_candidates"], got.nbest["num_failed"], got.nbest["stopped"]) == (5, 0, "done")
    assert 5 <= got.usage.completion_tokens <= 5 * 24
    assert got.choices[0].finish_reason in {"stop", "length"}
    assert got.nbest["usage_by_role"]["policy"]["completion"] == got.usage.completion_tokens


def test_one_sample_is_streamed_token_by_token(client, server, question):
    with counted(server) as said:
        stream = client.chat.completions.create(
            **ask(question, model=SINGLE, max_tokens=60), stream=True, stream_options={"include_usage": True}
        )
        arrived = [(time.monotonic(), chunk) for chunk in stream]
        usage = arrived[-1][1].usage
        said |= {"prompt": usage.prompt_tokens, "completion": usage.completion_tokens, "n": 1}
    pieces = [at for at, c in arrived if c.choices and c.choices[0].delta.content]
    whole = client.chat.completions.create(**ask(question, model=SINGLE, max_tokens=60))
    text = text_of(c for _, c in arrived)
    assert text == whole.choices[0].message.content or "\ufffd" in whole.choices[0].message.content
    assert usage.completion_tokens == whole.usage.completion_tokens
    if usage.completion_tokens > 20:  # a slow reader gets several tokens at once
        assert len(pieces) > 1
        assert pieces[-1] > pieces[0]


def test_a_stream_of_a_pool_gives_what_was_chosen(client, question):
    chunks = list(client.chat.completions.create(**ask(question), stream=True))
    assert text_of(chunks)
    assert chunks[-1].nbest["num_candidates"] == 5


def test_log_probabilities_choose_and_are_given(client, question):
    got = client.chat.completions.create(
        **ask(question, model=LIKELY),
        logprobs=True,
        top_logprobs=2,
        extra_body={"nbest": {"candidates": True}},
    )
    scores = {int(i): s for i, s in got.nbest["scores"].items()}
    assert len(scores) == 3
    assert got.nbest["chosen"] == max(scores, key=lambda i: (scores[i], -i))
    rows = got.choices[0].logprobs.content
    assert all(row.logprob <= 0 for row in rows)
    assert any(row.top_logprobs for row in rows)
    assert scores[got.nbest["chosen"]] == pytest.approx(sum(r.logprob for r in rows) / len(rows), abs=0.02)


def test_candidates_fit_the_schema(client):
    wanted = {"type": "json_schema", "json_schema": {"name": "ok", "schema": SCHEMA, "strict": True}}
    got = client.chat.completions.create(
        **ask("好吗？", max_tokens=200), response_format=wanted, extra_body={"nbest": {"n": 3}}
    )
    if got.nbest["num_failed"] < 3:
        assert json.loads(got.choices[0].message.content)["好"] in {True, False}
    assert got.nbest["num_failed"] < 3, got.nbest


def test_tools_reach_the_server(client, server):
    """This model calls none. vLLM takes them where it was started for that, or where none may be called."""
    choice = "none" if server.name == "vllm" else "auto"
    got = client.chat.completions.create(**ask("Какая погода?"), tools=TOOLS, tool_choice=choice)
    assert got.nbest["num_failed"] == 0
    without = client.chat.completions.create(**ask("Какая погода?"))
    assert got.usage.prompt_tokens >= without.usage.prompt_tokens


def test_a_refusal_is_in_the_servers_words(client, question):
    import openai

    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as e:
            client.chat.completions.create(**ask(question * 300), stream=stream)
        assert re.search("context|token|length", e.value.message)


@pytest.mark.parametrize("stream", [False, True])
def test_clients_that_give_up_waiting_free_the_server(client, server, stream):
    num_clients, n = CROWD[server.name]
    body = ENDLESS | {"stream": stream, "extra_body": {"ignore_eos": True, "nbest": {"n": n}}}

    def give_up(_):
        with pytest.raises(openai.APITimeoutError):
            list(client.with_options(timeout=0.3).chat.completions.create(**body))

    drawn = server.num_tokens()[1] if server.name == "vllm" else 0
    with freed(server), ThreadPoolExecutor(num_clients) as clients:
        list(clients.map(give_up, range(num_clients)))
    if server.name == "vllm":
        assert server.num_tokens()[1] - drawn < 0.5 * num_clients * n * ENDLESS["max_tokens"]


def test_a_client_that_closes_its_stream_frees_the_server(client, server, log):
    body = ENDLESS | {"model": SINGLE, "stream": True, "extra_body": {"ignore_eos": True}}
    num_before = len(log.read_text().splitlines())
    with freed(server):
        for _ in range(5):
            with client.chat.completions.create(**body) as chunks:
                next(c for c in chunks if c.choices and c.choices[0].delta.content)
    ends = time.monotonic() + 5
    while len(lines := log.read_text().splitlines()[num_before:]) < 5 and time.monotonic() < ends:
        time.sleep(0.02)
    statuses = [json.loads(line).get("status") for line in lines]
    assert CLOSED_BY_CLIENT in statuses  # so small a model may be done before some of them leave


@contextmanager
def freed(server):
    """Checks that soon after the block the server is at rest."""
    assert server.reaches(0, within_s=20)
    yield
    assert server.reaches(0, within_s=LATE_S)
