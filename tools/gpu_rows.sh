#!/usr/bin/env bash
# Every row of docs/benchmarks.md that needs a CUDA device, one JSON file each, and the tests marked `gpu`.
# Usage: bash tools/gpu_rows.sh FOLDER
set -uo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:?name a folder for the results}")
mkdir -p "$out"

row() {  # NAME, then the command's arguments; a row that fails does not keep the others from running
    echo "$1"
    python -m tools "${@:2}" --json > "$out/$1.json" 2> "$out/$1.log" || echo "$1 failed: $out/$1.log"
}

row doctor doctor
python -m pytest -q -m gpu -n 0 > "$out/tests.txt" 2>&1 || echo "tests failed: $out/tests.txt"
row encoder bench encoder --set device=cuda --set batch=256
row epoch bench epoch --set device=cuda --set images=12936,3368,15913 --set size=256,128 --set arch=resnet50 \
    --set batch=0 --set iterations=0 --set precision=exact,fast
row labels bench pseudo-labels --set device=cuda --set sizes=12936,32621 --set dense_limit=0
row labels-million bench pseudo-labels --set device=cuda --set sizes=1000000 --set dense_limit=0 --set repeats=1
for precision in exact fast; do
    drawn=(reproduce hhcl synthetic --data-root "$out/data" --runs-root "$out/runs" --device cuda --precision $precision)
    row "run-$precision" "${drawn[@]}"
    # Ten epochs, three seeds: with labels of its own, where rounding soon leads to other clusters, and with given ones.
    row "seeds-$precision" "${drawn[@]}" --set epochs=10 --set eval_every=1 --seeds 3 --name "seeds-$precision"
    row "given-$precision" "${drawn[@]}" --set epochs=10 --set eval_every=1 --seeds 3 --variant supervised --name "given-$precision"
done
