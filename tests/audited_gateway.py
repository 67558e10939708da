"""A process that answers clients' specs and prints, as JSON, what it opened, connected to and started meanwhile.

Run by a test: an audit hook cannot be taken off again.
"""

import asyncio
import itertools
import json
import sys
from pathlib import Path
from random import Random

from aiohttp import ClientSession, web

from nbest import registry
from nbest.protocols import is_open_text, is_open_to_clients
from nbest.registry.plugins import fields_of, kind_of, types_of
from nbest.serve.app import make_app
from nbest.serve.gateway import Gateway
from nbest.serve.service import Service
from nbest.serve.worker_warmup import warm_up
from nbest.settings.gateway import ServeSettings

KINDS = ("strategies", "samplers", "selectors", "scorers", "utilities", "searches")
NEEDED = {
    "best": "scorer=logprob",
    "guard": "selector=first",
    "xmbr": "utility=chrf",
    "cross_lingual": "selector=vote",
    "tree": "verifier=rollouts(k=1)",
    "prompts": "variants=['{prompt}']",
}
HOSTILE = (
    "'/etc/passwd'",
    "['/etc/passwd', '../../../etc/shadow']",
    "{'/etc/passwd': 1}",
    "'http://127.0.0.1:9/v1'",
    "['http://127.0.0.1:9/{prompt}']",
    "'openai:http://127.0.0.1:9/v1'",
    "'os:system'",
    "os:system",
    "./evil.py:Evil",
    "'touch /tmp/started {prompt}'",
    "['{prompt} $(touch /tmp/started)', 'file:///etc/passwd {prompt}']",
    r"'\\x00/etc/passwd'",
    "'مسار/ملف'",
)
OUTSIDE = (
    {"model": "/etc/passwd"},
    {"model": "fake@/etc/x.py:Class"},
    {"nbest": {"language": "../../etc"}},
    {"nbest": {"language": "de-/etc", "strategy": "chops(n=2)"}},
    {"nbest": {"task": "/etc/passwd", "strategy": "fuse(n=2)"}},
    {"response_format": {"type": "json_schema", "json_schema": {"schema": {"$ref": "file:///etc/passwd"}}}},
    {"response_format": {"type": "json_schema", "json_schema": {"schema": {"$ref": "http://127.0.0.1:9/x"}}}},
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}]},
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/"}}]}]},
    {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"$ref": "/etc/passwd"}}}]},
)  # fmt: skip

seen = []


def hook(event, args):
    if event in {
        "open",
        "socket.connect",
        "subprocess.Popen",
        "os.exec",
        "os.posix_spawn",
        "os.system",
        "os.listdir",
    } or event in {"os.scandir", "glob.glob", "ctypes.dlopen", "os.fork", "os.forkpty"}:
        seen.append((event, [str(a) for a in args]))


def specs():
    """Every parameter of every open plug-in with every hostile value, and nested ones."""
    values = itertools.cycle(HOSTILE)
    for kind in KINDS:
        for name in registry.names(kind):
            needed = NEEDED.get(name)
            fields = fields_of(registry.load(kind, name))
            for field, _ in itertools.product(fields, range(5)):
                value = next(values)
                given = f"{field}={value}"
                if needed and not needed.startswith(f"{field}="):
                    given += f", {needed}"
                yield wrapped(kind, f"{name}({given})")
    rng = Random(16)
    for _ in range(200):
        yield made("strategies", rng, depth=3)


def wrapped(kind, spec):
    holder = {
        "samplers": "parallel(sampler={}, selector=vote)",
        "scorers": "best(scorer={})",
        "utilities": "mbr(utility={})",
        "searches": "tree(search={}, verifier=logprob)",
    }
    return holder.get(kind, "{}").format(spec)


def made(kind, rng, depth):
    """A spec of random open plug-ins, whose texts are hostile ones of the right type."""
    opened = [n for n in registry.names(kind) if is_open_to_clients(registry.load(kind, n))]
    name = rng.choice(opened)
    hints = types_of(registry.load(kind, name))
    given = [NEEDED[name]] if name in NEEDED else []
    for field in fields_of(registry.load(kind, name)):
        if name in NEEDED and NEEDED[name].startswith(f"{field}="):
            continue
        inner = kind_of(hints[field])
        if inner in KINDS and depth and rng.random() < 0.5:
            given.append(f"{field}={made(inner, rng, depth - 1)}")
        elif is_open_text(hints[field]):
            texts = [v for v in HOSTILE if v.startswith("[") == ("tuple" in repr(hints[field]))]
            given.append(f"{field}={rng.choice(texts)}")
    return f"{name}({', '.join(given)})"


async def upstream(request):
    reply = {"message": {"role": "assistant", "content": "4 [[1]]"}, "finish_reason": "stop"}
    if request.path.endswith("/models"):
        return web.json_response({"data": [{"id": "fake"}]})
    body = await request.json()
    choices = [{"index": i, **reply} for i in range(body.get("n", 1))]
    return web.json_response({"choices": choices, "usage": {"prompt_tokens": 3, "completion_tokens": 2}})


async def listening(app):
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, runner.addresses[0][1]


async def main():
    fake = web.Application()
    fake.router.add_route("*", "/{path:.*}", upstream)
    behind, port = await listening(fake)
    gateway = Gateway(ServeSettings(engine=f"openai:http://127.0.0.1:{port}/v1", sample="iid(n=2)"))
    await gateway.start()
    service = Service(gateway)
    service.is_ready = True
    front, own_port = await listening(make_app(service))

    statuses = []
    async with ClientSession() as session:

        async def post(**more):
            body = {"model": "fake", "messages": [{"role": "user", "content": "2加2等于几？"}], **more}
            url = f"http://127.0.0.1:{own_port}/v1/chat/completions"
            async with session.post(url, json=body) as reply:
                await reply.read()
                statuses.append(reply.status)

        await warm_up()  # a worker process that is there before any client came is none of a client's
        sys.addaudithook(hook)
        for spec in specs():
            await post(nbest={"strategy": spec, "deadline": 2, "budget": {"samples": 4}})
        for more in OUTSIDE:
            await post(**more)
    found = list(seen)
    await front.cleanup()
    await gateway.aclose()
    await behind.cleanup()
    install = [
        sys.prefix,
        sys.base_prefix,
        str(Path(registry.__file__).parents[2]),
        str(Path(__file__).parent),
    ]
    print(json.dumps({"events": found, "ports": [port, own_port], "statuses": statuses, "install": install}))


if __name__ == "__main__":
    asyncio.run(main())
