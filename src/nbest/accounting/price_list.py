"""Model sizes and prices as the command line says them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final, get_args

from nbest.accounting import gguf, hf_config
from nbest.accounting.costs import Costs, ModelSize, Price
from nbest.errors import InputError
from nbest.suggestions import did_you_mean
from nbest.types import Role

_ROLES: Final[tuple[str, ...]] = get_args(Role)


def costs_of(
    sizes: Sequence[str],
    prices: Sequence[str],
    *,
    engines: Collection[str] = (),
    with_attention: bool = False,
) -> Costs:
    """Model sizes and prices by role or engine, from `8e9`, `judge=model.gguf` and `0.15/0.6`, `judge=2/8/0.5`.

    A size (active parameters) is a number, or is read from a GGUF file, or from a Hugging Face config.json or its
    directory; `llamacpp` is the embedded model. A price is input/output or input/output/cached, per million
    tokens. Without a name it is the policy's, and of every role and engine without its own. A name is a role, one of
    `engines` (names in the configuration), or an engine and model as records have them, with a slash. Raises
    `InputError`, also for a name that does not exist: its tokens would be priced as the policy's. `with_attention` is
    as in `Costs`.
    """
    known = (*_ROLES, *(name for name in engines if name not in _ROLES))
    return Costs(
        sizes={name: _size(text) for name, text in _by_name(sizes, "params", known).items()},
        prices={name: _price(text, name) for name, text in _by_name(prices, "prices", known).items()},
        with_attention=with_attention,
    )


def _by_name(given: Sequence[str], parameter: str, known: Collection[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, value = _split(text)
        if name not in known and "/" not in name:
            raise InputError(
                f"`{parameter}` {text}: no role or engine is called {name!r}{did_you_mean(name, known)}"
            )
        if name in found:
            raise InputError(f"`{parameter}` names two for {name}: {found[name]} and {value}")
        found[name] = value
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
