"""COMET in an environment of its own (`pip install unbabel-comet 'setuptools<81'`): translations in, scores out.

Runs where `nbest` is not installed, for COMET pins old packages. Lines of JSON on standard input and output:

    out  {"ready": true}
    in   {"id": 1, "rows": [{"src": "…", "mt": "…", "ref": "…"}]}
    out  {"id": 1, "scores": [0.83]}        or {"id": 1, "error": "…"}

With `--port` the same over HTTP: POST {"rows": …} gives {"scores": …}. Rows have no "ref" for models that
estimate quality without one. Whatever COMET prints goes to standard error.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, TextIO

Rows = list[dict[str, str]]
Score = Callable[[Rows], list[float]]


def load(model: str, batch: int, gpus: int) -> Score:
    """`model` is a hub name or a path to a checkpoint."""
    comet: Any = importlib.import_module("comet")
    checkpoint = model
    if not os.path.exists(model):  # noqa: PTH110
        checkpoint = comet.download_model(model)
    loaded = comet.load_from_checkpoint(checkpoint)

    def score(rows: Rows) -> list[float]:
        predicted = loaded.predict(rows, batch_size=batch, gpus=gpus, progress_bar=False, num_workers=0)
        return [float(s) for s in predicted["scores"]]

    return score


def reply(score: Score, line: str | bytes) -> dict[str, Any]:
    """The reply to one request; a request that fails gets a reply with `error`, and the worker goes on."""
    id_: Any = None
    try:
        request: dict[str, Any] = json.loads(line)
        id_ = request.get("id")
        rows: Rows = request["rows"]
        return {"id": id_, "scores": score(rows) if rows else []}
    except Exception as e:  # noqa: BLE001 - the caller decides what a fault means
        return {"id": id_, "error": f"{type(e).__name__}: {e}"}


def serve_lines(score: Score, out: TextIO) -> None:
    """Until standard input ends."""
    print(json.dumps({"ready": True}), file=out, flush=True)
    for line in sys.stdin:
        if line.strip():
            print(json.dumps(reply(score, line)), file=out, flush=True)


def serve_http(score: Score, port: int) -> None:
    """On the loopback address, one request at a time."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answer = reply(score, self.rfile.read(int(self.headers["Content-Length"])))
            raw = json.dumps(answer).encode()
            self.send_response(500 if "error" in answer else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Requests are not news."""

    HTTPServer(("127.0.0.1", port), Handler).serve_forever()


def main() -> None:
    """Loads the model, then serves until its input ends."""
    parser = argparse.ArgumentParser(description="COMET scores for nbest")
    parser.add_argument("--model", default="Unbabel/wmt22-comet-da")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("--port", type=int, help="serve HTTP instead of standard input")
    args = parser.parse_args()
    # COMET prints to standard output, which belongs to the answers.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdin.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    score = load(args.model, args.batch, args.gpus)
    serve_http(score, args.port) if args.port else serve_lines(score, out)


if __name__ == "__main__":
    main()
