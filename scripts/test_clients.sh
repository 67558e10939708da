#!/usr/bin/env bash
# The clients and harnesses that people have, unchanged, against the gateway: OpenAI's JavaScript client, LangChain,
# LiteLLM, lm-evaluation-harness, inspect_ai. Everything lives in .venv-clients (1.3 GB, made once, and again where
# what is pinned in tests/gateway/clients changes).
#   PYTHON=…        the interpreter that has nbest and its test tools (default: .venv/bin/python)
#   CLIENTS_VENV=…  where the environments of the clients are (default: .venv-clients)
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
uv=${UV:-.venv-uv/bin/uv}
venv=$(realpath -m "${CLIENTS_VENV:-.venv-clients}")
pins=tests/gateway/clients

if ! cat "$pins"/*.txt "$pins"/package-lock.json | cmp --silent - "$venv/ready"; then
  rm -rf "$venv"
  for name in python litellm; do
    "$uv" venv --quiet --python "$python" "$venv/$name"
    "$uv" pip install --quiet --python "$venv/$name/bin/python" -r "$pins/$name.txt"
  done
  mkdir "$venv/js"
  cp "$pins"/package.json "$pins"/package-lock.json "$venv/js"
  PATH="$venv/python/bin:$PATH" npm --prefix "$venv/js" ci --silent --no-audit --no-fund
  cat "$pins"/*.txt "$pins"/package-lock.json >"$venv/ready"
fi

NBEST_CLIENTS="$venv" "$python" -m pytest tests/gateway/test_other_clients.py tests/gateway/test_harnesses.py "$@"
