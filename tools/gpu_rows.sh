#!/usr/bin/env bash
# Every row of docs/benchmarks.md that needs a CUDA device, one JSON file each, and the tests marked `gpu`.
# Usage: bash tools/gpu_rows.sh FOLDER [ROW...]     without names all rows, which takes about half an hour
set -uo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:?name a folder for the results}")
wanted=" ${*:2} "
known=" "
mkdir -p "$out"

wants() {
    known+="$1 "
    [[ $wanted == "  " || $wanted == *" $1 "* ]]
}

row() {  # NAME, then the command's arguments; a row that fails does not keep the others from running
    wants "$1" || return
    echo "$(date +%T) $1"
    python -m tools "${@:2}" --json > "$out/$1.json" 2> "$out/$1.log" || echo "$1 failed: $out/$1.log"
}

epoch=(bench epoch --set device=cuda --set images=12936,3368,15913 --set size=256,128 --set arch=resnet50 --set batch=0)
labels=(bench pseudo-labels --set device=cuda --set dense_limit=0)
kernels=(bench kernels --set device=cuda --set batch=256)
drawn=(reproduce hhcl synthetic --data-root "$out/data" --runs-root "$out/runs" --device cuda)
short=("${drawn[@]}" --set epochs=10 --set eval_every=1 --seeds 3)

row doctor doctor
row epoch-fast "${epoch[@]}" --set iterations=0 --set epochs=2 --set precision=fast
row labels-million "${labels[@]}" --set sizes=1000000 --set repeats=1
row labels "${labels[@]}" --set sizes=12936,32621
row evaluation bench evaluation --set device=cuda --set plain_queries=300
# Three seeds with given labels and the paper's learning rate, and as drawn data are trained, where any other rounding
# soon leads to other clusters and steps.
for precision in exact fast; do
    row "given-$precision" "${short[@]}" --precision $precision --variant supervised --set lr=0.00035 --name "given-$precision"
    row "seeds-$precision" "${short[@]}" --precision $precision --name "seeds-$precision"
    row "run-$precision" "${drawn[@]}" --precision $precision
done
row encoder bench encoder --set device=cuda --set batch=256
row profile "${kernels[@]}"
# The compiler tries sizes of blocks for every kernel, which takes minutes: is the whole step shorter than in the row above?
TORCHINDUCTOR_MAX_AUTOTUNE_POINTWISE=1 TORCHINDUCTOR_COORDINATE_DESCENT_TUNING=1 row profile-tuned "${kernels[@]}"
row epoch-exact "${epoch[@]}" --set iterations=15 --set extracted=2560 --set precision=exact
if wants tests; then
    python -m pytest -q -m gpu -n 0 > "$out/tests.txt" 2>&1 || echo "tests failed: $out/tests.txt"
fi
for name in "${@:2}"; do
    [[ $known == *" $name "* ]] || echo "there is no row $name; there are:$known"
done
