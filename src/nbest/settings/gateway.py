"""What a gateway does: the settings of a run, and the tables `[serve]` and `[presets]`."""

from __future__ import annotations

import ipaddress
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta

from nbest import registry
from nbest.accounting.costs import ModelSize, Price
from nbest.errors import InputError
from nbest.settings.run import AnswerSettings, check_spec, check_specs, from_flags, merged
from nbest.settings.toml import TomlFile
from nbest.strategies.pool_size import pool_size
from nbest.suggestions import did_you_mean
from nbest.types import Role

Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0, le=1e9)]
_TOKENS_PER_DRAW = 4096
_DEADLINE_S = 300.0
MAX_NAME = 64
"""Characters of a key's."""
_BREAKS = frozenset({"Cc", "Zl", "Zp"})
"""Unicode's categories of what no name holds; joiners (Cf) are letters' own in Persian and Hindi."""


class Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may ask, and how much; None is no limit."""

    name: Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
    """As logs and metrics call it."""
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    """Of the key, in lower-case hexadecimal digits: `nbest serve --new-key NAME` prints both."""
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    """Read and drawn, over all calls that answers took."""
    concurrency: Count | None = None
    """Requests at once, waiting ones included."""
    max_n: Count | None = None
    """Largest pool, where that is less than everybody's."""

    def __repr__(self) -> str:
        """Without the hash, which gives a weak key away."""
        return f"Key(name={self.name!r})"


