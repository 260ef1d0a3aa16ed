# Runs one rank by the script that is named: `python3 behave.py fmk.py`, with MA_MOUNT_PATH an empty folder, MA_VJ_NAME
# and, if it is to be set, MODEL_TASK_CWD in the environment. Prints what the rank saw, as JSON: its current folder, its
# ASCEND_PROCESS_LOG_PATH and whether that folder exists; or which error came before any rank was started.
import importlib.util
import json
import os
import sys
from types import SimpleNamespace

CHILD = '''
import json, os
path = os.environ.get("ASCEND_PROCESS_LOG_PATH")
seen = {"cwd": os.getcwd(), "process_log": path, "process_log_exists": bool(path) and os.path.isdir(path)}
with open(os.environ["BEHAVE_SEEN"], "w") as file:
    json.dump(seen, file)
'''

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'neighbours'))
spec = importlib.util.spec_from_file_location('fmk', sys.argv[1])
fmk = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fmk)

mount = os.environ['MA_MOUNT_PATH']
os.makedirs(os.path.join(mount, 'log'), exist_ok=True)
# The rank's stdout belongs to the script, so what the rank saw comes through a file.
os.environ['BEHAVE_SEEN'] = os.path.join(mount, 'seen.json')
device = SimpleNamespace(rank_id='3', device_ip='192.168.0.3')
try:
    rank = fmk.FMK(1, device).run(8, [sys.executable, '-c', CHILD])
except OSError as error:
    print(json.dumps({'error': type(error).__name__}))
    sys.exit(0)
if rank.wait() != 0:
    sys.exit('the rank failed')
with open(os.environ['BEHAVE_SEEN']) as seen:
    print(seen.read())
