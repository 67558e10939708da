"""Model sizes and prices as the command line says them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final, get_args

from nbest.accounting import gguf, hf_config
from nbest.accounting.costs import Costs, ModelSize, Price
from nbest.errors import InputError
from nbest.suggestions import did_you_mean
from nbest.types import Role

_ROLES: Final[tuple[str, ...]] = get_args(Role)


def costs_of(sizes: Sequence[str], prices: Sequence[str]) -> Costs:
    """Model sizes and prices by role, from `8e9`, `judge=model.gguf` and `0.15/0.6`, `judge=2/8/0.5`.

    A size (active parameters) is a number, or is read from a GGUF file, or from a Hugging Face config.json or its
    directory; `llamacpp` is the embedded model. A price is input/output or input/output/cached, per million
    tokens. Without a role it is the policy's, and of every role without its own. Raises `InputError`, also for a
    role that does not exist: its tokens would be priced as the policy's.
    """
    return Costs(
        sizes={role: _size(text) for role, text in _by_role(sizes, "params").items()},
        prices={role: _price(text, role) for role, text in _by_role(prices, "prices").items()},
    )


def _by_role(given: Sequence[str], parameter: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        role, value = _split(text)
        if role not in _ROLES:
            raise InputError(f"`{parameter}` {text}: no role is called {role!r}{did_you_mean(role, _ROLES)}")
        if role in found:
            raise InputError(f"`{parameter}` names two for {role}: {found[role]} and {value}")
        found[role] = value
    return found


def _split(given: str) -> tuple[str, str]:
    role, equals, text = given.partition("=")
    if not equals or Path(given).exists():
        return "policy", given
    return role.strip(), text


def _price(text: str, role: str) -> Price:
    numbers = _numbers(text, "prices", 3, example="0.15/0.6, judge=2/8/0.5")
    if len(numbers) == 1:
        raise InputError(f"`prices` of {role}: write INPUT/OUTPUT or INPUT/OUTPUT/CACHED, such as 0.15/0.6")
    prompt, completion, *cached = numbers
    if not cached:
        return Price(prompt=prompt, completion=completion)
    return Price(prompt=prompt, completion=completion, cached=cached[0])


def _size(text: str) -> ModelSize:
    if text.partition(":")[0] == "llamacpp":
        text = text.partition(":")[2] or str(files("nbest") / "data" / "nbest-mini.gguf")
    path = Path(text)
    if path.suffix == ".gguf":
        return gguf.read_size(path)
    if path.suffix == ".json" or path.is_dir():
        return hf_config.read_size(path)
    numbers = _numbers(text, "params", 1, example="8e9, judge=70e9, model.gguf, model/config.json")
    return ModelSize(parameters=numbers[0])


def _numbers(text: str, parameter: str, most: int, *, example: str) -> list[float]:
    try:
        found = [float(part) for part in text.split("/")]
    except ValueError:
        found = []
    if not 1 <= len(found) <= most or not all(0 <= x < float("inf") for x in found):
        raise InputError(f"`{parameter}` {text}: write it as in {example}")
    return found
