#!/bin/bash
# Runs a command as a fresh machine would: with Rust, Python, a C linker and what a system has anyway, but without
# container engines, emulation, mmdebstrap and a terminal.
#
#   ci/bare.sh COMMAND …            here
#   ci/bare.sh --as-nobody COMMAND …  as root: in a new clone, as the user `nobody`, with nothing compiled or downloaded
set -euo pipefail
cd "$(dirname "$0")/.."

as_nobody=false
if [ "${1-}" = --as-nobody ]; then
    as_nobody=true
    shift
fi

work=$(mktemp -d /var/tmp/fmtk-bare.XXXXXX)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

# A folder of links to all programs but these. Earlier folders of PATH win, as in PATH.
missing='mmdebstrap|debootstrap|apt|aptitude|docker.*|podman.*|buildah|skopeo|umoci|containerd.*|ctr|nerdctl|runc|crun|qemu-.*|sudo'
mkdir "$work/bin"
farm() {
    local folder file
    for folder in "$@"; do
        for file in "$folder"/*; do
            [[ ${file##*/} =~ ^($missing)$ ]] || [ ! -x "$file" ] || ln -s "$file" "$work/bin/" 2>/dev/null || true
        done
    done
}

cargo_home=${CARGO_HOME:-$HOME/.cargo}
rustup_home=${RUSTUP_HOME:-$HOME/.rustup}

if ! $as_nobody; then
    IFS=: read -ra folders <<<"$PATH"
    farm "${folders[@]}"
    PATH=$work/bin setsid --wait "$@" </dev/null
    exit
fi

git clone --quiet . "$work/clone"
mkdir "$work/home" "$work/cargo-bin" "$work/rustup"
farm "$work/cargo-bin" /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin
chown -R nobody "$work/clone" "$work/home"
# The toolchain may lie in root's home, where nobody may look. In a mount namespace of this command's own that home is
# an empty folder which anybody may enter, with the toolchain in its place.
export cargo_home rustup_home work
unshare --mount --fork bash -ec '
    mount --bind "$cargo_home/bin" "$work/cargo-bin"
    mount --bind "$rustup_home" "$work/rustup"
    mount -t tmpfs -o mode=755 tmpfs "$HOME"
    mkdir -p "$rustup_home"
    mount --bind "$work/rustup" "$rustup_home"
    mount -o remount,bind,ro "$rustup_home"
    cd "$work/clone"
    exec setpriv --reuid=nobody --regid=nogroup --clear-groups env --unset=XDG_CACHE_HOME --unset=CARGO_TARGET_DIR \
        HOME="$work/home" CARGO_HOME="$work/home/.cargo" RUSTUP_HOME="$rustup_home" PATH="$work/cargo-bin:$work/bin" \
        setsid --wait "$@" </dev/null
' bash "$@"
