"""The upstream and what stands before it: how each is installed, started, asked for N, and stopped."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from load import cpu_s
from wire import Connection

HERE = Path(__file__).parent
OPTILLM, ITS_HUB = "optillm==0.4.0", "its_hub[iaas]==1.2.0"
PRESETS = {
    "vote": "parallel(sampler=iid(n={n}),selector=vote)",
    "hedged": "parallel(sampler=hedged(n={n}),selector=vote)",
    "calls": "parallel(sampler=iid(n={n}),selector=vote,quorum={n})",
    "judged": "parallel(sampler=iid(n={n}),selector=best(scorer=judge))",
}
"""Ours: one call for all N, two calls, N calls, and one call and then N calls of a judge."""
SIZES = (1, 5, 8)


@dataclass
class Process:
    """A server under way."""

    name: str
    port: int
    popen: subprocess.Popen
    ready_s: float = 0.0
    ready_cpu_s: float = 0.0
    routes: dict = field(default_factory=dict)

    @property
    def pid(self):
        return self.popen.pid

    def stop(self):
        self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(10)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


class Stand:
    """Starts servers with logs in `folder`; leaving it stops them."""

    def __init__(self, folder):
        self.folder = folder.resolve()
        self.log = self.folder / "log"
        self.home = self.folder / "home"
        for path in (self.log, self.home):
            path.mkdir(parents=True, exist_ok=True)
        self._running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self._running:
            process.stop()

    async def start(self, name, command, *, path, env=None, timeout_s=300, port=None):
        """`command` with {port}; done when a GET of `path` is answered with 200."""
        port = port or free_port()
        with (self.log / f"{name}.log").open("wb") as log:
            started = time.perf_counter()
            popen = subprocess.Popen(  # noqa: ASYNC220 (nothing else goes on)
                [part.format(port=port) for part in command],
                stdout=log,
                stderr=log,
                cwd=self.home,
                env={**os.environ, "HOME": str(self.home), **(env or {})},
            )
        process = Process(name, port, popen)
        self._running.append(process)
        while time.perf_counter() - started < timeout_s:
            if popen.poll() is not None:
                raise SystemExit(f"{name} ended with {popen.returncode}: see {log.name}")
            try:
                connection = Connection(port)
                status, _ = await connection.ask("GET", path)
                connection.close()
            except OSError:
                status = 0
            if status == 200:
                process.ready_s = time.perf_counter() - started
                process.ready_cpu_s = cpu_s(popen.pid)
                return process
            await asyncio.sleep(0.005)
        raise SystemExit(f"{name} was not ready within {timeout_s} s: see {log.name}")

    def stop(self, process):
        self._running.remove(process)
        process.stop()

    def kill(self, process):
        """As `kill -9` does."""
        self._running.remove(process)
        process.popen.kill()
        process.popen.wait()

    async def upstream(self, latency_s=0.2, lines=1):
        command = [sys.executable, str(HERE / "upstream.py"), "--port", "{port}", "--latency", str(latency_s)]
        command += ["--lines", str(lines)]
        return await self.start("upstream", command, path="/v1/models")

    async def nbest(self, upstream, source=None):
        """Of this environment, or of another folder with the package in it."""
        specs = {f"{name}{n}": spec.format(n=n) for name, spec in PRESETS.items() for n in SIZES}
        config = self.home / "gateway.toml"
        config.write_text("[presets]\n" + "".join(f'{name} = "{spec}"\n' for name, spec in specs.items()))
        command = [sys.executable, "-m", "nbest", "serve", "--config", str(config), "--port", "{port}"]
        command += ["--engine", f"openai:http://127.0.0.1:{upstream.port}/v1", "--strategy", specs["vote8"]]
        env = {"PYTHONPATH": str(source.resolve())} if source else None
        return await self.start(
            f"nbest-{source.resolve().parent.name}" if source else "nbest", command, path="/ready", env=env
        )

    async def optillm(self, upstream, n):
        command = [str(self._environment("optillm") / "optillm"), "--model", "fake", "--host", "127.0.0.1"]
        command += ["--base-url", f"http://127.0.0.1:{upstream.port}/v1", "--port", "{port}"]
        return await self.start(
            f"optillm-{n}",
            [*command, "--best-of-n", str(n), "--log", "warning"],
            path="/health",
            env={"OPENAI_API_KEY": "none", "HF_HUB_OFFLINE": "1"},
        )

    async def its_hub(self, upstream):
        command = [str(self._environment("its_hub") / "its-iaas"), "--host", "127.0.0.1", "--port", "{port}"]
        process = await self.start("its_hub", [*command, "--log-level", "WARNING"], path="/v1/models")
        settings = {
            "endpoint": f"http://127.0.0.1:{upstream.port}/v1",
            "api_key": "none",
            "model": "fake",
            "alg": "self-consistency",
            "regex_patterns": ["boxed\\{([^}]+)\\}"],
        }
        status, said = await Connection(process.port).ask("POST", "/configure", msgspec.json.encode(settings))
        if status != 200:
            raise SystemExit(f"its_hub does not take its configuration: {said.decode()}")
        return process

    def _environment(self, name):
        """The bin folder of a peer's own environment, made where it is missing."""
        place = self.folder / name
        if not (place / "ready").exists():
            print(f"installing {name} into {place}", file=sys.stderr, flush=True)
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
            pip = [
                str(place / "bin/python"),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ]
            if name == "its_hub":
                subprocess.run([*pip, ITS_HUB], check=True)
            else:  # what it declares is 7.6 GB; these are what its proxy needs
                subprocess.run([*pip, "-r", str(HERE / "requirements-optillm.txt")], check=True)
                subprocess.run([*pip, "--no-deps", OPTILLM], check=True)
            (place / "ready").touch()
        return place / "bin"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
