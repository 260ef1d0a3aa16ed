# In a container: every case starts a rank by `behave.py` and says on a line what it saw, after `ran` or `none`.
cd /tmp && mkdir here code && cd here
try() {
    name=$1 script=$2; shift 2; mkdir "/tmp/$name"
    said=$(env MA_VJ_NAME=ma-job-1 MA_MOUNT_PATH="/tmp/$name" "$@" python3 /trial/behave.py "$script") || exit 1
    if [ -e "/tmp/$name/seen.json" ]; then echo "ran $name $said"; else echo "none $name $said"; fi
}
python3 -c 'import platform, sys; print(platform.machine(), *sys.version_info[:2])'
ours=/home/ma-user/ascend910/fmk.py
try set $ours MODEL_TASK_CWD=/tmp/code
try log $ours MODEL_TASK_CWD=/tmp/code ASCEND_PROCESS_LOG_PATH=/tmp/own/log
try unset $ours
try empty $ours MODEL_TASK_CWD=
try missing $ours MODEL_TASK_CWD=/tmp/nowhere
try unpatched /trial/unpatched.py MODEL_TASK_CWD=/tmp/code
