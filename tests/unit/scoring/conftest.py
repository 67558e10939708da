"""A real local server that plays every reward API, in the shapes that their makers document."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import web


class RewardServer:
    """Scores a text by its length. `apis` are what it has; everything it was sent is in `calls`."""

    def __init__(self, apis, *, refuse=(), classes=1, faults=(), places=False, key=None, delay_s=0.0):
        self.apis, self.refuse, self.classes, self.places = apis, refuse, classes, places
        self.faults, self.key, self.delay_s = list(faults), key, delay_s
        self.calls, self.url, self.answer_with, self.mark = [], "", None, None

    async def answer(self, request):
        body = await request.json()
        self.calls.append((request.path, body, request.headers.get("Authorization")))
        await asyncio.sleep(self.delay_s)
        if self.answer_with:
            return self.answer_with()
        if request.path not in self.apis:
            return web.json_response({"detail": "Not Found"}, status=404)
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.json_response({"message": "invalid api token"}, status=401)
        if self.faults:
            return self.fault(self.faults.pop(0))
        texts = self.texts(body)
        if texts is None:
            return self.bad("The model does not support this request")
        if any(t in self.refuse for t in texts):
            return self.bad("This model's maximum context length is 3 tokens")
        return web.json_response(self.reply(request.path, texts))

    def fault(self, fault):
        if fault == "garbage":
            return web.Response(text="<html>", content_type="text/html")
        if fault == "empty":
            return web.json_response({"data": [], "results": []})
        headers = {"Retry-After": "0"} if fault == 429 else {}
        return web.json_response({"error": {"message": f"fault {fault}"}}, status=fault, headers=headers)

    def bad(self, message):
        return web.json_response({"error": {"message": message, "type": "BadRequestError"}}, status=400)

    def texts(self, body):
        match body:
            case {"messages": [*_, {"role": "assistant", "content": text}]}:
                return [text]
            case {"input": [*texts]} | {"text_1": str(), "text_2": [*texts]}:
                return texts
            case {"query": str(), "documents": [*texts]}:
                return texts
            case _:
                return None

    def reply(self, path, texts):
        usage = {"prompt_tokens": 7 * len(texts), "total_tokens": 7 * len(texts), "completion_tokens": 0}
        common = {"id": "x-1", "object": "list", "created": 1, "model": "rm", "usage": usage}
        values = [[float(len(t) + 10 * k) for k in range(self.classes)] for t in texts]
        if path.endswith("/classify"):
            data = [
                {"index": i, "label": "LABEL_0", "probs": v, "num_classes": len(v)}
                for i, v in enumerate(values)
            ]
            return {**common, "data": data}
        if path.endswith("/pooling"):
            tables = [[[x - 2 for x in v], [x - 1 for x in v], v] for v in values] if self.places else values
            if self.mark:  # pooling type STEP
                tables = [[[len(s) / 10] for s in t.split(self.mark)[:-1]] for t in texts]
            return {
                **common,
                "data": [{"index": i, "object": "pooling", "data": t} for i, t in enumerate(tables)],
            }
        if path.endswith("/score"):
            data = [{"index": i, "object": "score", "score": v[0]} for i, v in enumerate(values)]
            return {**common, "data": data}
        ranked = sorted(enumerate(values), key=lambda iv: -iv[1][0])  # rerankers sort by relevance
        if path == "/v2/rerank":  # Cohere
            results = [{"index": i, "relevance_score": v[0]} for i, v in ranked]
            return {"id": "x", "results": results, "meta": {"billed_units": {"search_units": 1}}}
        results = [{"index": i, "document": {"text": texts[i]}, "relevance_score": v[0]} for i, v in ranked]
        return {"model": "jina", "usage": {"total_tokens": 7 * len(texts)}, "results": results}


@asynccontextmanager
async def serving(server):
    app = web.Application()
    app.router.add_post("/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


@pytest.fixture
def reward_server():
    """`async with reward_server(apis, …) as server`."""
    return lambda *apis, **how: serving(RewardServer(apis, **how))
