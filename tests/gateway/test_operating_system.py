"""What the operating system has little of, and what it asks for: descriptors, signals."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from gateway.process import NO_KEY, running
from processes import Nbest, until

ASK = {"model": "fake", "messages": [{"role": "user", "content": "2足す2は？"}]}
MAX_FILES = 96
CLOSING_S = 1.0
"""In place of 15 s."""
SHORT = {"nbest.serve.start": {"_CLOSING_S": CLOSING_S, "_LAST_S": 0.2}}


def asked(port, *, timeout=10, path="/v1/chat/completions", **body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", path, json.dumps({**ASK, **body}), headers)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def asked_in_vain(port):
    with contextlib.suppress(OSError, http.client.HTTPException):
        asked(port, timeout=10)


def port_of(base):
    return int(re.search(r":(\d+)/", base)[1])


MODELS = b'{"object": "list", "data": [{"id": "m", "object": "model"}]}'
FOUND = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(MODELS),
    MODELS,
)
MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@contextlib.contextmanager
def hanging_server(*, says_models=True):
    """Says which models it has, and nothing else; without `says_models`, nothing at all."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        accepted = []

        def serve(connection):
            with contextlib.suppress(OSError):
                while says_models and (head := connection.recv(4096)):
                    if head.startswith(b"GET"):
                        connection.sendall(FOUND if b"/v1/models " in head else MISSING)

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    accepted.append(listening.accept()[0])
                    threading.Thread(target=serve, args=accepted[-1:], daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1], accepted
        listening.shutdown(socket.SHUT_RDWR)
        for connection in accepted:
            connection.close()


def test_more_connections_than_descriptors_leave_the_gateway_alive_and_its_log_short(tmp_path):
    with running(tmp_path, "--engine", "fake", max_files=MAX_FILES) as (base, process):
        port = port_of(base)
        opened = []
        for _ in range(4):
            for _ in range(MAX_FILES):
                with contextlib.suppress(OSError):
                    opened.append(socket.create_connection(("127.0.0.1", port), timeout=5))
            assert asked(port)[0] == 200
            assert len(list(Path(f"/proc/{process.pid}/fd").iterdir())) < MAX_FILES
        for connection in opened:
            connection.close()
        assert asked(port)[0] == 200
        log = process.err.read_text(encoding="utf-8")
    assert log.count("connections are open, as many as") == 1
    assert len(log) < 10_000


def test_an_upstream_for_which_there_are_no_descriptors_costs_requests_and_no_flood(tmp_path):
    with hanging_server() as (upstream, _):
        config = tmp_path / "gateway.toml"
        config.write_text("[serve]\ndeadline = 3\n", encoding="utf-8")
        flags = ("--engine", f"openai:http://127.0.0.1:{upstream}/v1", "--model", "m", "--config", config)
        strategy = ("--strategy", "parallel(sampler=iid(n=40),selector=vote,quorum=40)")
        with running(tmp_path, *flags, *strategy, max_files=MAX_FILES) as (base, process):
            port = port_of(base)
            threads = [
                threading.Thread(target=asked, args=(port,), kwargs={"timeout": 30, "model": "m"})
                for _ in range(6)
            ]
            for thread in threads:
                thread.start()
            time.sleep(1)
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert b" 200 " in connection.recv(100)
            for thread in threads:
                thread.join()
            log = process.err.read_text(encoding="utf-8")
        assert len(log) < 20_000


@pytest.mark.parametrize("stream", [False, True])
def test_sigterm_ends_within_the_grace_though_upstreams_hang(tmp_path, stream):
    with hanging_server() as (upstream, _):
        config = tmp_path / "gateway.toml"
        config.write_text("[serve]\ndrain_s = 0.5\n", encoding="utf-8")
        flags = ("--engine", f"openai:http://127.0.0.1:{upstream}/v1", "--model", "m", "--config", config)
        with running(tmp_path, *flags) as (base, process):
            replies = []
            threads = [
                threading.Thread(
                    target=lambda: replies.append(asked(port_of(base), timeout=30, model="m", stream=stream))
                )
                for _ in range(5)
            ]
            for thread in threads:
                thread.start()
            time.sleep(0.5)
            took_s = ended_in(process, signal.SIGTERM)
            for thread in threads:
                thread.join()
        assert took_s < 5
        assert [status for status, _ in replies] == [503] * 5
        assert process.wait()[0] == 0


def test_sigterm_ends_a_gateway_that_waits_for_a_server_which_says_nothing(tmp_path):
    with hanging_server(says_models=False) as (upstream, accepted):
        flags = ("serve", "--port", "0", "--engine", f"openai:http://127.0.0.1:{upstream}/v1")
        process = Nbest(tmp_path, *flags, env=NO_KEY)
        until(lambda: accepted, process)
        assert ended_in(process, signal.SIGTERM) < 5
        assert process.wait()[0] == 0


PLUGIN = """
import time
from dataclasses import dataclass
from nbest.selection.first import First
from nbest.types import Selection

@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck(First):
    open_to_clients = True

    async def __call__(self, prompt, candidates, ctx):
        {stuck}
"""


@pytest.mark.parametrize(
    "stuck", ["time.sleep(600)", "import asyncio; await asyncio.to_thread(time.sleep, 600)"]
)
def test_sigterm_ends_within_the_grace_though_a_plugin_blocks_the_loop_or_a_thread(tmp_path, stuck):
    (tmp_path / "stuck.py").write_text(PLUGIN.replace("{stuck}", stuck), encoding="utf-8")
    config = tmp_path / "gateway.toml"
    config.write_text("[serve]\ndrain_s = 0.5\n", encoding="utf-8")
    flags = ("--engine", "fake", "--config", config, "--select", f"{tmp_path}/stuck.py:Stuck")
    with running(tmp_path, *flags, constants=SHORT) as (base, process):
        asking = threading.Thread(target=asked_in_vain, args=(port_of(base),))
        asking.start()
        time.sleep(0.5)
        assert ended_in(process, signal.SIGTERM) < 6
        code = process.wait()[0]
    assert code in {0, 1}
    asking.join()


def ended_in(process, signal_number):
    """Seconds from the signal to the end of the process."""
    sent_at = time.monotonic()
    os.kill(process.pid, signal_number)
    until(lambda: False, process, within_s=60)
    assert not process.is_running
    return time.monotonic() - sent_at