class PriceTable(Price, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Price`, which a typing error does not get past."""


class SizeTable(ModelSize, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`ModelSize`, which a typing error does not get past."""


class Serve(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[serve]`."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    """0: any that is free."""
    concurrency: Count = 256
    """Requests at work at once."""
    queue: Annotated[int, Meta(ge=0)] = 1024
    """Requests that wait; further ones are told to come back later (429)."""
    deadline: Seconds | None = None
    """Of requests that name none, in seconds. None: 300, half of what OpenAI's clients wait for, or `max_deadline`."""
    max_deadline: Seconds = 600.0
    """The longest that a request may take, in seconds."""
    max_n: Count = 64
    """The largest pool that a client may ask for."""
    max_tokens: Count | None = None
    """Drawn tokens of one request over all calls. None: 4096 for each of `max_n` draws."""
    max_body_bytes: Count = 16 << 20
    strategies_by_clients: bool = True
    """Whether clients may write specs, or name presets only."""
    ui: bool = True
    """Whether there is a page at /ui."""
    log_prompts: bool = False
    """Whether logs hold prompts, answers and the words of upstream servers."""
    record: str | None = None
    """Directory of runs that sampled outcomes are appended to: prompts and answers, in full."""
    record_rate: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """Share of requests that are recorded."""
    drain_s: Annotated[float, Meta(ge=0)] = 30.0
    """How long requests under way may take after SIGTERM."""
    keys: tuple[Key, ...] = ()
    prices: Mapping[str, PriceTable] = {}
    """By role: what a reply's `cost` is reckoned with."""
    sizes: Mapping[str, SizeTable] = {}
    """By role: what a reply's `flops` are reckoned with."""

    @property
    def default_deadline(self) -> float:
        """`deadline`, or what it is without being said."""
        return self.deadline or min(_DEADLINE_S, self.max_deadline)

    @property
    def token_limit(self) -> int:
        """`max_tokens`, or what it is without being said."""
        return self.max_tokens or self.max_n * _TOKENS_PER_DRAW


class ServeSettings(AnswerSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides what a gateway does."""

    serve: Serve = Serve()
    presets: Mapping[str, str] = {}
    """Names that clients may use for strategies."""


def read(
    file: str | None, flags: Mapping[str, Any], *, insecure: bool = False, listens_at: str | None = None
) -> ServeSettings:
    """The file's settings with every flag that is not None over them; flags are named as settings are.

    `listens_at` is the host of a gateway that runs, whatever the settings say now. Raises `InputError`, for
    what the file says with the line that says it; and, unless `insecure`, where anybody on the network could
    spend what the gateway spends.
    """
    of_serve = {k: v for k, v in flags.items() if k in Serve.__struct_fields__ and v is not None}
    of_answers = {k: v for k, v in flags.items() if k not in Serve.__struct_fields__}
    toml = TomlFile(file) if file else None
    table = toml.table if toml else {}
    if toml:
        if "concurrency" in table:
            raise toml.error(("concurrency",), "concurrency is of runs; the gateway's stands under [serve]")
        said = toml.convert(table, ServeSettings)
        _check(toml, said)
    both = merged(table, of_answers)
    both["serve"] = table.get("serve", {}) | of_serve
    chosen = from_flags(both, ServeSettings)
    if toml:
        check_specs(toml, chosen)
    _check_pool(toml, chosen)
    if chosen.serve.deadline is not None and chosen.serve.deadline > chosen.serve.max_deadline:
        raise InputError(
            f"deadline {chosen.serve.deadline:g} is longer than max_deadline {chosen.serve.max_deadline:g}"
        )
    host = chosen.serve.host if listens_at is None else listens_at
    if not (insecure or chosen.serve.keys or _is_loopback(host)):
        problem = (
            f"host {host} lets other machines in and there are no keys: make one with  nbest serve --new-key"
            " NAME  and put it into --config; or listen on 127.0.0.1; or say --insecure"
        )
        if toml and "host" not in of_serve and listens_at is None:
            raise toml.error(("serve", "host"), problem)
        raise InputError(problem)
    return chosen


def _check_pool(toml: TomlFile | None, chosen: ServeSettings) -> None:
    """Raises `InputError` where every request that chooses nothing would be refused."""
    problem = _too_large(chosen.strategy_spec, chosen.serve.max_n)
    if problem is None:
        return
    if toml is None:
        raise InputError(problem)
    said = (
        k for k in ("strategy", "sample") if getattr(chosen, k) and getattr(chosen, k) == toml.table.get(k)
    )
    raise toml.error(next(((k,) for k in said), ("serve", "max_n")), problem)


def _too_large(spec: str, max_n: int) -> str | None:
    size = pool_size(registry.parse("strategies", spec))
    return f"a pool of {size} is above max_n = {max_n} of [serve]" if size and size > max_n else None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _check(toml: TomlFile, said: ServeSettings) -> None:
    """What types cannot say. Raises `InputError`."""
    serve = said.serve
    if serve.deadline is not None and serve.deadline > serve.max_deadline:
        raise toml.error(
            ("serve", "deadline"), f"deadline {serve.deadline:g} is longer than {serve.max_deadline:g}"
        )
    for i, key in enumerate(serve.keys):
        for other in serve.keys[:i]:
            if key.name == other.name or key.sha256 == other.sha256:
                same = "name" if key.name == other.name else "sha256"
                raise toml.error(
                    ("serve", "keys", i, same), f"two keys have the same {same}; take one of them out"
                )
    for what, by_role in (("prices", serve.prices), ("sizes", serve.sizes)):
        for role in by_role:
            if role not in get_args(Role):
                raise toml.error(
                    ("serve", what, role), f"unknown role {role!r}{did_you_mean(role, get_args(Role))}"
                )
    _check_presets(toml, said)


def _check_presets(toml: TomlFile, said: ServeSettings) -> None:
    for name, spec in said.presets.items():
        if not name or "@" in name or any(unicodedata.category(c) in _BREAKS for c in name):
            raise toml.error(
                ("presets", name), f"{name!r} is no name for a preset: clients write it behind an @"
            )
        check_spec(toml, ("presets", name), "strategies", spec)
        if problem := _too_large(spec, said.serve.max_n):
            raise toml.error(("presets", name), f"{name}: {problem}")
