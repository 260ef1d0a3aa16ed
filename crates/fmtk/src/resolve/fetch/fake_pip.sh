#!/bin/sh
# Stands for `python3 -c pip.py` in the tests: every requirement NAME==VERSION becomes a file named as its wheel.
while [ $# -gt 0 ]; do
    case $1 in
    --requirement) requirements=$2 ;;
    --dest) wheels=$2 ;;
    esac
    shift
done
while IFS= read -r line; do
    case $line in
    no-pip*) exit 97 ;;
    broken*) echo 'no matching distribution' >&2; exit 1 ;;
    esac
    name=${line%%==*}
    printf '%s\n' "$line" >"$wheels/$(printf '%s' "$name" | tr - _)-${line##*==}-py3-none-any.whl"
done <"$requirements"
