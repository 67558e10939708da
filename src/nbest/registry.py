"""Names to plug-ins: one readable table per kind, and specs such as `mbr(utility=chrf)`.

A spec is a name with optional parameters; a parameter is a number, a string (quotes optional for one
word), true, false, none, a [list] or another spec. Which kind a nested spec is follows from the
type of the field. Modules load when first named, so a missing extra hurts nobody who does not use it.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from nbest import protocols
from nbest.errors import SpecError
from nbest.suggestions import did_you_mean

TABLES: Mapping[str, Mapping[str, str]] = {
    "strategies": {
        "budget_forcing": "nbest.strategies.budget_forcing:BudgetForcing",
        "cross_lingual": "nbest.strategies.cross_lingual:CrossLingual",
        "parallel": "nbest.strategies.parallel:Parallel",
        "revise": "nbest.strategies.revise:Revise",
        "rsa": "nbest.strategies.rsa:Rsa",
        "self_refine": "nbest.strategies.self_refine:SelfRefine",
        "short_m_at_k": "nbest.strategies.short_m_at_k:ShortMAtK",
        "tree": "nbest.strategies.tree:Tree",
    },
    "samplers": {
        "greedy": "nbest.sampling.greedy:Greedy",
        "hedged": "nbest.sampling.hedged:Hedged",
        "iid": "nbest.sampling.iid:Iid",
        "ladder": "nbest.sampling.ladder:Ladder",
        "mixture": "nbest.sampling.mixture:Mixture",
        "prompts": "nbest.sampling.prompts:Prompts",
        "translated": "nbest.sampling.translated:Translated",
    },
    "selectors": {
        "best": "nbest.selection.best:Best",
        "chops": "nbest.selection.chops:Chops",
        "first": "nbest.selection.first:First",
        "fuse": "nbest.selection.fuse:Fuse",
        "guard": "nbest.selection.guard:Guard",
        "judge_pairwise": "nbest.selection.pairwise:JudgePairwise",
        "likelihood": "nbest.selection.likelihood:Likelihood",
        "mbr": "nbest.selection.mbr:Mbr",
        "random": "nbest.selection.random:Random",
        "tournament": "nbest.selection.tournament:Tournament",
        "vote": "nbest.selection.vote:Vote",
        "xmbr": "nbest.selection.xmbr:Xmbr",
    },
    "scorers": {
        "comet_quality": "nbest.scoring.comet_quality:CometQuality",
        "deep_conf": "nbest.scoring.deep_conf:DeepConf",
        "hf_prm": "nbest.scoring.hf_prm:HfPrm",
        "hf_reward": "nbest.scoring.hf_reward:HfReward",
        "judge": "nbest.scoring.judge:Judge",
        "logprob": "nbest.scoring.logprob:Logprob",
        "noisy_oracle": "nbest.scoring.noisy_oracle:NoisyOracle",
        "oracle": "nbest.scoring.oracle:Oracle",
        "oracle_rollouts": "nbest.scoring.oracle_rollouts:OracleRollouts",
        "recorded": "nbest.scoring.recorded:Recorded",
        "reference_oracle": "nbest.scoring.reference_oracle:ReferenceOracle",
        "reward": "nbest.scoring.reward:Reward",
        "rollouts": "nbest.scoring.rollouts:Rollouts",
        "self_certainty": "nbest.scoring.self_certainty:SelfCertainty",
        "step_judge": "nbest.scoring.step_judge:StepJudge",
        "token_prm": "nbest.scoring.token_prm:TokenPrm",
        "word_steps": "nbest.lab.word_steps:WordSteps",
    },
    "searches": {
        "abmcts": "nbest.search.abmcts:Abmcts",
        "beam": "nbest.search.beam:Beam",
        "dora": "nbest.search.dora:Dora",
        "dvts": "nbest.search.dvts:Dvts",
        "particles": "nbest.search.particles:Particles",
        "rebase": "nbest.search.rebase:Rebase",
    },
    "utilities": {
        "bleu": "nbest.utilities.bleu:Bleu",
        "chrf": "nbest.utilities.chrf:Chrf",
        "comet": "nbest.utilities.comet:Comet",
        "edit": "nbest.utilities.edit:Edit",
        "judged": "nbest.utilities.judged:Judged",
        "token_f1": "nbest.utilities.token_f1:TokenF1",
        "embedding": "nbest.utilities.embedding:Embedding",
    },
    "tasks": {
        "gsm8k": "nbest.tasks.gsm8k:Gsm8k",
        "jsonl": "nbest.tasks.jsonl:Jsonl",
        "m_arenahard_v2": "nbest.tasks.arena_hard:MArenahardV2",
        "math500": "nbest.tasks.math500:Math500",
        "mgsm": "nbest.tasks.mgsm:Mgsm",
        "wmt24pp": "nbest.tasks.wmt24pp:Wmt24pp",
    },
    "engines": {
        "breaker": "nbest.engines.layers.breaker:Breaker",
        "cache": "nbest.engines.layers.cache:Cache",
        "failover": "nbest.engines.layers.failover:Failover",
        "fake": "nbest.engines.fake:Fake",
        "hedge": "nbest.engines.layers.hedge:Hedge",
        "limit": "nbest.engines.layers.limit:Limit",
        "llamacpp": "nbest.engines.llamacpp.llamacpp:LlamaCpp",
        "openai": "nbest.engines.openai.openai:OpenAI",
        "replay": "nbest.engines.replay:Replay",
        "retry": "nbest.engines.layers.retry:Retry",
    },
}
"""kind → name → "module:class"."""

OTHER_NAMES: Mapping[str, Mapping[str, str]] = {
    "engines": {"reissue": "hedge"},
    "selectors": {"best_of_n": "best"},
}
"""kind → other name → name. Specs with either are read; `spec_of` writes the name."""

OTHER_PARAMETERS: Mapping[str, Mapping[str, str]] = {
    "nbest.strategies.parallel:Parallel": {"linger": "grace"}
}
"""class → earlier name of a parameter → its name."""

WRITTEN_AS: Mapping[str, Mapping[str, str]] = {"searches": {"lookahead": "beam(lookahead=2)"}}
"""kind → the name of a method that is a parameter of another → how it is written."""

PART_OF: Mapping[str, tuple[str, str]] = {
    "searches": ("tree", "search"),
    "selectors": ("parallel", "selector"),
}
"""Kinds whose names are strategies as well, and the strategy's parameter that they stand for:
`beam(n=16, verifier=rollouts)` is `tree(search=beam(n=16), verifier=rollouts)`."""

KIND_BY_PROTOCOL: Mapping[Any, str] = {
    protocols.Engine: "engines",
    protocols.Sampler: "samplers",
    protocols.Scorer: "scorers",
    protocols.Search: "searches",
    protocols.Selector: "selectors",
    protocols.Strategy: "strategies",
    protocols.Task: "tasks",
    protocols.Utility: "utilities",
}

_WORDS = {"true": True, "false": False, "none": None}


def names(kind: str) -> list[str]:
    """What may be named, sorted."""
    return sorted(_table(kind))


@cache
def load(kind: str, name: str) -> type:
    """The class behind a name. Raises `SpecError` with the nearest names for an unknown one."""
    table, others = _table(kind), OTHER_NAMES.get(kind, {})
    name = others.get(name, name)
    if spelt := WRITTEN_AS.get(kind, {}).get(name):
        raise SpecError(f"{name} is a parameter: write {spelt}")
    if name not in table:
        raise SpecError(
            f"unknown {_singular(kind)} {name!r}{did_you_mean(name, sorted({**table, **others}))}"
        )
    module, _, attribute = table[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def parse(kind: str, spec: str) -> Any:
    """The plug-in that `spec` names: `hedged(n=5)`, `best(oracle)`, and `openai:URL` for engines.

    A positional argument, or what stands behind a colon, fills the first field. A strategy may be named
    by its search or selector (`PART_OF`).
    Raises `SpecError`, with what was asked, what is known and the nearest name.
    """
    name, colon, rest = spec.strip().partition(":")
    if colon and name.isidentifier():
        return _build(kind, name, [rest], {}, spec)
    return _from_node(kind, _read(spec), spec)


def spec_of(plugin: Any) -> str:
    """The spec that makes an equal plug-in; parameters at their defaults are left out."""
    if not dataclasses.is_dataclass(plugin):
        return str(plugin)
    name = name_of(type(plugin))
    shown = [
        f"{parameter}={_literal(value)}"
        for parameter, default in _parameters(type(plugin))
        if (value := getattr(plugin, parameter)) != default
    ]
    return f"{name}({', '.join(shown)})" if shown else name


@cache
def _parameters(cls: type) -> tuple[tuple[str, Any], ...]:
    """Names and defaults of what a spec can say."""
    return tuple((f.name, _default(f)) for f in dataclasses.fields(cls) if f.init and f.repr)


@cache
def name_of(cls: type) -> str:
    """The registry name of a class; its own name where it has none."""
    target = f"{cls.__module__}:{cls.__name__}"
    return next((n for table in TABLES.values() for n, t in table.items() if t == target), cls.__name__)


def _read(spec: str) -> ast.expr:
    if not spec.strip():
        raise SpecError("nothing is named: write a name and its parameters, as in  name(key=value)")
    try:
        return ast.parse(spec.strip(), mode="eval").body
    except SyntaxError:
        raise SpecError(
            f"cannot read {spec!r}: write a name and its parameters, as in  name(key=value);"
            " put quotes around a value with spaces, slashes or dots"
        ) from None


def _table(kind: str) -> Mapping[str, str]:
    if kind not in TABLES:
        raise SpecError(f"unknown kind {kind!r}{did_you_mean(kind, sorted(TABLES))}")
    return TABLES[kind]


def _singular(kind: str) -> str:
    return {"searches": "search", "strategies": "strategy", "utilities": "utility"}.get(
        kind, kind.removesuffix("s")
    )


def _or_elsewhere(kind: str, name: str, key: str, fields: list[str]) -> str:
    """What to write instead of an unknown parameter: one of `fields`, or a plug-in of a kindred name that has it."""
    hint = did_you_mean(key, sorted(fields)) if fields else ": it takes none"
    kin = [n for n in TABLES[kind] if n.endswith(f"_{name}") or n.startswith(f"{name}_")]
    having = [n for n in kin if any(f.name == key and f.init for f in dataclasses.fields(load(kind, n)))]
    return f"{hint}. {' and '.join(having)} {'have' if having[1:] else 'has'} one" if having else hint


def _from_node(kind: str, node: ast.expr, spec: str) -> Any:
    match node:
        case ast.Name(id=name):
            return _build(kind, name, [], {}, spec)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
            named: dict[str, Any] = {}
            for keyword in keywords:
                if keyword.arg is None:
                    raise SpecError(f"** has no meaning in {spec!r}")
                if keyword.arg in named:
                    raise SpecError(f"{keyword.arg} is given twice in {spec!r}")
                named[keyword.arg] = keyword.value
            return _build(kind, name, args, named, spec)
        case _:
            raise SpecError(f"{spec!r} names no {_singular(kind)}. Known: {', '.join(names(kind))}")


def _build(kind: str, name: str, positional: list[Any], named: dict[str, Any], spec: str) -> Any:
    if kind == "strategies" and name not in TABLES[kind]:
        return _around(name, positional, named, spec)
    cls = load(kind, name)
    fields = [f.name for f in dataclasses.fields(cls) if f.init]
    if len(positional) > 1:
        raise SpecError(f"{name} takes one value without a name, got {len(positional)} in {spec!r}")
    if positional and (not fields or fields[0] in named):
        raise SpecError(f"too many values for {name} in {spec!r}")
    now = OTHER_PARAMETERS.get(f"{cls.__module__}:{cls.__name__}", {})
    for earlier in now.keys() & named.keys():
        if now[earlier] in named:
            raise SpecError(f"{now[earlier]} is given twice in {spec!r}: {earlier} is its earlier name")
    named = {now.get(key, key): value for key, value in named.items()}
    values = {**dict(zip(fields, positional, strict=False)), **named}
    for key in values:
        if key not in fields:
            raise SpecError(f"{name} has no parameter {key!r}{_or_elsewhere(kind, name, key, fields)}")
    hints = _hints(cls)
    built = {key: _value(hints[key], value, f"{name}({key}=…)") for key, value in values.items()}
    try:
        return cls(**built)
    except TypeError:
        missing = [
            f.name for f in dataclasses.fields(cls) if f.init and f.name not in built and _is_required(f)
        ]
        raise SpecError(f"{name} needs {', '.join(missing)}: write {name}({missing[0]}=…)") from None
    except ValueError as e:
        raise SpecError(f"{name}: {e}") from None


def _around(name: str, positional: list[Any], named: dict[str, Any], spec: str) -> Any:
    """The strategy around a search or selector: each parameter goes to the one that has it, `n` to the sampler."""
    parts = {n: k for k in PART_OF for n in (*TABLES[k], *OTHER_NAMES.get(k, {}))}
    if name not in parts:
        for kind in PART_OF:
            if name in WRITTEN_AS.get(kind, {}):
                load(kind, name)  # raises
        raise SpecError(
            f"unknown strategy {name!r}{did_you_mean(name, sorted({**TABLES['strategies'], **parts}))}"
        )
    whole, slot = PART_OF[parts[name]]
    inner = {f.name for f in dataclasses.fields(load(parts[name], name)) if f.init}
    outer = {f.name: f for f in dataclasses.fields(load("strategies", whole)) if f.init and f.name != slot}
    known = {*inner, *outer, *({"n"} if "sampler" in outer else ())}
    earlier = OTHER_PARAMETERS.get(TABLES["strategies"][whole], {})
    for key in named.keys() - earlier.keys():
        if key not in known:
            raise SpecError(f"{name} has no parameter {key!r}{did_you_mean(key, sorted(known))}")
        if key in inner and key in outer:
            raise SpecError(
                f"{key} is a parameter of {name} and of {whole}: write {whole}({slot}={name}({key}=…), {key}=…)"
            )
    for key, f in outer.items():
        if _is_required(f) and key not in named:
            raise SpecError(f"{name} needs {key}: write {name}({key}=…)")
    part = _build(parts[name], name, positional, {k: v for k, v in named.items() if k in inner}, spec)
    rest = {k: v for k, v in named.items() if k not in inner}
    if "n" in rest:
        default = _read(spec_of(_default(outer["sampler"])))
        rest["sampler"] = _with_n(rest.get("sampler", default), rest.pop("n"))
    return _build("strategies", whole, [], {**rest, slot: _Built(part)}, spec)


def _with_n(sampler: ast.expr, n: ast.expr) -> ast.expr:
    """The spec of a sampler, of n draws."""
    match sampler:
        case ast.Constant(value=str(text)):
            return _with_n(_read(text), n)
        case ast.Call(func=func, args=args, keywords=keywords):
            return ast.Call(func, args, [*keywords, ast.keyword("n", n)])
        case _:
            return ast.Call(sampler, [], [ast.keyword("n", n)])


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _kind_of(hint: Any) -> str | None:
    options = typing.get_args(hint) if _is_union(hint) else (hint,)
    return next((KIND_BY_PROTOCOL[o] for o in options if o in KIND_BY_PROTOCOL), None)


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in {typing.Union, types.UnionType}


def _value(hint: Any, node: Any, where: str) -> Any:
    """The Python value of one parameter, checked against the field's type."""
    raw = _plain(hint, node, where)
    if isinstance(raw, _Built):
        return raw.plugin
    if kind := _kind_of(hint):
        if raw is None and type(None) in typing.get_args(hint):
            return None
        return parse(kind, str(raw))
    try:
        return msgspec.convert(raw, hint, strict=True)
    except msgspec.ValidationError as e:
        raise SpecError(f"{where}: {str(e)[0].lower()}{str(e)[1:]}") from None


