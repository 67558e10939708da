"""Language tags with script or region (`pt-BR`, `zh_TW`), and what stands in for them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

_SCRIPT_BY_REGION: Final[Mapping[str, Mapping[str, str]]] = {
    "zh": {"cn": "hans", "sg": "hans", "my": "hans", "tw": "hant", "hk": "hant", "mo": "hant"},
    "sr": {"rs": "cyrl", "ba": "cyrl", "me": "latn"},
    "uz": {"uz": "latn", "af": "arab"},
    "pa": {"in": "guru", "pk": "arab"},
}
"""The script that a region implies, of languages that are written in several (CLDR, likely subtags)."""
_SCRIPT_LENGTH: Final = 4


@lru_cache(maxsize=4096)
def fallbacks(tag: str | None) -> tuple[str, ...]:
    """The tag and what it falls back on, most specific first, in lower case (RFC 4647, lookup).

    `zh_TW` gives `zh-tw`, `zh-hant`, `zh`: a region stands for the script that is usual there. None and the
    empty string give nothing.
    """
    subtags = [part.lower() for part in (tag or "").replace("_", "-").split("-") if part]
    chain = ["-".join(subtags[:length]) for length in range(len(subtags), 0, -1)]
    script = _implied_script(subtags)
    if script:
        chain.insert(-1, f"{subtags[0]}-{script}")
    return tuple(dict.fromkeys(chain))


def closest_tag(tag: str | None, known: Iterable[str]) -> str | None:
    """The one of `known` that fits `tag` best, as it is written there; None where none does.

    `pt-BR` is served by `pt_BR`, else by `pt`; `pt` is not served by `pt-BR`.
    """
    written_by_tag: dict[str, str] = {}
    for written in known:
        for spelling in fallbacks(written)[:1]:
            written_by_tag.setdefault(spelling, written)
    return next((written_by_tag[t] for t in fallbacks(tag) if t in written_by_tag), None)


def _implied_script(subtags: list[str]) -> str | None:
    if not subtags or any(len(part) == _SCRIPT_LENGTH for part in subtags[1:]):
        return None
    scripts = _SCRIPT_BY_REGION.get(subtags[0], {})
    return next((scripts[part] for part in subtags[1:] if part in scripts), None)
