#!/bin/sh
# Stands for `uv pip compile` in the tests: each direct requirement NAME==VERSION is what it chooses, with the hash that
# the wheel of fake_pip.sh has on the index that is the requirement's own, else on the default one. The distribution
# `needs-nvidia` requires `nvidia-a`, and that one `nvidia-b`.
case "$* $(env)" in *secret*) echo 'the password is in an argument or a variable' >&2; exit 1 ;; esac
configuration=$(cat)
default=$(printf '%s\n' "$configuration" | sed -n 's|.*url = "\(http://[^"]*\)".*|\1|p' | tail -n 1)
own=$(sed -n 's|^url = "\(.*\)"|\1|p' pyproject.toml)
excluded() { grep -qx "$1" uv-excludes.txt; }
say() {
    name=${1%%==*} index=
    case $1 in
    broken*) printf 'error: No solution found\n' >&2; exit 1 ;;
    # As it quotes a line that it can't read.
    quoting*) printf 'error: TOML parse error\n%s\n' "$configuration" >&2; exit 1 ;;
    # One of before there were exclusions.
    old-uv*) : >uv-excludes.txt ;;
    esac
    case $default in *secret*) ;; *) index=$default ;; esac
    grep -qF "[tool.uv.sources.$name]" pyproject.toml && index=$own
    hash=$(printf '%s\n' "$1$index" | sha256sum)
    printf '[[packages]]\nname = "%s"\nversion = "%s"\n' "$name" "${1##*==}"
    printf 'wheels = [{ url = "http://x/%s-%s-py3-none-any.whl", hashes = { sha256 = "%s" } }]\n' \
        "$(printf '%s' "$name" | tr - _)" "${1##*==}" "${hash%% *}"
}
printf 'lock-version = "1.0"\n'
for one in $(tr -d '\n' <pyproject.toml | sed 's/.*dependencies = \[\([^]]*\)\].*/\1/' | tr -d '"' | tr , ' '); do
    say "$one"
    case $one in
    needs-nvidia*)
        if ! excluded nvidia-a; then
            say nvidia-a==1
            excluded nvidia-b || say nvidia-b==1
        fi
        ;;
    esac
done
