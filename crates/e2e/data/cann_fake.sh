#!/bin/sh
# What stands for CANN's installer in tests: it behaves as the manual says of the real one, and installs nothing of it.
# @VERSION@ and, for the flags that all stand-ins read, @FLAGS@ are filled in.
set -eu
fail() { echo "stand-in: $1" >&2; exit 9; }

machine=$(uname -m)
[ "$machine" = aarch64 ] || fail "this is $machine, the package is for aarch64"
[ "$(id -u)" = 0 ] || fail 'root is needed'
[ "$(umask)" = 0022 ] || fail "the umask is $(umask), not 0022"

@FLAGS@
for name in eth0 wlan0; do
    [ ! -e "/sys/class/net/$name" ] || fail "there is a network: $name"
done
if touch "/tmp/.fmtk-packages/written" 2>/dev/null; then fail 'the packages can be written to'; fi

here=$(pwd)
kit=$path/ascend-toolkit/@VERSION@
for folder in lib64 bin compiler/lib64/plugin/opskernel compiler/ccec_compiler/bin opp/op_impl/built-in/ai_core/tbe \
    python/site-packages/stand_in/__pycache__ toolkit fwkacllib/lib64; do
    mkdir -p "$kit/$folder"
done
ln -s @VERSION@ "$path/ascend-toolkit/latest"
cp "$here"/*.whl "$kit/fwkacllib/lib64/"

# Names that walk in another order than they sort, a second name in another folder, one of a file of the base.
echo 'library' >"$kit/lib64/libge_runner.so.1"
ln "$kit/lib64/libge_runner.so.1" "$kit/compiler/lib64/libge_runner.so"
ln -s libge_runner.so.1 "$kit/lib64/libge_runner.so"
ln /bin/true "$kit/bin/true-of-base"
echo a >"$kit/lib64.txt"
echo b >"$kit/lib64-more"
head -c 3000000 /dev/zero | tr '\0' 'z' >"$kit/lib64/large.bin"
printf '#!/bin/sh\necho "CANN @VERSION@ stand-in at $ASCEND_OPP_PATH"\n' >"$kit/bin/cann-version"
chmod 755 "$kit/bin/cann-version"
echo helper >"$kit/bin/helper"
chmod 4755 "$kit/bin/helper"
chmod 550 "$kit/opp"
echo "NAME = 1" >"$kit/python/site-packages/stand_in/__init__.py"
date >"$kit/python/site-packages/stand_in/__pycache__/__init__.cpython-39.pyc"

mkdir -p /etc/Ascend /var/log/ascend_seclog /opt/outside
printf 'version=@VERSION@\narch=aarch64\npath=%s\n' "$kit" >/etc/Ascend/ascend_cann_install.info
date >/var/log/ascend_seclog/operation.log
echo kept >/opt/outside/kept
date >/tmp/left
chmod 711 /opt
echo changed >>/etc/profile
rm -f /etc/issue
ldconfig 2>/dev/null || true
echo "stand-in: installed by $(id -un) at $(date)"
