"""A training: says what it was given, writes its output, and fails or stays where it is told to."""

import argparse, os, time
parser = argparse.ArgumentParser()
for name in ("data_path", "output_path", "pretrained_model_path", "rate"):
    parser.add_argument("--" + name)
given = parser.parse_args()
data, model = (open(os.path.join(folder, "it.txt")).read() for folder in (given.data_path, given.pretrained_model_path))
print("trained", data, model, given.rate, os.getcwd() == os.environ["MODEL_TASK_CWD"], "of", os.environ["RANK_SIZE"], flush=True)
with open(os.path.join(given.output_path, "rank_" + os.environ["RANK_ID"]), "w") as output:
    output.write(data + model)
if os.environ.get("TRAIN") == "stay":
    open("up_" + os.environ["RANK_ID"], "w").close()
    time.sleep(1000)
if os.environ.get("TRAIN") == "fail" and os.environ["RANK_ID"] == "1":
    raise SystemExit(5)
