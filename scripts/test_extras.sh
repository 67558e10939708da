#!/usr/bin/env bash
# What needs an extra: Hugging Face classifiers and process reward models, ONNX and sentence-transformers embeddings,
# OpenTelemetry. Everything lives in .venv-extras (1.7 GB, made once, and again where pyproject.toml changes).
#   PYTHON=…        the interpreter that the environment is made with (default: .venv/bin/python)
#   EXTRAS_VENV=…   where the environment is (default: .venv-extras)
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
venv=${EXTRAS_VENV:-.venv-extras}

if ! cmp --silent pyproject.toml "$venv/ready"; then
  "$python" -m venv --clear "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 -e '.[embeddings,hf,otel,sbert]' \
    hypothesis onnx pytest pytest-asyncio sacrebleu
  cp pyproject.toml "$venv/ready"
fi

"$venv/bin/python" -m pytest tests/unit/accounting/test_model_size.py tests/unit/scoring tests/unit/utilities \
  tests/unit/serve/observability/test_tracing.py "$@"
