#!/usr/bin/env bash
# processes.sh OCTET MODEL DATA [FLAGS...]: samples a second of one process on all cores, and of as many processes as there are cores, one
# thread each, with the same batch; each three times, in turn; medians and their ratio.
#   benchmarks/processes.sh build/octet float.octet fashion-mnist --qat --samples 2048 --batch-size 64
set -euo pipefail
octet=$1 model=$2 data=$3
shift 3
count=$(nproc)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
speed() {  # of a run that prints "N samples a second"
  env -u OMP_NUM_THREADS "$octet" --quiet "$@" 2> "$work/told" | sed -n 's/.*(\([0-9]*\) samples a second.*/\1/p' || { cat "$work/told" >&2; exit 1; }
}
for _ in 1 2 3; do
  speed --threads "$count" train "$model" --data "$data" --epochs 1 --no-eval --no-augment -o "$work/one.octet" "$@" >> "$work/one"
  speed --threads 1 train "$model" --data "$data" --epochs 1 --no-eval --no-augment --nproc "$count" -o "$work/all.octet" "$@" >> "$work/all"
done
one=$(sort -n "$work/one" | sed -n 2p) all=$(sort -n "$work/all" | sed -n 2p)
echo "1 process, $count threads: $one samples a second ($(sort -n "$work/one" | tr '\n' ' '))"
echo "$count processes, a thread each: $all samples a second ($(sort -n "$work/all" | tr '\n' ' '))"
awk -v a="$all" -v b="$one" 'BEGIN { printf "ratio: %.2f\n", a / b }'
