#!/usr/bin/env bash
# run_commands.sh BUILD SOURCE DOCUMENT...: runs the ```sh blocks of each document in order, in one shell and an empty
# folder of its own, in which build/ and tests/ are those given. A failing command is named with document and line. A
# block straight behind the line `<!-- not run: reason -->` is left out, and counted.
set -euo pipefail
build=$(realpath "$1")
source=$(realpath "$2")
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

# The script has the document's own line numbers: all that is no command becomes an empty line.
extract='
  FNR == 1 { print prologue; if (/^ *```/) { print "line 1 is a fence" > "/dev/stderr"; exit 1 } next }
  !fenced && /^ *```/ {
    fenced = 1
    running = /^ *```sh *$/ && !skip
    if (/^ *```sh *$/) { if (skip) skipped++; else blocks++ }
    skip = 0
    print ""
    next
  }
  fenced && /^ *``` *$/ { fenced = running = 0; print ""; next }
  { skip = !fenced && /^ *<!-- not run: .+ --> *$/; if (running) print; else print "" }
  END {
    if (fenced) { print "a fence is not closed" > "/dev/stderr"; exit 1 }
    print blocks + 0, skipped + 0 > counts
  }'

for document in "$@"; do
  name=${document#"$source"/}
  folder=$work/$(basename "$document" .md)
  mkdir "$folder" "$folder/here"
  ln -s "$build" "$folder/here/build"
  ln -s "$source/tests" "$folder/here/tests"
  prologue="set -eEuo pipefail; trap 'echo \"$name:\$LINENO: failed: \$BASH_COMMAND\" >&2' ERR"
  awk -v prologue="$prologue" -v counts="$folder/counts" "$extract" "$document" > "$folder/commands"
  read -r blocks skipped < "$folder/counts"
  if (cd "$folder/here" && bash "$folder/commands" > "$folder/output" 2>&1); then
    echo "$name: $blocks blocks run, $skipped marked as not run"
  else
    tail -n 40 "$folder/output"
    status=1
  fi
done
exit $status
