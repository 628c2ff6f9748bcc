#!/usr/bin/env bash
# kills.sh OCTET MODEL DATA [FLAGS...]: a run that is killed ten times at random moments (SIGKILL, which no program sees coming) and
# goes on each time ends in the weights of one that was left alone, bit for bit. KILLS and SEED change how often, and when.
set -euo pipefail
octet=$1 model=$2 data=$3
shift 3
kills=${KILLS:-10} RANDOM=${SEED:-1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
train() { "$octet" --threads 1 --quiet train "$model" --data "$data" "$@"; }
now() { date +%s%N; }

began=$(now)
train "$@" --checkpoints "$work/alone" --save-every 0 -o "$work/alone.octet" > "$work/log"
whole=$(( ($(now) - began) / 1000000 ))
echo "left alone: $whole ms, steps saved: $(basename "$(ls "$work"/alone/step-* | tail -n 1)")"

done_kills=0
while [ "$done_kills" -lt "$kills" ]; do
  train "$@" --checkpoints "$work/cut" --save-every 0 --resume --tensorboard "$work/events" -o "$work/cut.octet" > "$work/log" 2>&1 &
  run=$!
  pause=$(( whole * (200 + RANDOM % 800) / 1000 / 6 ))  # ten of them, on average, are a whole run: the start of each counts too
  sleep "$(printf '%d.%03d' $((pause / 1000)) $((pause % 1000)))"
  if ! kill -9 "$run" 2> /dev/null; then
    wait "$run" || { cat "$work/log" >&2; exit 1; }
    echo "over after $done_kills kills; a longer run leaves room for all" >&2
    exit 1
  fi
  wait "$run" 2> /dev/null || true
  done_kills=$((done_kills + 1))
  echo "kill $done_kills after $pause ms: $(ls "$work/cut" 2> /dev/null | grep -c step-) checkpoints, the newest $(ls "$work/cut" 2> /dev/null | grep step- | tail -n 1)"
done
train "$@" --checkpoints "$work/cut" --save-every 0 --resume --tensorboard "$work/events" -o "$work/cut.octet" > "$work/log"
cmp "$work/alone.octet" "$work/cut.octet"
echo "equal to the bit after $done_kills kills"
