#!/bin/bash
# Installs what `cargo xtask e2e` and `cargo xtask bench` need on a Debian-like machine, and only what is missing.
# `cargo xtask image`, `push` and `cargo test` need none of it.
#
#   ci/setup.sh             install what is missing (as root, or through sudo)
#   ci/setup.sh --check     only say what is missing; exit 1 if something is
#
# It may be run again at any time. It starts no service and changes no setting of one: e2e and bench start their own
# daemons, with their own folders, and stop them.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

check=false
case "${1-}" in
'') ;;
--check) check=true ;;
*) die "unknown argument \`$1\`; the only one is --check" ;;
esac

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
    # Without a terminal sudo must not wait for a password.
    [ -t 0 ] || as_root=(sudo -n)
fi

# A command and the package that has it. A command that is there, from whatever source, is left alone: docker.io would
# otherwise displace docker-ce.
tools='
podman           podman
dockerd          docker.io
docker           docker.io
containerd       containerd
ctr              containerd
runc             runc
catatonit        catatonit
docker-registry  docker-registry
skopeo           skopeo
umoci            umoci
buildah          buildah
qemu-aarch64-static qemu-user-static
update-binfmts   binfmt-support
mmdebstrap       mmdebstrap
makeself         makeself
scontrol         slurm-client
pigz             pigz
htpasswd         apache2-utils
openssl          openssl
gpgv             gpgv
unshare          util-linux
script           bsdutils
cc               gcc
java             default-jdk-headless
mpirun           openmpi-bin
python3          python3
bash             bash
zsh              zsh
fish             fish
chromium         chromium
'

has() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]; }

missing=()
while read -r command package; do
    [ -n "$command" ] || continue
    has "$command" || missing+=("$package")
done <<<"$tools"
# Debian's own keys, which other Debian-like systems do not have; libc headers, for the bench's C library.
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
[ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
# cargo's completion for bash is written with it.
[ -e /usr/share/bash-completion/bash_completion ] || missing+=(bash-completion)
# The system's Python, which other users have too.
for python in python3 /usr/bin/python3; do
    "$python" -m pip --version >/dev/null 2>&1 || { missing+=(python3-pip); break; }
done
# No release of Debian has it.
lacks_uv=true
! has uv || lacks_uv=false

registered() { [ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ]; }
native=false
case "$(uname -m)" in aarch64 | arm64) native=true ;; esac
# The image's programs, and the same for this machine: e2e runs the launcher's tests against it.
targets=(aarch64-unknown-linux-musl)
$native || targets+=("$(uname -m)-unknown-linux-musl")
has_target() { rustup target list --installed 2>/dev/null | grep -qx "$1"; }

if $check; then
    status=0
    if [ "${#missing[@]}" -gt 0 ]; then say "missing packages: ${missing[*]}"; status=1; fi
    if $lacks_uv; then say 'missing: uv, from PyPI'; status=1; fi
    if ! $native && ! registered; then say 'arm64 programs cannot run: qemu-aarch64 is not registered'; status=1; fi
    for target in "${targets[@]}"; do
        has_target "$target" || { say "missing Rust target: $target"; status=1; }
    done
    [ "$status" -ne 0 ] || say 'nothing is missing'
    exit "$status"
fi

if [ "${#missing[@]}" -gt 0 ]; then
    command -v apt-get >/dev/null || die "no apt-get here; install by other means: ${missing[*]}"
    say "installing ${missing[*]}"
    # Packages that bring a service would start it; ours are started by e2e and bench alone.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod 755 "$policy"
        trap '"${as_root[@]}" rm -f "$policy"' EXIT
    fi
    "${as_root[@]}" apt-get update -q
    # Newer releases have the docker client in a package of its own.
    if ! has docker && apt-cache show docker-cli >/dev/null 2>&1; then missing+=(docker-cli); fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
else
    say 'all packages are there'
fi

if $lacks_uv; then
    say 'installing uv from PyPI'
    folder=/usr/local/lib/fmtk-uv
    "${as_root[@]}" python3 -m pip install --quiet --disable-pip-version-check --upgrade --target "$folder" 'uv>=0.13'
    "${as_root[@]}" ln -sf "$folder/bin/uv" /usr/local/bin/uv
else
    say 'uv is there'
fi

if $native; then
    say 'this machine runs arm64 programs itself'
elif registered; then
    say 'qemu-aarch64 is registered'
else
    say 'registering qemu-aarch64, so that arm64 programs run here'
    if [ ! -e /proc/sys/fs/binfmt_misc/register ]; then
        "${as_root[@]}" mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    fi
    "${as_root[@]}" update-binfmts --enable qemu-aarch64 || true
    registered || die 'qemu-aarch64 could not be registered; is this a container without privileges?'
fi

for target in "${targets[@]}"; do
    if has_target "$target"; then
        say "the Rust target $target is there"
    else
        command -v rustup >/dev/null || die 'no rustup here; see https://rustup.rs'
        say "adding the Rust target $target"
        rustup target add "$target"
    fi
done
say 'done'
