"""Headless Chromium over its DevTools protocol: as much as the tests of the report need."""

import asyncio
import base64
import contextlib
import os
import shutil
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--remote-debugging-port=0",
    "--hide-scrollbars",
)

TOO_FAINT = """(() => {
  const parts = (colour) => {
    const scale = colour.startsWith("color(") ? 255 : 1; // of a color-mix()
    return colour.match(/[\\d.]+/g).map((part, i) => (i < 3 ? part * scale : Number(part)));
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((v) => (v <= 10.31 ? v / 3294.6 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const around = (node) => {
    for (; node; node = node.parentElement) {
      const [r, g, b, alpha = 1] = parts(getComputedStyle(node).backgroundColor);
      if (alpha) return [r, g, b];
    }
  };
  const contrast = (colour, opacity, back) => {
    const seen = parts(colour).slice(0, 3).map((v, i) => v * opacity + back[i] * (1 - opacity));
    const [dark, bright] = [light(seen), light(back)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
  const low = [];
  const check = (name, style, node, least, colour = style.color) => {
    const ratio = contrast(colour, Number(style.opacity), around(node));
    if (!(ratio >= least)) low.push(`${name} ${ratio.toFixed(2)}`);
  };
  for (const node of document.querySelectorAll("body *")) {
    const hasText = [...node.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim());
    if (!node.checkVisibility() || node.matches("script, option, optgroup, :disabled, :disabled *")) continue;
    if (hasText) check(`${node.localName}.${node.className}`, getComputedStyle(node), node, 4.5);
    if (!node.matches("input, select, textarea")) continue;
    check(`${node.id} border`, getComputedStyle(node), node.parentElement, 3, getComputedStyle(node).borderTopColor);
    if (node.placeholder) check(`${node.id} placeholder`, getComputedStyle(node, "::placeholder"), node, 4.5);
  }
  return low;
})()"""
"""What falls short of WCAG 2.2 AA: 4.5 for texts (1.4.3), 3 for the outlines of fields (1.4.11)."""


def executable():
    """The browser's path; skips the test, saying why, where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = os.environ.get("NBEST_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    return found


class Tab:
    """One page. `errors` holds every exception and error message of its scripts."""

    def __init__(self, socket):
        self._socket = socket
        self._number = 0
        self._replies = {}
        self.errors = []
        self.requests = []
        self._reader = asyncio.create_task(self._read())

    async def _read(self):
        async for message in self._socket:
            event = message.json()
            if "id" in event:
                self._replies.pop(event["id"]).set_result(event)
            elif event["method"] == "Runtime.exceptionThrown":
                self.errors.append(str(event["params"]["exceptionDetails"]))
            elif event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                self.errors.append(event["params"]["entry"]["text"])
            elif event["method"] == "Network.requestWillBeSent":
                self.requests.append(event["params"]["request"]["url"])

    async def call(self, method, **params):
        self._number += 1
        reply = self._replies[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        answer = await asyncio.wait_for(reply, 30)
        assert "error" not in answer, answer
        return answer["result"]

    async def js(self, expression):
        """Value of an expression, awaited."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, expression, timeout_s=20):
        """Waits until an expression is true."""
        async with asyncio.timeout(timeout_s):
            while not await self.js(expression):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def open(self, path, fragment=""):
        """Loads a file anew and waits until its script says that it is ready."""
        await self.call("Page.navigate", url="about:blank")
        await self.call("Page.navigate", url=f"{Path(path).resolve().as_uri()}{fragment}")  # noqa: ASYNC240
        await self.until("document.documentElement?.dataset.ready === 'true'")

    async def look(self, *, width=1200, height=900, scheme="light"):
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        await self.call(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
        )

    async def press(self, key):
        for kind in ("keyDown", "keyUp"):
            text = {"text": key} if kind == "keyDown" and len(key) == 1 else {}
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, **text)

    async def screenshot(self, path):
        taken = await self.call("Page.captureScreenshot", format="png")
        Path(path).write_bytes(base64.b64decode(taken["data"]))  # noqa: ASYNC240


@asynccontextmanager
async def tab(profile):
    """A browser with one empty page; `profile` is an empty directory of its own."""
    process = await asyncio.create_subprocess_exec(
        executable(),
        *FLAGS,
        f"--user-data-dir={profile}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        port_file = Path(profile) / "DevToolsActivePort"
        async with asyncio.timeout(60):
            while not port_file.exists() or not port_file.read_text():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        port = port_file.read_text().split()[0]
        async with aiohttp.ClientSession() as http:
            async with http.get(f"http://127.0.0.1:{port}/json/list") as reply:
                pages = [p for p in await reply.json() if p["type"] == "page"]
            async with http.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Tab(socket)
                for domain in ("Page", "Runtime", "Log", "Network"):
                    await page.call(f"{domain}.enable")
                yield page
                page._reader.cancel()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
