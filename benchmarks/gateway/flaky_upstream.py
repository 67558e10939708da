"""A model server with faults that counts what it draws, for the soak.

    python benchmarks/gateway/flaky_upstream.py --port 19100 --count COUNT

Every draw is written at 60 tokens a second; a token is four bytes of UTF-8. Of a thousand calls about twenty get a 500, ten a 429, ten a
closed connection, ten half a reply, and three write on for a minute without a reply. COUNT holds eight numbers that outlive the process (`Count`): of replies that were sent whole, and of
those that a client broke off or a fault cut, as far as they had come.
"""

import argparse
import asyncio
import mmap
import random
import struct
import time
from pathlib import Path

import msgspec
from wire import read_body, reply_bytes

from upstream import MODELS, WORKING

_NUMBERS = struct.Struct("<8q")
_NAMES = ("calls", "prompt", "completion", "faults", "broken", "broken_prompt", "broken_completion", "starts")
TOKENS_PER_S = 60
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
FAULTS = {"500": 0.02, "429": 0.01, "close": 0.01, "cut": 0.01, "endless": 0.003}


class Count:
    """Numbers in a file that a process which is killed leaves behind."""

    def __init__(self, path):
        path = Path(path)
        if not path.exists():
            path.write_bytes(bytes(_NUMBERS.size))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _NUMBERS.size)

    def read(self):
        return dict(zip(_NAMES, _NUMBERS.unpack(self._map[:]), strict=True))

    def add(self, **more):
        numbers = self.read()
        for name, value in more.items():
            numbers[name] += value
        self._map[:] = _NUMBERS.pack(*numbers.values())


class GoneError(Exception):
    """The client broke the call off."""


class Server:
    def __init__(self, count, seed):
        self._count = count
        self._random = random.Random(seed)

    async def __call__(self, reader, writer):
        try:
            while (asked := await read_body(reader)) is not None:
                if not await self._answer(*asked, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, GoneError):
            pass
        finally:
            writer.close()

    async def _answer(self, start_line, raw, reader, writer):
        """Whether the connection can be used again."""
        if start_line.startswith(b"GET"):
            found = b"/models" in start_line
            writer.write(
                reply_bytes(msgspec.json.encode(MODELS))
                if found
                else b"HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n"
            )
            await writer.drain()
            return True

        body = msgspec.json.decode(raw)
        asked = str(body["messages"][-1]["content"])
        num_prompt = tokens(asked)
        fault = self._fault()
        if fault:
            self._count.add(faults=1)
        match fault:
            case "500" | "429":
                error = msgspec.json.encode({"error": {"message": "故障", "type": "server_error"}})
                status = b"500 Internal" if fault == "500" else b"429 Busy\r\nRetry-After: 1"
                writer.write(reply_bytes(error).replace(b"200 OK", status))
                await writer.drain()
                return True
            case "close":
                return False
            case "endless":
                await self._write(60, reader, num_prompt, body.get("n") or 1)
                return False

        texts = [self._text() for _ in range(body.get("n") or 1)]
        if body.get("stream"):
            return await self._stream(body, texts, num_prompt, reader, writer, is_cut=fault == "cut")
        await self._write(max(map(tokens, texts)) / TOKENS_PER_S, reader, num_prompt, len(texts))
        reply = reply_bytes(msgspec.json.encode(reply_of(texts, num_prompt)))
        if fault == "cut":
            writer.write(reply[: len(reply) // 2])
            return False
        writer.write(reply)
        await writer.drain()
        self._count.add(calls=1, prompt=num_prompt, completion=sum(map(tokens, texts)))
        return True

    async def _stream(self, body, texts, num_prompt, reader, writer, *, is_cut):
        """A delta of eight characters of every text in turn; then the usage."""
        writer.write(HEAD)
        sent = 0
        try:
            for start in range(0, max(map(len, texts)), 8):
                deltas = [text[start : start + 8] for text in texts]
                await pause(max(map(tokens, deltas)) / TOKENS_PER_S, reader)
                for i, delta in enumerate(deltas):
                    finish = "stop" if start + 8 >= len(texts[i]) else None
                    if delta:
                        writer.write(
                            event(
                                {
                                    "index": i,
                                    "delta": {"role": "assistant", "content": delta},
                                    "finish_reason": finish,
                                }
                            )
                        )
                await writer.drain()
                sent += sum(len(delta.encode()) for delta in deltas)
                if is_cut and sent > 40:
                    raise GoneError  # noqa: TRY301 (as when the client goes)
            writer.write(event(None, usage_of(texts, num_prompt)) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
            await writer.drain()
        except (ConnectionError, GoneError):
            self._count.add(broken=1, broken_prompt=num_prompt, broken_completion=-(-sent // 4))
            raise
        self._count.add(calls=1, prompt=num_prompt, completion=sum(map(tokens, texts)))
        return True

    async def _write(self, seconds, reader, num_prompt, num_texts):
        """Writes the texts at once; counts them as far as they are when the client goes."""
        started = time.monotonic()
        try:
            await pause(seconds, reader)
        except GoneError:
            num_written = round((time.monotonic() - started) * TOKENS_PER_S) * num_texts
            self._count.add(broken=1, broken_prompt=num_prompt, broken_completion=num_written)
            raise

    def _fault(self):
        drawn = self._random.random()
        for name, share in FAULTS.items():
            if drawn < share:
                return name
            drawn -= share
        return None

    def _text(self):
        draft = self._random.randint(0, 10**6)
        return self._random.choice(WORKING).format(draft, self._random.choice(("42", "42", "41", "7")))


async def pause(seconds, reader):
    """Raises `GoneError` where the client closes the connection meanwhile."""
    try:
        async with asyncio.timeout(seconds):
            await reader.read(1)
    except TimeoutError:
        return
    raise GoneError


def tokens(text):
    return -(-len(text.encode()) // 4)


def usage_of(texts, num_prompt):
    num_drawn = sum(map(tokens, texts))
    return {
        "prompt_tokens": num_prompt,
        "completion_tokens": num_drawn,
        "total_tokens": num_prompt + num_drawn,
    }


def reply_of(texts, num_prompt):
    choices = [
        {"index": i, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for i, text in enumerate(texts)
    ]
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_790_000_000, "model": "fake"}
    return {**head, "choices": choices, "usage": usage_of(texts, num_prompt)}


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(choice, usage=None):
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": "fake"}
    body |= {"choices": [] if choice is None else [choice], "usage": usage}
    return chunk(b"data: %s\n\n" % msgspec.json.encode(body))


async def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--port", type=int, required=True)
    ask.add_argument("--count", type=Path, required=True)
    args = ask.parse_args()
    count = Count(args.count)
    count.add(starts=1)
    seed = args.port * 1000 + count.read()["starts"]
    server = await asyncio.start_server(Server(count, seed), "127.0.0.1", args.port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
