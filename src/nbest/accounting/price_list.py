"""Model sizes and prices as the command line says them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from nbest.accounting import gguf, hf_config
from nbest.accounting.costs import Costs, ModelSize, Price
from nbest.errors import InputError


def costs_of(sizes: Sequence[str], prices: Sequence[str]) -> Costs:
    """`8e9`, `judge=model.gguf` (active parameters); `0.15/0.6`, `judge=2/8/0.5` (read/drawn/cached per million).

    A size is a number, or is read from a GGUF file, or from a Hugging Face config.json or its directory;
    `llamacpp` is the embedded model. Without a role it is the policy's, and of every role without its own. Raises `InputError`.
    """
    price_by_role = {role: _numbers(text, "--price", 3) for role, text in map(_split, prices)}
    if short := next((role for role, p in price_by_role.items() if len(p) < 2), None):  # noqa: PLR2004
        raise InputError(f"--price of {short}: write  READ/DRAWN  or  READ/DRAWN/CACHED, such as  0.15/0.6")
    return Costs(
        sizes={role: _size(text) for role, text in map(_split, sizes)},
        prices={
            role: Price(prompt=p[0], completion=p[1], cached=p[2] if len(p) > 2 else None)  # noqa: PLR2004
            for role, p in price_by_role.items()
        },
    )


def _split(given: str) -> tuple[str, str]:
    role, equals, text = given.partition("=")
    return (role.strip(), text) if equals else ("policy", given)


def _size(text: str) -> ModelSize:
    if text.partition(":")[0] == "llamacpp":
        text = text.partition(":")[2] or str(files("nbest") / "data" / "nbest-mini.gguf")
    path = Path(text)
    if path.suffix == ".gguf":
        return gguf.read_size(path)
    if path.suffix == ".json" or path.is_dir():
        return hf_config.read_size(path)
    return ModelSize(parameters=_numbers(text, "--params", 1)[0])


def _numbers(text: str, option: str, most: int) -> list[float]:
    try:
        found = [float(part) for part in text.split("/")]
    except ValueError:
        found = []
    if not 1 <= len(found) <= most or not all(0 <= x < float("inf") for x in found):
        example = "8e9, judge=70e9, model.gguf, model/config.json" if most == 1 else "0.15/0.6, judge=2/8/0.5"
        raise InputError(f"{option} {text}: write it as in  {example}")
    return found
