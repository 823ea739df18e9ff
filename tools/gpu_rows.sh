#!/usr/bin/env bash
# Every row of docs/benchmarks.md that needs a CUDA device, one JSON file each, and the tests marked `gpu`.
# Usage: [MINUTES=30] bash tools/gpu_rows.sh FOLDER [ROW...]     without names all rows
# It ends after so many minutes, whatever happens: a row that is not done by then is stopped, one that has not begun is
# left out, and it says so. What matters most comes first.
set -uo pipefail
out=$(realpath -m "${1:?name a folder for the results}")
cd "$(dirname "$0")/.."
wanted=" ${*:2} "
known=" "
end=$((60 * ${MINUTES:-30}))  # of SECONDS, which count from the start
longest=300                   # seconds of a row: one that hangs leaves time to the others
declare -A job since
mkdir -p "$out" || exit
# A row that was stopped leaves no file, which a reader would take for a result.
trap 'find "$out" -maxdepth 1 -name "*.json" -empty -delete' EXIT
# Each row is a group of processes of its own, so that all that it started end with it.
trap 'kill $(jobs -p) 2> /dev/null; exit 130' INT TERM

wants() {  # NAMES: whether one of them is to run
    local name
    for name in "$@"; do
        [[ $wanted == "  " || $wanted == *" $name "* ]] && return
    done
    return 1
}

begin() {  # NAME, the ending of its file, a command
    local left=$((end - SECONDS))
    known+="$1 "
    wants "$1" || return
    ((left > 0)) || { echo "$1: left out, the time is up"; return; }
    echo "$(date +%T) $1"
    since[$1]=$SECONDS
    timeout -k 10 $((left < longest ? left : longest)) "${@:3}" > "$out/$1.$2" 2> "$out/$1.log" &
    job[$1]=$!
}

finish() {  # NAMES
    local name said
    for name in "$@"; do
        [[ ${job[$name]-} ]] || continue
        wait "${job[$name]}"
        case $? in 0) said="done" ;; 124 | 137) said="stopped, see $name.log" ;; *) said="failed, see $name.log" ;; esac
        echo "$(date +%T) $name $said after $((SECONDS - since[$name])) s"
    done
}

row() {  # NAME, what `tools` is asked for: with nothing beside it, since it measures time
    begin "$1" json python3 -m tools "${@:2}" --json
    finish "$1"
}

epoch=(bench epoch --set device=cuda --set images=12936,3368,15913 --set size=256,128 --set arch=resnet50 --set batch=0)
labels=(bench pseudo-labels --set device=cuda --set dense_limit=0)
kernels=(bench kernels --set device=cuda --set batch=256)

row doctor doctor
# Before anything is timed: what computes something else is not worth its time. Beside the tests, since it measures none
# either, training on drawn data in both precisions. Three seeds, as drawn data are trained, where any other rounding
# soon leads to other clusters and steps, and with given labels and the paper's learning rate.
begin tests txt python3 -m pytest -v -m gpu -n 4 --dist=load
drawn=({run,seeds,given}-{exact,fast})
left=$((end - SECONDS))
if wants "${drawn[@]}" && ((left > 0)); then
    timeout $((left < 120 ? left : 120)) python3 -m tools data synth --data-root "$out/data" &> "$out/data.log" \
        || echo "no data, see data.log"
fi
for precision in exact fast; do
    run=(python3 -m tools reproduce hhcl synthetic --data-root "$out/data" --runs-root "$out/runs" --json)
    run+=(--device cuda --precision $precision)
    short=("${run[@]}" --set epochs=10 --set eval_every=1 --seeds 3 --no-report)
    begin run-$precision json "${run[@]}" --name run-$precision
    begin seeds-$precision json "${short[@]}" --name seeds-$precision
    begin given-$precision json "${short[@]}" --name given-$precision --variant supervised --set lr=0.00035
done
finish tests "${drawn[@]}"

row epoch-fast "${epoch[@]}" --set iterations=0 --set epochs=2 --set precision=fast
row profile "${kernels[@]}"
row epoch-exact "${epoch[@]}" --set iterations=15 --set extracted=2560 --set precision=exact
row labels "${labels[@]}" --set sizes=12936,32621
row evaluation bench evaluation --set device=cuda --set plain_queries=300
row labels-million "${labels[@]}" --set sizes=1000000 --set repeats=1
row encoder bench encoder --set device=cuda --set batch=256 --set memory=false
# The compiler tries sizes of blocks for every kernel: is the whole step shorter than in `profile`? Its search from there
# on, by coordinate descent, compiles one try after the other, and takes longer than a row may.
TORCHINDUCTOR_MAX_AUTOTUNE_POINTWISE=1 row profile-tuned "${kernels[@]}"

for name in "${@:2}"; do
    [[ $known == *" $name "* ]] || echo "there is no row $name; there are:$known"
done
