"""A rank of PyTorch that adds up over gloo with the others; then rank 0 asks for torch_npu, which lacks the driver."""

import os

import torch
import torch.distributed as dist

dist.init_process_group("gloo")
rank, size = dist.get_rank(), dist.get_world_size()
total = torch.full((4,), float(rank + 1))
dist.all_reduce(total)
print(f"torch {torch.__version__}: rank {rank} of {size} as {os.getuid()}: {total.tolist()}", flush=True)
dist.destroy_process_group()
if rank == 0:
    try:
        import torch_npu
    except ImportError as error:
        print("torch_npu:", error, flush=True)
