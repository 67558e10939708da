"""Made-up requests at a real gateway for minutes: nothing may end in a 500, a traceback, or reach outside.

    python benchmarks/gateway/fuzz.py [--minutes 10] [--seed 0]

Hypothesis makes bodies, specs, schemas and raw bytes; the requests of `tests/gateway/hostile_requests.py` are mixed in. An
audit hook in the gateway's process writes down what is opened, connected to and started once it is ready. Exit status 1
where anything is found, with the request that did it.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import os
import queue
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from aiohttp import ClientError, ClientSession, ClientTimeout
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from systems import Stand

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from gateway.hostile_requests import body as hostile_body  # noqa: E402
from gateway.hostile_requests import made, requests  # noqa: E402

AT_ONCE = 8
OPENED = {"open", "os.listdir", "os.scandir", "glob.glob"}
STARTED = {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.fork", "os.forkpty"}
DEVICES = (
    "/dev/null",
    "/dev/urandom",
    "/proc/",
    "/sys/",
    "/etc/localtime",
    "/etc/hosts",
    "/etc/nsswitch.conf",
)
"""What Python and its libraries read by themselves; no client has a word in it."""
HOOK = """
import os, sys
_names = {names!r}
_file = open({file!r}, "a", buffering=1, encoding="utf-8", errors="backslashreplace")
_is_writing = False
def _hook(event, args):
    global _is_writing
    if event in _names and not _is_writing and os.path.exists({begun!r}):
        _is_writing = True
        try:
            _file.write(event + "\\t" + repr(args[1:] if event == "socket.connect" else args[:2])[:500] + "\\n")
        finally:
            _is_writing = False
if "serve" in sys.orig_argv:
    sys.addaudithook(_hook)
