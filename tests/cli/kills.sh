#!/usr/bin/env bash
# kills.sh OCTET MODEL DATA [FLAGS...]: a run that is killed ten times at random moments (SIGKILL, which no program sees coming) and
# goes on each time ends in the weights of one that was left alone, bit for bit. The moments are places in the run, by the steps that
# it has saved, and a part of a step behind them: on a busy machine they come later, and are the same. KILLS and SEED change how often,
# and when.
set -euo pipefail
octet=$1 model=$2 data=$3
shift 3
kills=${KILLS:-10} RANDOM=${SEED:-1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
train() { "$octet" --threads 1 --quiet train "$model" --data "$data" "$@"; }
# The newest step in a folder of checkpoints; -1: none yet.
saved_in() {
  local newest
  newest=$(ls "$1" 2> /dev/null | sed -n 's/^step-0*\([0-9]\+\)\.ckpt$/\1/p' | tail -n 1)
  echo "${newest:--1}"
}
now() { date +%s%N; }
pause() { sleep "$(printf '%d.%09d' $(($1 / 1000000000)) $(($1 % 1000000000)))"; }

began=$(now)
train "$@" --checkpoints "$work/alone" --save-every 0 -o "$work/alone.octet" > "$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
steps=$(saved_in "$work/alone")
a_step=$(( ($(now) - began) / (steps + 1) ))
echo "left alone: $steps steps saved"
[ "$steps" -gt "$((kills + 1))" ] || { echo "$steps steps have no room for $kills kills" >&2; exit 1; }

done_kills=0 missed=0
# Steps behind which it is killed, each later than the one before; -1: while it starts.
for place in -1 $(shuf -i "0-$((steps - 2))" -n "$((kills - 1))" --random-source=<(yes "$RANDOM") | sort -n); do
  train "$@" --checkpoints "$work/cut" --save-every 0 --resume --tensorboard "$work/events" -o "$work/cut.octet" > "$work/log" 2>&1 &
  run=$!
  while [ "$(saved_in "$work/cut")" -lt "$place" ] && kill -0 "$run" 2> /dev/null; do sleep 0.01; done
  pause $((a_step * (RANDOM % 1000) / 1000))
  if kill -9 "$run" 2> /dev/null; then
    done_kills=$((done_kills + 1))
    echo "kill $done_kills behind step $(saved_in "$work/cut") of $steps"
  else
    missed=$((missed + 1))
  fi
  code=0
  wait "$run" 2> /dev/null || code=$?
  [ "$code" -eq 137 ] || [ "$code" -eq 0 ] || { cat "$work/log" >&2; exit 1; }
done
train "$@" --checkpoints "$work/cut" --save-every 0 --resume --tensorboard "$work/events" -o "$work/cut.octet" > "$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
cmp "$work/alone.octet" "$work/cut.octet"
# Of the last kills one may come when the run is just over.
[ "$missed" -le 1 ] || { echo "$missed kills came behind the end" >&2; exit 1; }
echo "equal to the bit after $done_kills kills"
