"""A real redis-server in a process of its own."""

import contextlib
import shutil
import signal
import socket
import subprocess
import time

import pytest

BINARY = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(
    BINARY is None, reason="there is no redis-server here: apt-get install redis-server"
)


class RedisServer:
    def __init__(self, folder):
        self._folder = folder
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process = None

    def start(self):
        command = [BINARY, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        command += ["--save", "", "--appendonly", "no", "--daemonize", "no"]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        ends = time.monotonic() + 20
        while time.monotonic() < ends:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), timeout=1) as s,
            ):
                s.sendall(b"PING\r\n")
                if s.recv(100).startswith(b"+PONG"):
                    return self
            time.sleep(0.02)
        raise AssertionError((self._folder / "redis.log").read_text())

    def stop(self):
        """Everything in it is gone."""
        if self._process:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait()
            self._process = None

    def hang(self):
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self._process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def redis_server(folder):
    server = RedisServer(folder)
    try:
        yield server.start()
    finally:
        server.stop()
