"""A training of the manual: says where it is, reads and writes by relative and absolute paths."""

import argparse, os
parser = argparse.ArgumentParser()
for name in ("data_path", "output_path"):
    parser.add_argument("--" + name)
given = parser.parse_args()
rank, here = os.environ["RANK_ID"], os.getcwd()
with open("relative_" + rank, "w") as beside:
    beside.write(open("beside.txt").read() + open(os.path.join(given.data_path, "it.txt")).read())
open(os.path.join(given.output_path, "rank_" + rank), "w").close()
process_log = os.environ["ASCEND_PROCESS_LOG_PATH"]
print("trained", rank, "of", os.environ["RANK_SIZE"], "by", os.getuid(), here == os.environ.get("MODEL_TASK_CWD", here) == "/job/code",
      os.path.isdir(process_log), process_log.endswith("/ascend/process_log/rank_" + rank), flush=True)
