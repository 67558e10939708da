import io
import json
import logging
import sys

import pytest

from nbest.errors import EngineHttpError, EngineTimeoutError
from nbest.serve.gateway import Gateway
from nbest.serve.observability.hub import ObservabilityHub
from nbest.serve.observability.logs import Logs
from nbest.serve.request_context import RequestContext
from nbest.serve.service import Service
from nbest.settings.gateway import ServeSettings
from nbest.types import Candidate, Message, Outcome, Prompt, Selection, Usage

SECRET = "عمري ٤١ سنة"


def outcome():
    winner = Candidate(id=0, text=f"answer {SECRET}")
    broken = Candidate(id=1, text="", finish="error", error=f"upstream said {SECRET}")
    return Outcome(
        prompt=Prompt(id="req-1", messages=(Message(role="user", content=SECRET),)),
        strategy="parallel",
        seed=0,
        selection=Selection(winner=winner, weights={0: 1.0}),
        candidates=(winner, broken),
        usage={"policy": Usage(prompt=5, completion=7, calls=2)},
        error=f"half of it failed: {SECRET}",
    )


def lines(prompts, work):
    stream = io.StringIO()
    logs = Logs(stream, prompts=prompts)
    work(logs)
    assert logs.close(60)
    return [json.loads(line) for line in stream.getvalue().splitlines()], stream.getvalue()


def request(logs):
    logs.request(
        "req-1",
        key="ana",
        endpoint="/v1/chat/completions",
        status=502,
        seconds=1.23456789,
        model="m",
        strategy="parallel",
        outcome=outcome(),
        error=ValueError(SECRET),
        upstream_errors=[EngineHttpError(SECRET, status=500)] * 3 + [EngineTimeoutError(SECRET)],
        fields={"stream": True},
    )


def test_a_request_is_one_line_without_what_was_said():
    (line,), text = lines(False, request)
    assert SECRET not in text
    assert json.dumps(SECRET) not in text
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "error",
        "event": "request",
        "id": "req-1",
        "key": "ana",
        "endpoint": "/v1/chat/completions",
        "model": "m",
        "strategy": "parallel",
        "status": 502,
        "seconds": 1.234568,
        "tokens": {"policy": {"input": 5, "cached": 0, "output": 7, "calls": 2}},
        "candidates": 2,
        "failed": 1,
        "stopped": "done",
        "error": "ValueError",
        "upstream_errors": {"EngineHttpError 500": 3, "EngineTimeoutError": 1},
        "stream": True,
    }


def test_prompts_where_they_are_asked_for():
    (line,), _ = lines(True, request)
    assert line["prompt"][0]["content"] == SECRET
    assert line["answer"] == f"answer {SECRET}"
    assert line["message"] == SECRET
    assert line["messages"] == [f"half of it failed: {SECRET}", f"upstream said {SECRET}"]


def test_a_refused_request_says_by_what_code():
    class RefusedError(Exception):
        code = "invalid_api_key"

    (line,), _ = lines(
        False,
        lambda logs: logs.request("2", key="-", endpoint="/", status=401, seconds=0, error=RefusedError("x")),
    )
    assert (line["error"], line["level"]) == ("invalid_api_key", "info")
    assert "tokens" not in line


@pytest.mark.parametrize("prompts", [True, False])
def test_what_other_parts_say_has_the_same_form(prompts):
    def work(logs):
        log = logging.Logger("nbest.test")  # noqa: LOG001 (of this test alone)
        log.addHandler(logs.handler())
        log.warning("the server %s is slow\nvery", "gpu")
        try:
            int(SECRET)
        except ValueError:
            log.exception("a strategy failed")

    (first, second), text = lines(prompts, work)
    assert (first["level"], first["logger"], first["message"]) == (
        "warning",
        "nbest.test",
        "the server gpu is slow\nvery",
    )
    assert second["error"] == "ValueError"
    assert "test_logs.py" in second["at"][0]
    assert (SECRET in text) == prompts


def test_a_flood_of_one_message_is_cut_and_others_are_not():
    def work(logs):
        log = logging.Logger("nbest.test")  # noqa: LOG001 (of this test alone)
        log.addHandler(logs.handler())
        for i in range(5000):
            log.error("socket %d: غير متاح", i)
        log.error("別の話")

    written, _ = lines(False, work)
    assert len(written) == 102
    assert written[100]["message"] == "socket 100: غير متاح (left out from here on, for a minute)"
    assert written[101]["message"] == "別の話"


def test_a_reader_that_is_gone_costs_no_request():
    class Gone(io.StringIO):
        def write(self, _):
            raise BrokenPipeError

    logs = Logs(Gone())
    request(logs)
    assert logs.close(60)
    assert logs.num_dropped >= 1


def test_a_malformed_request_is_not_repeated_for_its_key_may_be_in_it():
    def work(logs):
        logger = logging.getLogger("aiohttp.server")
        logger.addHandler(handler := logs.handler())
        try:
            int(f"Invalid header value: b'Authorization: Bearer {SECRET}\x01'")
        except ValueError:
            logger.exception("Error handling request from 127.0.0.1")
        finally:
            logger.removeHandler(handler)

    (line,), text = lines(True, work)
    assert line["error"] == "ValueError"
    assert SECRET not in text


def test_a_line_says_when_its_request_ended_however_late_it_is_written(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    handlers = list(logging.getLogger().handlers)
    hub = ObservabilityHub(Service(Gateway(ServeSettings(engine="fake"))), config={})
    try:
        hub._write(RequestContext(id="req-1", endpoint="/v1/responses", ended_at=86400.25))
        hub.close()
    finally:
        logging.getLogger().handlers[:] = handlers
    assert json.loads(sys.stderr.getvalue())["time"] == "1970-01-02T00:00:00.250Z"
