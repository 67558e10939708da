"""An OpenAI-compatible server whose answers are what a request asks for: ⟦kind:characters⟧ stands in its prompt.

Run by a test, in a process of its own: making megabytes of text must not slow down who is measured.
"""

import asyncio
import json
import re
from functools import lru_cache

from aiohttp import web

WANTED = re.compile(r"⟦(\w+):(\d+)⟧")
KINDS = {
    "plain": "因为二加二是四，所以答案是四。",
    "english": "Two and two make four, so the answer is 4. ",
    "arabic": "اثنان واثنان أربعة، إذن الجواب هو ٤. ",
    "thai": "สองบวกสองเท่ากับสี่ ดังนั้นคำตอบคือสี่ ",
    "digits": "7",
    "letters": "a",
    "spaces": " ",
    "invisible": "\u200b",
    "lines": "\n\n",
    "marks": "**4** $x$ `y` ",
    "brackets": "<[(「",
    "thoughts": "<think>",
    "boxed": "\\boxed{",
    "fractions": "\\frac{1}{2}+",
    "fences": "```",
    "verdicts": "[[1]] [[A>B]] ",
    "numbers": "1,234.5; 1.234,5; ",
    "accents": "e\u0301\u0302\u0303",
    "lists": "[",
    "object": '{"a": [1, "x", null]}, ',
}


@lru_cache(maxsize=64)
def text_of(kind, num_chars):
    unit = KINDS[kind]
    text = (unit * (num_chars // len(unit) + 1))[:num_chars]
    if kind == "digits":
        return f"The answer is {text}"
    if kind == "lists":
        return "[" * min(num_chars, 60) + "]" * min(num_chars, 60)
    if kind == "object":
        return '{"a": [' + ",".join(['{"b": "四"}'] * (num_chars // 12)) + "]}"
    return text


async def generate(request):
    raw = await request.text()
    found = WANTED.search(json.dumps(json.loads(raw), ensure_ascii=False))
    kind, num_chars = (found[1], int(found[2])) if found else ("english", 40)
    body = json.loads(raw)
    text = text_of(kind, num_chars)
    num_draws = min(body.get("n") or 1, 64)
    # Not all the same: equal texts are compared once.
    choices = [
        {
            "index": i,
            "message": {"role": "assistant", "content": f"{text} {i}" if kind != "object" else text},
            "finish_reason": "stop",
        }
        for i in range(num_draws)
    ]
    usage = {"prompt_tokens": 5, "completion_tokens": 5 * num_draws}
    if body.get("stream"):
        return await streamed(request, choices, usage)
    return web.json_response({"object": "chat.completion", "choices": choices, "usage": usage})


async def streamed(request, choices, usage):
    reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await reply.prepare(request)
    for choice in choices:
        text = choice["message"]["content"]
        for start in range(0, len(text), 4000):
            delta = {"index": choice["index"], "delta": {"content": text[start : start + 4000]}}
            await reply.write(b"data: " + json.dumps({"choices": [delta]}).encode() + b"\n\n")
        end = {"index": choice["index"], "delta": {}, "finish_reason": "stop"}
        await reply.write(b"data: " + json.dumps({"choices": [end]}).encode() + b"\n\n")
    await reply.write(
        b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\ndata: [DONE]\n\n"
    )
    await reply.write_eof()
    return reply


async def models(_):
    return web.json_response({"data": [{"id": "m"}]})


async def main():
    app = web.Application(client_max_size=64 << 20)
    app.router.add_get("/v1/models", models)
    app.router.add_post("/v1/chat/completions", generate)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
