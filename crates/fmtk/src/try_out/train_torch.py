"""What `cargo xtask try --framework torch` runs: a rank that adds up with all others, on the CPU."""

import os
import sys

# There is no NPU here, and without its driver torch_npu can't be loaded.
os.environ.setdefault("TORCH_DEVICE_BACKEND_AUTOLOAD", "0")

import torch
import torch.distributed as dist

dist.init_process_group("gloo")
rank, size = dist.get_rank(), dist.get_world_size()
total = torch.full((4,), float(rank + 1))
dist.all_reduce(total)
print(f"torch {torch.__version__}: rank {rank} of {size}, uid {os.getuid()}, sum {total.tolist()}", flush=True)
dist.destroy_process_group()
if total.tolist() != [size * (size + 1) / 2] * 4:
    sys.exit("the sum is wrong")
