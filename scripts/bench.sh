#!/usr/bin/env bash
# The measurements of benchmarks/, each side by side with its alternative in one run. About 20 minutes the first
# time: the packages that only benchmarks compare with (mbrs and torch among them) get an environment of their own.
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
export OMP_NUM_THREADS=1

echo "# tokens/s: nbest against the engine library in one loop"
$python benchmarks/throughput.py "$@"
echo "# orchestration per candidate, zero-latency server"
$python benchmarks/orchestration.py
if [ ! -e .venv-bench/ready ]; then
  $python -m venv --clear .venv-bench
  .venv-bench/bin/python -m pip install --quiet -r benchmarks/requirements-chrf.txt
  touch .venv-bench/ready
fi
echo "# chrF of all pairs against fastchrf, mbrs and sacrebleu"
PYTHONPATH=src .venv-bench/bin/python -W ignore benchmarks/chrf.py
echo "# pruned and aggregate MBR against exact"
$python benchmarks/mbr_modes.py --pools 20 --sizes 32 128