@dataclasses.dataclass(frozen=True)
class _Built:
    plugin: Any


def _plain(hint: Any, node: Any, where: str) -> Any:
    kind = _kind_of(hint)
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=word) if word.lower() in _WORDS and word not in typing.get_args(hint):
            return _WORDS[word.lower()]
        case ast.Name() | ast.Call() if kind:
            return _Built(_from_node(kind, node, where))
        case ast.Name(id=word):
            return word
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return _items(hint, items, where)
        case ast.Dict(keys=keys, values=items):
            return {_plain(str, k, where): _plain(Any, v, where) for k, v in zip(keys, items, strict=True)}
        case ast.expr():
            raise SpecError(f"{where}: {ast.unparse(node)!r} is no value; put quotes around text")
        case _:
            return node


def _items(hint: Any, items: list[ast.expr], where: str) -> Any:
    """The values of a list; plug-ins in it may be text, as everywhere else."""
    inner = next((a for a in typing.get_args(hint) if a is not Ellipsis), Any)
    values = [_plain(inner, item, where) for item in items]
    if kind := _kind_of(inner):
        values = [_Built(parse(kind, v)) if isinstance(v, str) else v for v in values]
    if any(isinstance(v, _Built) for v in values):
        return _Built(tuple(v.plugin if isinstance(v, _Built) else v for v in values))
    return values


def _is_required(f: dataclasses.Field[Any]) -> bool:
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING


def _default(f: dataclasses.Field[Any]) -> Any:
    return f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default


def _literal(value: Any) -> str:
    if dataclasses.is_dataclass(value):
        return spec_of(value)
    if isinstance(value, tuple | list):
        items: list[Any] = list(typing.cast("typing.Any", value))
        return f"[{', '.join(map(_literal, items))}]"
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return repr(value)