"""

WORDS = st.sampled_from(
    [
        "vote",
        "first",
        "best",
        "mbr",
        "chops",
        "fuse",
        "guard",
        "parallel",
        "tree",
        "beam",
        "hedged",
        "iid",
        "ladder",
        "greedy",
        "n=4",
        "n=0",
        "selector=",
        "scorer=",
        "sampler=",
        "utility=chrf",
        "weight=",
        "logprob",
        "oracle",
        "/etc/passwd",
        "../../x",
        "file:///etc/passwd",
        "http://127.0.0.1:9/v1",
        "os:system",
        "./evil.py:Evil",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        ",",
        "=",
        "'",
        '"',
        "\\",
        "\x00",
        "{prompt}",
        "{missing}",
        "null",
        "true",
        "-1",
        "1e400",
        "NaN",
        "١٢",
        "４",
        "东京",
        "مرحبا",
        "ไทย",
        "�",
        "\u202e",
    ]
)
SPECS = st.lists(WORDS, max_size=12).map("".join) | st.text(max_size=60)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=12), inner, max_size=5),
    max_leaves=20,
)
CONTENT = st.text(max_size=200) | st.lists(
    st.fixed_dictionaries({"type": st.sampled_from(["text", "image_url", "input_audio", "x"])})
    | st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=40)})
    | st.fixed_dictionaries(
        {"type": st.just("image_url"), "image_url": st.fixed_dictionaries({"url": SPECS})}
    ),
    max_size=3,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["user", "system", "assistant", "tool", "developer", "x"]),
            "content": CONTENT,
        }
    ),
    max_size=4,
)
KEYWORDS = st.sampled_from(
    [
        "type",
        "properties",
        "items",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "$ref",
        "$defs",
        "pattern",
        "enum",
        "const",
        "required",
        "minLength",
        "maxItems",
        "format",
        "if",
        "then",
    ]
)
SCHEMAS = st.recursive(
    JSON
    | st.sampled_from(["#", "#/$defs/a", "http://127.0.0.1:9/x", "file:///etc/passwd", "string", "object"]),
    lambda inner: st.dictionaries(KEYWORDS, inner | st.lists(inner, max_size=3), max_size=5),
    max_leaves=25,
)
FIELDS = {
    "n": st.integers(-2, 70) | JSON,
    "temperature": st.floats(-1, 3) | JSON,
    "max_tokens": st.integers(-1, 100_000) | JSON,
    "stop": st.text(max_size=5) | st.lists(st.text(max_size=5), max_size=6),
    "stream": st.booleans() | JSON,
    "seed": st.integers() | JSON,
    "logprobs": JSON,
    "top_logprobs": st.integers(-1, 30) | JSON,
    "response_format": st.fixed_dictionaries(
        {
            "type": st.just("json_schema"),
            "json_schema": st.fixed_dictionaries({"name": st.text(max_size=70), "schema": SCHEMAS}),
        }
    )
    | JSON,
    "tools": st.lists(
        st.fixed_dictionaries(
            {
                "type": st.just("function"),
                "function": st.fixed_dictionaries(
                    {"name": st.text(max_size=70), "strict": st.booleans(), "parameters": SCHEMAS}
                ),
            }
        ),
        max_size=3,
    )
    | JSON,
    "tool_choice": st.sampled_from(["auto", "none", "required", "x"]) | JSON,
    "reasoning_effort": st.text(max_size=10) | JSON,
    "user": JSON,
    "metadata": JSON,
    "stream_options": JSON,
}
NBEST = st.fixed_dictionaries(
    {},
    optional={
        "strategy": SPECS | JSON,
        "deadline": st.floats(0.01, 2) | JSON,
        "budget": st.dictionaries(
            st.sampled_from(["samples", "tokens", "seconds", "x"]), st.integers(-1, 100) | JSON, max_size=3
        )
        | JSON,
        "language": SPECS | JSON,
        "task": SPECS | JSON,
        "progress": st.sampled_from(["none", "comments", "events", "reasoning", "x"]) | JSON,
        "candidates": st.booleans() | JSON,
    },
)
MODELS = st.sampled_from(["m", "m@vote", "m@", "@", "m@/etc/x.py:C", "../m"]) | SPECS
CHAT = st.fixed_dictionaries(
    {"model": MODELS, "messages": MESSAGES | JSON}, optional={**FIELDS, "nbest": NBEST | JSON}
)
OTHER = st.fixed_dictionaries(
    {"model": MODELS},
    optional={
        **FIELDS,
        "input": CONTENT | MESSAGES | JSON,
        "prompt": CONTENT | JSON,
        "nbest": NBEST,
        "text": JSON,
    },
)
PATHS = ("chat/completions", "chat/completions", "chat/completions", "responses", "completions")


class _Ended(BaseException):
    """Ends Hypothesis, which would look for a smaller example of an `Exception`."""


class Examples:
    """Examples of a strategy, made in a thread of their own."""

    def __init__(self, strategy, seed_of_run):
        self._queue = queue.Queue(maxsize=100)
        self._is_over = False
        threading.Thread(target=self._make, args=(strategy, seed_of_run), daemon=True).start()

    def _make(self, strategy, seed_of_run):
        @seed(seed_of_run)
        @settings(
            max_examples=10**9,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def put(value):
            self._queue.put(value)
            if self._is_over:
                raise _Ended

        with contextlib.suppress(_Ended):
            put()

    def next(self):
        return self._queue.get()

    def end(self):
        self._is_over = True
        with contextlib.suppress(queue.Empty):
            while True:
                self._queue.get_nowait()


def bodies(seed_of_run, chat, other):
    """(path, bytes) without end."""
    rng = random.Random(seed_of_run)
    hostile = [json.dumps(b).encode() for b in requests(seed_of_run, 0)]
    while True:
        kind = rng.random()
        if kind < 0.05:
            yield "chat/completions", rng.choice(hostile)
        elif kind < 0.3:
            spec = made("strategies", rng, depth=3)
            if rng.random() < 0.4:  # damaged
                at = rng.randrange(len(spec))
                spec = spec[:at] + rng.choice(["", "(", "'", ",", "=", "\x00", "/", "٣"]) + spec[at + 1 :]
            yield (
                "chat/completions",
                json.dumps(hostile_body(rng, strategy=spec, size=rng.choice((20, 2000)))).encode(),
            )
        elif kind < 0.35:
            yield rng.choice(PATHS), rng.randbytes(rng.randrange(200))
        else:
            path = rng.choice(PATHS)
            made_up = (chat if path == "chat/completions" else other).next()
            raw = json.dumps(made_up, ensure_ascii=rng.random() < 0.5).encode(errors="surrogatepass")
            yield path, raw[: rng.randrange(len(raw))] if rng.random() < 0.05 else raw


async def fuzz(base, seconds, seed_of_run, log):
    statuses, failures = collections.Counter(), []
    chat, other = Examples(CHAT, seed_of_run), Examples(OTHER, seed_of_run)
    made_up = bodies(seed_of_run, chat, other)
    ends = time.monotonic() + seconds
    waiting = asyncio.Queue(maxsize=4 * AT_ONCE)

    async def make():
        while time.monotonic() < ends:
            await waiting.put(await asyncio.to_thread(next, made_up))
        for _ in range(AT_ONCE):
            await waiting.put(None)

    async def send(session):
        while (asked := await waiting.get()) is not None:
            path, raw = asked
            try:
                async with session.post(
                    f"{base}/{path}", data=raw, headers={"Content-Type": "application/json"}
                ) as reply:
                    await reply.read()
                    statuses[reply.status] += 1
                    if reply.status == 500:
                        failures.append((path, raw[:2000]))
            except TimeoutError:
                statuses["timeout"] += 1
                failures.append((path, raw[:2000]))
            except ClientError as e:
                statuses[type(e).__name__] += 1
            told = sum(statuses.values())
            if told % 2000 == 0:
                print(f"{told} requests, {dict(statuses)}", file=log, flush=True)

    async with ClientSession(timeout=ClientTimeout(60)) as session:
        await asyncio.gather(make(), *(send(session) for _ in range(AT_ONCE)))
    chat.end()
    other.end()
    return statuses, failures


async def fuzzed(served, begun, seconds, seed_of_run):
    """What `fuzz` found, and whether the gateway still runs."""
    process = await served
    begun.touch()
    statuses, failures = await fuzz(f"http://127.0.0.1:{process.port}/v1", seconds, seed_of_run, sys.stderr)
    begun.unlink()
    return statuses, failures, process.popen.poll() is None


def reached(events, install, upstream_port):
    """What was opened outside of the install, connected to beside the upstream, or started, with how often."""
    found = collections.Counter()
    allowed = (*install, *DEVICES)
    for line in events.read_text(encoding="utf-8").splitlines():
        name, _, args = line.partition("\t")
        if name in OPENED:
            target = args.lstrip("(").strip("'\"b").split("'", 1)[0]
            is_descriptor = args.lstrip("(")[:1].isdigit()
            if not is_descriptor and not target.startswith(allowed):
                found[line] += 1
        elif name == "socket.connect":
            if f"'127.0.0.1', {upstream_port})" not in args:
                found[line] += 1
        elif "nbest.offload_worker" not in args and "nbest" not in args:
            found[line] += 1
    return found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    upstream = subprocess.Popen(
        [sys.executable, ROOT / "tests" / "hostile_upstream.py"], stdout=subprocess.PIPE, text=True
    )
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            url = upstream.stdout.readline().strip()
            events, begun = folder / "events", folder / "begun"
            events.touch()
            hook = HOOK.format(
                names=OPENED | STARTED | {"socket.connect"}, file=str(events), begun=str(begun)
            )
            (folder / "hook").mkdir()
            (folder / "hook" / "sitecustomize.py").write_text(hook, encoding="utf-8")
            paths = [str(folder / "hook"), *filter(None, [os.environ.get("PYTHONPATH")])]
            env = {"TMPDIR": name, "PYTHONPATH": os.pathsep.join(paths)}
            with Stand(folder) as stand:
                command = [sys.executable, "-m", "nbest", "serve", "--port", "{port}", "--select", "vote"]
                command += ["--engine", f"openai:{url}", "--model", "m"]
                served = stand.start("gateway", command, path="/ready", env=env)
                statuses, failures, is_running = asyncio.run(
                    fuzzed(served, begun, 60 * args.minutes, args.seed)
                )
            log = (folder / "log" / "gateway.log").read_text(encoding="utf-8")
            install = (sys.prefix, sys.base_prefix, str(ROOT), str(folder))
            found = reached(events, install, url.rpartition(":")[2].partition("/")[0])
            num_events = len(events.read_text(encoding="utf-8").splitlines())
    finally:
        upstream.kill()

    num_tracebacks = log.count("Traceback")
    print(f"{sum(statuses.values())} requests in {args.minutes:g} min: {dict(statuses)}")
    print(
        f"{num_events} audit events; {sum(found.values())} reach outside; {num_tracebacks} tracebacks in the log"
    )
    for line, num in found.most_common(20):
        print(f"  {num} × {line}")
    for path, raw in failures[:10]:
        print(f"  failed: {path} {raw!r}")
    if num_tracebacks:
        print(log[log.index("Traceback") - 500 :][:4000])
    if not is_running or failures or found or num_tracebacks or not num_events:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
