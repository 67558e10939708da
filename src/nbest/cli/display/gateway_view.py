"""What `nbest top` shows of a gateway."""

from __future__ import annotations

import os
import time
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import msgspec
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from nbest.cli.display.console import out, print_json
from nbest.errors import InputError

KEY_VARIABLE: Final = "NBEST_OPERATOR_KEY"
_PATH = "/admin/activity"
_TIMEOUT_S = 10.0
_MAX_ROWS = 15


def watch(url: str, *, every_s: float, is_once: bool, as_json: bool) -> None:
    """Shows the gateway at `url` until Ctrl-C, or once. Raises `InputError` where it does not answer."""
    address = admin_address(url)
    if is_once or as_json:
        _print(read(address), as_json=as_json)
        while not is_once:
            time.sleep(every_s)
            _print(read(address), as_json=as_json)
        return

    try:
        with Live(view(read(address)), console=out, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(every_s)
                live.update(view(read(address)), refresh=True)
    except KeyboardInterrupt:
        return


def admin_address(url: str) -> str:
    """The address that is read. Raises `InputError` for one that is no gateway's."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise InputError(f"{url} is no address of a gateway: write one such as http://localhost:8080")
    return url.rstrip("/").removesuffix("/v1") + _PATH


def read(address: str) -> dict[str, Any]:
    """What the gateway says. Raises `InputError`."""
    headers: dict[str, str] = {}
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise InputError(f"{KEY_VARIABLE} holds characters that no key has")
    if key:
        headers["Authorization"] = f"Bearer {key}"
    request = Request(address, headers=headers)  # noqa: S310 (its scheme was checked)
    try:
        with urlopen(request, timeout=_TIMEOUT_S) as reply:  # noqa: S310
            return msgspec.json.decode(reply.read())
    except HTTPError as e:
        raise InputError(f"{address}: {_message(e.read())}") from None
    except (URLError, TimeoutError) as e:
        raise InputError(f"no gateway answers at {address}: {getattr(e, 'reason', e)}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InputError(f"{address} is no gateway's: it does not answer with JSON") from None


def view(state: dict[str, Any]) -> RenderableType:
    """Tables of what the gateway says."""
    budget_by_name = {row["name"]: row for row in state["money_today"]}
    totals = [
        _totals_table(kind, state[f"by_{kind}"], budget_by_name) for kind in ("key", "strategy", "language")
    ]
    return Group(_headline(state), _live_table(state), *totals)


def _print(state: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(state)
    else:
        out.print(view(state))


def _headline(state: dict[str, Any]) -> Text:
    words = [
        "ready" if state["ready"] else f"not ready: {state['why']}",
        f"up {_duration(state['uptime_s'])}",
        f"{state['at_work']} at work, {state['waiting']} waiting",
    ]
    if state["redis"] is not None:
        words.append(
            "limits shared" if state["redis"] else "Redis does not answer: limits are this replica's"
        )
    broken = [name for name, value in state["upstreams"].items() if value]
    if broken:
        words.append(f"given up on: {', '.join(broken)}")
    return Text(" · ".join(words), style="bold")


def _live_table(state: dict[str, Any]) -> Table:
    table = Table(title=f"{state['num_live']} requests under way", title_justify="left", expand=True)
    for name in ("key", "model", "strategy", "seconds", "tokens", "id"):
        table.add_column(name, justify="right" if name in {"seconds", "tokens"} else "left", no_wrap=True)
    for row in state["live"][:_MAX_ROWS]:
        cells = (row["key"], row["model"], row["strategy"], f"{row['seconds']:.1f}", row["tokens"], row["id"])
        table.add_row(*(_cell(value) for value in cells))
    return table


def _totals_table(kind: str, rows: list[dict[str, Any]], budget_by_name: dict[str, Any]) -> Table:
    table = Table(title=f"since the start, by {kind}", title_justify="left", expand=True)
    table.add_column(kind, no_wrap=True)
    names = ["requests", "errors", "input", "output", "calls", "cost"]
    if kind == "key":
        names += ["today", "budget"]
    for name in names:
        table.add_column(name, justify="right")
    for row in rows[:_MAX_ROWS]:
        cells = [_cell(row["name"])]
        cells += [_cell(row[name]) for name in ("requests", "errors", "input", "output", "calls")]
        cells.append(_cell(row["cost"]))
        if kind == "key":
            money = budget_by_name.get(row["name"], {})
            cells += [_cell(money.get("spent")), _cell(money.get("budget"))]
        table.add_row(*cells)
    return table


def _cell(value: object) -> Text:
    """A value as text: names are no markup."""
    if value is None:
        return Text("–")
    if isinstance(value, float):
        return Text(f"{value:.4g}")
    return Text(str(value))


def _duration(seconds: float) -> str:
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{int(seconds)} s"


def _message(body: bytes) -> str:
    """The message of an error in OpenAI's shape."""
    try:
        return str(msgspec.json.decode(body)["error"]["message"])
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        return "it refuses, and does not say why: it may be no gateway, or an older one"
