"""Keys of clients; the configuration holds their hashes alone."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from nbest.errors import InputError
from nbest.serve.api_errors import ApiError
from nbest.settings.gateway import MAX_NAME, Key

ANYONE: Final = Key(name="anyone", sha256="0" * 64)
"""The key of every request to a gateway without keys."""

_SCHEME = "bearer "
_OTHER_HEADERS = ("api-key", "x-api-key")


def new_key(name: str) -> tuple[str, str]:
    """A new key, to be shown once, and the TOML table that admits it. The key has 256 random bits.

    Raises `InputError` for a name that the configuration would not take.
    """
    if not 1 <= len(name) <= MAX_NAME:
        raise InputError(f"a key's name has 1 to {MAX_NAME} characters, got {len(name)}: {name!r}")
    key = f"nbest-{secrets.token_urlsafe(32)}"
    quoted = json.dumps(name, ensure_ascii=False)  # whose escapes are TOML's too
    return key, f'[[serve.keys]]\nname = {quoted}\nsha256 = "{hash_of(key)}"\n'


def hash_of(key: str) -> str:
    """SHA-256, in hexadecimal digits: a key of 256 random bits needs no slower hash."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class Keys:
    """The keys of a configuration. No key itself is kept, nor repeated in an error."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = tuple(keys)

    def who(self, headers: Mapping[str, str]) -> Key:
        """The key of a request: `Authorization: Bearer`, `api-key` or `x-api-key`.

        `headers` are looked up by names in lower case. Every key is compared, in constant time, whichever
        fits. Raises `ApiError` (401).
        """
        if not self._keys:
            return ANYONE
        given = _given(headers)
        if given is None:
            raise _unauthorized("no API key was sent: send the header  Authorization: Bearer KEY")
        digest = hash_of(given)
        found: Key | None = None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, digest):
                found = key
        if found is None:
            raise _unauthorized(
                "this gateway does not know the API key that was sent: ask whoever runs it for one"
            )
        return found


def _given(headers: Mapping[str, str]) -> str | None:
    bearer = headers.get("authorization", "")
    if bearer[: len(_SCHEME)].lower() == _SCHEME:
        return bearer[len(_SCHEME) :].strip() or None
    others = (headers.get(name, "").strip() for name in _OTHER_HEADERS)
    return next(filter(None, others), None)


def _unauthorized(message: str) -> ApiError:
    return ApiError(401, message, code="invalid_api_key")
