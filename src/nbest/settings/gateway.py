"""Settings of a gateway: those of a run, and the tables `[serve]` and `[presets]`."""

from __future__ import annotations

import ipaddress
import unicodedata
from collections.abc import Collection, Mapping
from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta

from nbest import registry
from nbest.accounting.costs import ModelSize, Price
from nbest.demand import demand_of
from nbest.errors import InputError, NbestError
from nbest.settings.run import AnswerSettings, check_spec, check_specs, from_flags, merged
from nbest.strategies.pool_size import pool_size
from nbest.strategies.requirements import check_requirements
from nbest.suggestions import did_you_mean
from nbest.toml_file import TomlFile
from nbest.types import Role

Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0, le=1e9)]
_TOKENS_PER_DRAW = 4096
_DRAWS_PER_CANDIDATE = 32
_CHARS_PER_BODY_BYTE = 4
_DEADLINE_S = 300.0
_REDIS_SCHEMES = ("redis://", "rediss://", "unix://")
MAX_NAME = 64
"""Characters of a key's name."""
_BREAKS = frozenset({"Cc", "Zl", "Zp"})
"""Unicode categories that no name may hold; joiners (Cf) are parts of words in Persian and Hindi."""


class KeyHash(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key as the configuration knows it."""

    name: Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
    """Its name in logs and metrics."""
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    """Of the key, in lower-case hexadecimal digits; `nbest.serve.keys.new_key` makes both."""

    def __repr__(self) -> str:
        """Without the hash, from which a weak key could be found."""
        return f"{type(self).__name__}(name={self.name!r})"


class Operator(KeyHash, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The key of somebody who runs the gateway: for `/admin` and `/metrics`, and no answers."""


class Key(KeyHash, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A client's key and its limits; None is no limit."""

    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    """Input and output tokens, over all calls that answers took."""
    concurrency: Count | None = None
    """Requests at once, waiting ones included."""
    money_per_day: Annotated[float, Meta(gt=0)] | None = None
    """In the currency of `[serve.prices]`, from midnight to midnight UTC."""
    max_n: Count | None = None
    """The largest pool, where it is less than `max_n` of `[serve]`."""
    max_draws: Count | None = None
    """As in `[serve]`, where it is less. None: 32 for each of `max_n`."""

    # msgspec would make one that shows the hash.
    __repr__ = KeyHash.__repr__


class PriceTable(Price, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Price`, in which an unknown key is an error."""


class SizeTable(ModelSize, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`ModelSize`, in which an unknown key is an error."""


class Serve(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[serve]`."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    """0: any that is free."""
    concurrency: Count = 256
    """Requests at work at once."""
    queue: Annotated[int, Meta(ge=0)] = 1024
    """Requests that wait for a place; further ones get 429."""
    deadline: Seconds | None = None
    """Of requests that name none, in seconds. None: 300, half of what OpenAI's clients wait for, or `max_deadline`."""
    max_deadline: Seconds = 600.0
    """The longest that a request may take, in seconds."""
    max_n: Count = 64
    """The largest pool that a client may ask for."""
    max_tokens: Count | None = None
    """Output tokens of one request, over all calls. None: 4096 for each of `max_n` draws."""
    max_draws: Count | None = None
    """Texts that one request may draw, of all roles together: candidates, steps, judges' replies. None: 32 for
    each of `max_n`."""
    max_input_chars: Count | None = None
    """Characters of the prompts of all draws of one request together. None: 4 for each of `max_body_bytes`."""
    max_body_bytes: Count = 16 << 20
    strategies_by_clients: bool = True
    """Whether clients may write specs, and not only name presets."""
    ui: bool = True
    """Whether there is a page at /ui."""
    log_prompts: bool = False
    """Whether logs hold prompts, answers and the messages of errors."""
    record: str | None = None
    """Directory that outcomes are recorded in: prompts and answers, in full."""
    record_rate: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """Share of requests that are recorded."""
    drain_s: Annotated[float, Meta(ge=0)] = 30.0
    """How long requests under way may take after SIGTERM."""
    keys: tuple[Key, ...] = ()
    operators: tuple[Operator, ...] = ()
    """Who may read `/admin` and, where there are keys, `/metrics`. None: nobody."""
    redis: str | None = None
    """Address of a Redis server that replicas count the limits of keys in, as `redis://HOST:PORT/0`."""
    prices: Mapping[str, PriceTable] = {}
    """By engine or role: prices that a reply's `cost` is computed from."""
    sizes: Mapping[str, SizeTable] = {}
    """By engine or role: sizes that a reply's `flops` are computed from."""

    @property
    def default_deadline(self) -> float:
        """`deadline`, or its default."""
        return self.deadline or min(_DEADLINE_S, self.max_deadline)

    @property
    def input_limit(self) -> int:
        """`max_input_chars`, or its default."""
        return self.max_input_chars or self.max_body_bytes * _CHARS_PER_BODY_BYTE

    def draw_limit(self, key: Key | None = None) -> int:
        """The least `max_draws` of the gateway and of a key, or their defaults."""
        limits = [self.max_draws or self.max_n * _DRAWS_PER_CANDIDATE]
        if key is not None and key.max_draws is not None:
            limits.append(key.max_draws)
        elif key is not None and key.max_n is not None:
            limits.append(key.max_n * _DRAWS_PER_CANDIDATE)
        return min(limits)

    @property
    def token_limit(self) -> int:
        """`max_tokens`, or its default."""
        return self.max_tokens or self.max_n * _TOKENS_PER_DRAW


class ServeSettings(AnswerSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides what a gateway does."""

    serve: Serve = Serve()
    presets: Mapping[str, str] = {}
    """Specs of strategies by the names that clients use for them."""


def read(
    file: str | None, flags: Mapping[str, Any], *, insecure: bool = False, listens_at: str | None = None
) -> ServeSettings:
    """The file's settings with every flag that is not None over them; flags are named as settings are.

    `listens_at` is the host of a gateway that is running, whatever the settings say now. Raises `InputError`,
    with the line of the file where it is the file that is wrong; and, unless `insecure`, where anybody on the
    network could spend what the gateway spends.
    """
    serve_flags = {k: v for k, v in flags.items() if k in Serve.__struct_fields__ and v is not None}
    answer_flags = {k: v for k, v in flags.items() if k not in Serve.__struct_fields__}
    toml = TomlFile(file)
    _check_file(toml)
    both = merged(toml.table, answer_flags)
    both["serve"] = toml.table.get("serve", {}) | serve_flags
    chosen = from_flags(both, ServeSettings)
    check_specs(toml, chosen)
    _check_pool(toml, chosen)
    _check_deadline(chosen.serve)
    _check_strategies(toml, chosen)
    if not (insecure or chosen.serve.keys):
        if listens_at is not None:
            _check_host(listens_at, TomlFile(None))
        elif "host" in serve_flags:
            _check_host(chosen.serve.host, TomlFile(None))
        else:  # only a host that the file sets has a line there
            _check_host(chosen.serve.host, toml)
    return chosen


def _check_file(toml: TomlFile) -> None:
    """What the file says by itself. Raises `InputError`."""
    if "concurrency" in toml.table:
        raise toml.error(("concurrency",), "concurrency is of runs; the gateway's stands under [serve]")
    settings = toml.convert(toml.table, ServeSettings)
    serve = settings.serve
    if serve.deadline is not None and serve.deadline > serve.max_deadline:
        raise toml.error(
            ("serve", "deadline"), f"deadline {serve.deadline:g} is longer than {serve.max_deadline:g}"
        )
    _check_keys(toml, serve)
    _check_redis(toml, serve.redis)
    engines = () if isinstance(settings.engine, str) else settings.engine
    _check_names(toml, "prices", serve.prices, engines)
    _check_names(toml, "sizes", serve.sizes, engines)
    _check_presets(toml, settings)


def _check_keys(toml: TomlFile, serve: Serve) -> None:
    """Raises `InputError` for names and hashes that occur twice, and for budgets in money without prices."""
    known: set[str] = set()
    for table, holders in (("keys", serve.keys), ("operators", serve.operators)):
        names: set[str] = set()
        for i, holder in enumerate(holders):
            if holder.name in names:
                raise toml.error(("serve", table, i, "name"), _twice("name"))
            if holder.sha256 in known:
                raise toml.error(("serve", table, i, "sha256"), _twice("sha256"))
            names.add(holder.name)
            known.add(holder.sha256)

    for i, key in enumerate(serve.keys):
        if key.money_per_day is not None and "policy" not in serve.prices:
            message = "money_per_day needs prices: add the table [serve.prices.policy]"
            raise toml.error(("serve", "keys", i, "money_per_day"), message)


def _twice(field: str) -> str:
    return f"two keys have the same {field}; take one of them out"


def _check_redis(toml: TomlFile, url: str | None) -> None:
    """Raises `InputError` for an address that is none of a Redis server. The error does not repeat it: it may hold a password."""
    if url is None or url.startswith(_REDIS_SCHEMES):
        return
    raise toml.error(("serve", "redis"), f"redis must begin with {' or '.join(_REDIS_SCHEMES)}")


def _check_names(toml: TomlFile, table: str, by_name: Mapping[str, object], engines: Collection[str]) -> None:
    """Raises `InputError` for what is no role, no engine, and no engine and model with a slash."""
    known = (*get_args(Role), *engines)
    for name in by_name:
        if name not in known and "/" not in name:
            problem = f"unknown role or engine {name!r}{did_you_mean(name, known)}"
            raise toml.error(("serve", table, name), problem)


def _check_presets(toml: TomlFile, settings: ServeSettings) -> None:
    for name, spec in settings.presets.items():
        has_breaks = any(unicodedata.category(c) in _BREAKS for c in name)
        if not name or "@" in name or has_breaks:
            message = f"{name!r} is no name for a preset: clients write it behind an @"
            raise toml.error(("presets", name), message)
        check_spec(toml, ("presets", name), "strategies", spec)
        problem = _too_large(spec, settings.serve)
        if problem:
            raise toml.error(("presets", name), f"{name}: {problem}")


def _check_pool(toml: TomlFile, chosen: ServeSettings) -> None:
    """Raises `InputError` where a request that chooses nothing would get an error."""
    problem = _too_large(chosen.strategy_spec, chosen.serve)
    if problem is None:
        return
    keys = _strategy_keys(toml, chosen)
    sets_pool = keys in {("strategy",), ("sample",)}
    if sets_pool:
        raise toml.error(keys, problem)
    raise toml.error(("serve", "max_n"), problem)


def _strategy_keys(toml: TomlFile, chosen: ServeSettings) -> tuple[str, ...]:
    """Where the file sets the strategy, or a part of it; none where it does not."""
    for key in ("strategy", "sample", "select"):
        value = getattr(chosen, key)
        if value and value == toml.table.get(key):
            return (key,)
    return ()


def _too_large(spec: str, serve: Serve) -> str | None:
    strategy = registry.parse("strategies", spec)
    size = pool_size(strategy)
    if size is not None and size > serve.max_n:
        return f"a pool of {size} is above max_n = {serve.max_n} of [serve]"

    try:
        num_draws = demand_of(strategy).draws
    except NbestError as e:  # it reads a file that is missing or malformed
        return str(e)
    limit = serve.draw_limit()
    if num_draws > limit:
        return f"it may draw {num_draws} texts, which is above max_draws = {limit} of [serve]"
    return None


def _check_strategies(toml: TomlFile, chosen: ServeSettings) -> None:
    """Raises `InputError` for a strategy that lacks an engine, a file or a key."""
    specs = {_strategy_keys(toml, chosen): chosen.strategy_spec}
    specs |= {("presets", name): spec for name, spec in chosen.presets.items()}
    for keys, spec in specs.items():
        try:
            check_requirements(registry.parse("strategies", spec), chosen.engine_specs)
        except NbestError as e:
            raise toml.error(keys, ": ".join([*keys[-1:], str(e)])) from None


def _check_deadline(serve: Serve) -> None:
    if serve.deadline is not None and serve.deadline > serve.max_deadline:
        raise InputError(f"deadline {serve.deadline:g} is longer than max_deadline {serve.max_deadline:g}")


def _check_host(host: str, toml: TomlFile) -> None:
    """Raises `InputError` for an address that other machines reach, with its line where the file sets it."""
    if _is_loopback(host):
        return
    problem = (
        f"`host` {host} lets other machines in and there are no keys: add tables [[serve.keys]], which"
        " `new_key` makes; or listen on 127.0.0.1; or set `insecure`"
    )
    raise toml.error(("serve", "host"), problem)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
