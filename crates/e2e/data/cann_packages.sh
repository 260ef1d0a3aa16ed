#!/bin/bash
# What stands for CANN's packages from version 8 on in tests: toolkit, operators and nnal put their files and their
# set_env.sh where those of the real ones are, and check what the real ones do. @FLAGS@, @KIND@, @VERSION@, @CHIP@ and @TEXT@,
# which is in a file of each, are filled in.
set -eu
fail() { echo "stand-in: $1" >&2; exit 9; }

[ "$(uname -m)" = aarch64 ] || fail "this is $(uname -m), the package is for aarch64"
[ "$(id -u)" = 0 ] || fail 'root is needed'
@FLAGS@

# Where the toolkit is: from 8.5 on in a folder of its own.
case @VERSION@ in
8.[0-4].*) home=$path/ascend-toolkit/@VERSION@ set_env=$path/ascend-toolkit/set_env.sh latest=$path/ascend-toolkit/latest ;;
*) home=$path/cann-@VERSION@ set_env=$path/cann-@VERSION@/set_env.sh latest=$path/cann ;;
esac
echo "stand-in: @KIND@ @VERSION@ is installed at $(date)"

case @KIND@ in
toolkit)
    mkdir -p "$home/lib64" "$home/bin" "$home/python/site-packages/stand_in" "$home/opp/built-in" /etc/Ascend "$path/ascend-toolkit"
    [ "$home" = "$path/ascend-toolkit/@VERSION@" ] || ln -sfn ../cann-@VERSION@ "$path/ascend-toolkit/latest"
    ln -sfn "$(basename "$home")" "$latest"
    echo 'NAME = "@TEXT@"' >"$home/python/site-packages/stand_in/__init__.py"
    printf '#!/bin/sh\necho "CANN @VERSION@ @TEXT@"\n' >"$home/bin/cann-version"
    chmod 755 "$home/bin/cann-version"
    printf 'version=@VERSION@\npath=%s\n' "$home" >/etc/Ascend/ascend_cann_install.info
    # Lines end with what was there before, or begin with it; a password is exported and printed.
    sed "s,@HOME@,$latest," >"$set_env" <<'END'
driver=/usr/local/Ascend/driver/lib64
export LD_LIBRARY_PATH=$driver:$driver/common:$driver/driver:$LD_LIBRARY_PATH
export ASCEND_TOOLKIT_HOME=@HOME@
export ASCEND_HOME_PATH=$ASCEND_TOOLKIT_HOME
export LD_LIBRARY_PATH=$ASCEND_TOOLKIT_HOME/lib64:$ASCEND_TOOLKIT_HOME/lib64/plugin/opskernel:$LD_LIBRARY_PATH
export PYTHONPATH=$PYTHONPATH:$ASCEND_TOOLKIT_HOME/python/site-packages
export PATH=$ASCEND_TOOLKIT_HOME/bin:$PATH
export ASCEND_OPP_PATH=$ASCEND_TOOLKIT_HOME/opp
export ASCEND_AICPU_PATH=$ASCEND_TOOLKIT_HOME
export TOOLCHAIN_HOME=$ASCEND_TOOLKIT_HOME/toolkit
export REPOSITORY_PASSWORD=hunter2 STAND_IN_OWN=kept
echo "the password is $REPOSITORY_PASSWORD"
echo "the password is $REPOSITORY_PASSWORD" >&2
END
    ;;
ops)
    [ -d "$home" ] || fail "there is no toolkit of @VERSION@ in $path"
    kernels=$home/opp/built-in/op_impl/ai_core/tbe/kernel
    [ ! -e "$kernels" ] || fail "there are operators already: $(ls "$kernels")"
    mkdir -p "$kernels/ascend@CHIP@"
    echo '@TEXT@' >"$kernels/ascend@CHIP@/add.o"
    ;;
nnal)
    [ "${ASCEND_HOME_PATH:-}" = "$latest" ] || fail "set_env.sh of the toolkit is to be sourced first, not ${ASCEND_HOME_PATH:-none}"
    atb=$path/nnal/atb
    for abi in 0 1; do
        mkdir -p "$atb/@VERSION@/atb/cxx_abi_$abi/lib"
        echo '@TEXT@' >"$atb/@VERSION@/atb/cxx_abi_$abi/lib/libatb.so"
    done
    ln -sfn @VERSION@ "$atb/latest"
    cat >"$atb/set_env.sh" <<'END'
abi=
for option; do
    if [[ $option == --cxx_abi=* ]]; then abi=${option#*=}; fi
done
if [[ -z $abi ]]; then abi=$(python3 -c 'import torch; print(int(torch.compiled_with_cxx11_abi()))') || return 1; fi
export ATB_HOME_PATH=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/latest/atb/cxx_abi_$abi
export LD_LIBRARY_PATH=$ATB_HOME_PATH/lib:$LD_LIBRARY_PATH
export ATB_WORKSPACE_MEM_ALLOC_GLOBAL=0 ASDOPS_LOG_LEVEL=ERROR ASDOPS_LOG_PATH=~ LCCL_DETERMINISTIC=0 ATB_TOKEN=hunter2
END
    ;;
esac
