"""What `cargo xtask try` runs where no command is given: a rank that says who and where it is, and reads and writes files."""

import os
import time

began = time.time()
rank, size = int(os.environ["RANK_ID"]), int(os.environ["RANK_SIZE"])
print(f"rank {rank} of {size}, device {os.environ['DEVICE_ID']}, instance {os.environ['MA_CURRENT_INSTANCE_NAME']}, uid {os.getuid()}", flush=True)
print(f"machine {os.uname().machine}, began at {began:.3f}")
print(f"cwd {os.getcwd()}")
print(f"MODEL_TASK_CWD {os.environ['MODEL_TASK_CWD']}")
print(f"CANN logs to {os.environ['ASCEND_PROCESS_LOG_PATH']}")

# A relative path is one in the code folder, for every rank of this server.
name = f"loss-of-rank-{rank}.txt"
with open(name, "w") as losses:
    for step in range(1, 4):
        loss = 1.0 / (step + rank)
        losses.write(f"{step} {loss:.4f}\n")
        print(f"step {step} loss {loss:.4f}", flush=True)
with open(name) as losses:
    print(f"wrote and read {len(losses.readlines())} lines of {name}")
