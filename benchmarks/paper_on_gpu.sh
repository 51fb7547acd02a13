#!/usr/bin/env bash
# Train the paper preset on DATASET for 3,000 steps, evaluate, train on to MINUTES, evaluate: paper_on_gpu.sh DATASET OUT MINUTES
# (Used for the figures in docs/results.md and docs/performance.md.)
set -euo pipefail
dataset=$1 out=$2 minutes=$3
python3 -m nerface.apps.cli train "$dataset" -o "$out/run" --preset paper --set training.steps=3000
for latent in mean video:10; do
  python3 -m nerface.apps.cli eval "$out/run" "$dataset" -o "$out/eval_3000_${latent/:/_}" --latent $latent
done
python3 benchmarks/measure_frame.py "$out/run/avatar.safetensors" "$dataset"
python3 -m nerface.apps.cli train "$dataset" -o "$out/run" --preset paper --set training.steps=400000 --max-minutes "$minutes" --resume
python3 -m nerface.apps.cli eval "$out/run" "$dataset" -o "$out/eval_${minutes}min"
