"""The playground: one HTML response that loads nothing else, and the headers that hold it to that."""

from __future__ import annotations

import base64
import hashlib
import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

from nbest.text.language import LANGUAGES

SCRIPTS: Final = ("words.js", "events.js", "prose.js", "view.js", "page.js")


@cache
def html() -> str:
    """The page: markup, style, script, and the labels in every language as JSON.

    What models and users write is not in it; the script shows that as text nodes.
    """
    values = {"style": _file("page.css"), "script": _script(), "data": _data()}
    return re.sub(r"\{\{(\w+)\}\}", lambda m: values[m[1]], _file("index.html"))


@cache
def headers() -> dict[str, str]:
    """What to send with it: only this script and this style run, and they talk to this server alone."""
    policy = {
        "default-src": "'none'",
        "script-src": _hash(_script()),
        "style-src": _hash(_file("page.css")),
        "img-src": "data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-cache",
    }


def _file(name: str) -> str:
    return files("nbest.serve.playground").joinpath(name).read_text(encoding="utf-8")


@cache
def _script() -> str:
    return '"use strict";\n' + "\n".join(map(_file, SCRIPTS))


def _data() -> str:
    """JSON that cannot end the element it stands in."""
    data = {"words": tomllib.loads(_file("words.toml")), "languages": LANGUAGES}
    return msgspec.json.encode(data).decode("utf-8").replace("<", r"\u003c")


def _hash(element: str) -> str:
    """A policy's name for an element: its content has a line break before and after it."""
    digest = hashlib.sha256(f"\n{element}\n".encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
