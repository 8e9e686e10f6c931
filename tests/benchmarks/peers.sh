#!/bin/sh
# Makes one virtual environment for each line of peers.txt, because their dependencies exclude each other.
#
#   peers.sh DIR [NAME...]      PYTHON=python3.12 chooses the interpreter
set -eu

test $# -ge 1 || { echo "usage: peers.sh DIR [NAME...]" >&2; exit 2; }
dir=$1
shift
list=$(dirname -- "$0")/peers.txt

grep -v '^#' "$list" | while read -r packages; do
    name=${packages%%==*}
    case " ${*:-$name} " in *" $name "*) ;; *) continue ;; esac
    echo "$name: $packages"
    "${PYTHON:-python3}" -m venv "$dir/$name"
    # shellcheck disable=SC2086  # a line may name several packages
    "$dir/$name/bin/python" -m pip install --quiet $packages </dev/null ||
        echo "$name: not installed, the benchmarks leave it out" >&2
done
