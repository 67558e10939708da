"""Keys of clients; the configuration holds their hashes alone."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeVar

from nbest.errors import InputError
from nbest.serve.api_errors import ApiError
from nbest.settings.gateway import MAX_NAME, Key, KeyHash, Operator

K = TypeVar("K", bound=KeyHash)

ANYONE: Final = Key(name="anyone", sha256="0" * 64)
"""The key of every request to a gateway without keys."""

_SCHEME = "bearer "
_OTHER_HEADERS = ("api-key", "x-api-key")


def new_key(name: str, *, table: Literal["keys", "operators"] = "keys") -> tuple[str, str]:
    """A new key, to be shown once, and the TOML table that admits it. The key has 256 random bits.

    Raises `InputError` for a name that the configuration would not take.
    """
    if not 1 <= len(name) <= MAX_NAME:
        raise InputError(f"a key's name has 1 to {MAX_NAME} characters, got {len(name)}: {name!r}")
    key = f"nbest-{secrets.token_urlsafe(32)}"
    quoted = json.dumps(name, ensure_ascii=False)  # whose escapes are TOML's too
    return key, f'[[serve.{table}]]\nname = {quoted}\nsha256 = "{hash_of(key)}"\n'


def hash_of(key: str) -> str:
    """SHA-256, in hexadecimal digits: a key of 256 random bits needs no slower hash."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class Keys:
    """The keys of clients and operators of a configuration. No key itself is kept, nor repeated in an error."""

    def __init__(self, keys: Sequence[Key], operators: Sequence[Operator] = ()) -> None:
        self._keys = tuple(keys)
        self._operators = tuple(operators)

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
        found = _found(self._keys, given)
        if found is None:
            raise _unauthorized(
                "this gateway does not know the API key that was sent: ask whoever runs it for one"
            )
        return found

    def check_operator(self, headers: Mapping[str, str]) -> None:
        """Raises `ApiError` for a request without an operator's key: 401, or 403 for a client's and where there is none."""
        if not self._operators:
            raise ApiError(403, "this needs an operator's key, and this gateway has no operators")
        given = _given(headers)
        if given is None:
            raise _unauthorized("no operator's key was sent: send the header  Authorization: Bearer KEY")
        if _found(self._operators, given) is not None:
            return
        if _found(self._keys, given) is not None:
            raise ApiError(403, "this needs an operator's key, and a client's was sent")
        raise _unauthorized("this gateway does not know the operator's key that was sent")

    def check_metrics(self, headers: Mapping[str, str]) -> None:
        """As `check_operator`; without keys and operators, anybody who may ask may see metrics, too."""
        if self._keys or self._operators:
            self.check_operator(headers)


def _found(holders: Sequence[K], given: str) -> K | None:
    """Whose key was given. All are compared."""
    digest = hash_of(given)
    found: K | None = None
    for holder in holders:
        if hmac.compare_digest(holder.sha256, digest):
            found = holder
    return found


def _given(headers: Mapping[str, str]) -> str | None:
    bearer = headers.get("authorization", "")
    if bearer[: len(_SCHEME)].lower() == _SCHEME:
        return bearer[len(_SCHEME) :].strip() or None
    others = (headers.get(name, "").strip() for name in _OTHER_HEADERS)
    return next(filter(None, others), None)


def _unauthorized(message: str) -> ApiError:
    return ApiError(401, message, code="invalid_api_key")
