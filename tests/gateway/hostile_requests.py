"""Requests of clients that want a gateway to compute for long: every open plug-in and parameter, schemas, answers."""

import itertools
import json
from random import Random

from hostile_upstream import KINDS
from nbest import registry
from nbest.protocols import is_open_text, is_open_to_clients
from nbest.registry.plugins import fields_of, kind_of, types_of

FAMILIES = ("strategies", "samplers", "selectors", "scorers", "utilities", "searches")
NEEDED = {
    "best": "scorer=logprob",
    "guard": "selector=first",
    "xmbr": "utility=chrf",
    "cross_lingual": "selector=vote",
    "tree": "verifier=rollouts(k=1)",
    "prompts": "variants=['{prompt}']",
}
NUMBERS = ("0", "1", "2", "7", "64", "1000000", "1000000000000000000", "-1", "0.5", "1e308", "1e-9")
TEXTS = ("'((a+)+)+$'", r"'(?=(a+)+$)(\\w+\\s*)+'", "'de'", "'{prompt}'", r"'\\p{L}{1,500}\\d+'")
DEADLINE_S = 0.6
LANGUAGES = ("zh", "ar", "th", "de", "en", "hi")
SIZES = (20, 2_000, 20_000, 60_000)


def requests(seed, num):
    """Bodies for POST /v1/chat/completions, `num` of them or all of the fixed ones, whichever are more."""
    rng = Random(seed)
    fixed = [*large_pools(), *schemas(), *parameters(rng)]
    yield from fixed
    for _ in range(num - len(fixed)):
        yield body(rng, strategy=made("strategies", rng, depth=3))


def body(rng, *, strategy, kind=None, size=None, **more):
    kind = kind or rng.choice(sorted(KINDS))
    size = size or rng.choice(SIZES)
    shown = rng.choice(("none", "comments", "events", "reasoning"))
    nbest = {
        "strategy": strategy,
        "deadline": DEADLINE_S,
        "progress": shown,
        "candidates": rng.random() < 0.5,
    }
    if rng.random() < 0.5:
        nbest["language"] = rng.choice(LANGUAGES)
    content = f"2加2等于几？ ⟦{kind}:{size}⟧"
    return {
        "model": "m",
        "messages": [{"role": "user", "content": content}],
        "stream": rng.random() < 0.25,
        "nbest": nbest,
        **more,
    }


def large_pools():
    """What took seconds and minutes: long texts and numbers, compared in pools of 64."""
    rng = Random(0)
    utilities = ("chrf", "chrf(word_order=2)", "bleu", "bleu(respell=true)", "token_f1", "edit")
    for utility, kind in itertools.product(utilities, ("plain", "arabic", "accents")):
        yield body(rng, strategy=f"mbr(n=64, utility={utility})", kind=kind, size=8_000)
    for kind, strategy in zip(
        KINDS, itertools.cycle(("vote(n=64)", "guard(n=32, selector=vote)")), strict=False
    ):
        yield body(rng, strategy=strategy, kind=kind, size=16_000)
    yield body(rng, strategy="vote(n=64)", kind="digits", size=16_000)
    yield body(rng, strategy="mbr(n=64, mode=aggregate)", kind="plain", size=60_000)
    yield body(rng, strategy="mbr(n=64, mode=pruned, num_resamples=10000)", kind="plain", size=8_000)
    yield body(rng, strategy="dora(n=32, verifier=logprob)", kind="plain", size=8_000)
    yield body(rng, strategy=r"vote(n=64, extract='((a|a)+)+\\d')", kind="letters", size=30_000)


def parameters(rng):
    """Every open plug-in, one parameter of each with a number or text that is not meant for it."""
    numbers, texts = itertools.cycle(NUMBERS), itertools.cycle(TEXTS)
    for family in FAMILIES:
        for name in opened(family):
            hints = types_of(registry.load(family, name))
            fields = sorted(fields_of(registry.load(family, name)))
            given = {}
            if fields:
                field = rng.choice(fields)
                given[field] = next(texts) if is_open_text(hints[field]) else next(numbers)
            yield body(rng, strategy=within(family, call(name, given)))


def made(family, rng, depth):
    """A spec of open plug-ins, with parameters at random."""
    name = rng.choice(opened(family))
    hints = types_of(registry.load(family, name))
    given = {}
    for field in fields_of(registry.load(family, name)):
        inner = kind_of(hints[field])
        if inner in FAMILIES and depth and rng.random() < 0.6:
            given[field] = made(inner, rng, depth - 1)
        elif rng.random() < 0.15:
            given[field] = rng.choice(TEXTS if is_open_text(hints[field]) else NUMBERS[:6])
    return call(name, given)


def opened(family):
    return [n for n in registry.names(family) if is_open_to_clients(registry.load(family, n))]


def call(name, given):
    needed, _, value = NEEDED.get(name, "").partition("=")
    both = ({needed: value} if needed else {}) | given
    return f"{name}({', '.join(f'{k}={v}' for k, v in both.items())})"


def within(family, spec):
    holder = {
        "samplers": "parallel(sampler={}, selector=vote)",
        "scorers": "best(n=4, scorer={})",
        "utilities": "mbr(n=8, utility={})",
        "searches": "tree(search={}, verifier=logprob)",
    }
    return holder.get(family, "{}").format(spec)


def schemas():
    """Schemas that expand, recur, match slowly or are merely large, of answers and of tools."""
    rng = Random(0)
    for schema in hostile_schemas():
        wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        kind, size = rng.choice((("object", 20_000), ("lists", 100)))
        yield body(rng, strategy="vote(n=16)", kind=kind, size=size, response_format=wanted)
        tool = {"type": "function", "function": {"name": "f", "strict": True, "parameters": schema}}
        yield body(rng, strategy="vote(n=4)", kind="plain", size=100, tools=[tool])


def hostile_schemas():
    for times in (6, 9, 16, 24, 40):
        yield doubled(times, "allOf")
        yield doubled(times, "anyOf")
    yield {"items": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}
    yield {"anyOf": [{"items": {"$ref": "#"}, "maxItems": 0}, {"items": {"$ref": "#"}, "minItems": 2}]}
    yield {"$defs": {f"a{i}": {"anyOf": [{"$ref": f"#/$defs/a{k}"} for k in range(9)]} for i in range(9)}, "$ref": "#/$defs/a0"}  # fmt: skip
    for pattern in (r"^(a+)+$", r"(x+x+)+y\1", r"(?=(.+)+$)b", r"\p{L}{500}", r"(a{1000}){1000}", "(" * 200):
        yield {"additionalProperties": {"items": {"properties": {"b": {"pattern": pattern}}}}}
        yield {"patternProperties": {pattern: {"type": "string"}}}
    yield {"properties": {f"p{i}": {"type": "string"} for i in range(2000)}}
    yield {"enum": [{"x": i} for i in range(2000)]}
    yield {"properties": {"a": {"items": {"anyOf": [{"const": i} for i in range(1500)]}}}}
    yield {"properties": {"a": {"uniqueItems": True, "contains": {"const": 1}, "minContains": 0}}}
    yield {"properties": {"a": {"unevaluatedItems": {"unevaluatedProperties": False}}}}
    yield json.loads('{"not":' * 60 + "{}" + "}" * 60)


def doubled(times, keyword):
    defs = {f"a{i}": {keyword: [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(times)}
    return {"$defs": {**defs, f"a{times}": {"type": "string"}}, "$ref": "#/$defs/a0"}
