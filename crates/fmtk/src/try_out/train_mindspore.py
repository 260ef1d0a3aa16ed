"""What `cargo xtask try --framework mindspore` runs: a rank that adds up with all others, on the CPU."""

import os
import sys

import mindspore
import numpy
from mindspore import Tensor, ops
from mindspore.communication import get_group_size, get_rank, init

# As releases before 2.5 have it, too.
mindspore.set_context(device_target="CPU")
init()
rank, size = get_rank(), get_group_size()
total = ops.AllReduce()(Tensor(numpy.full(4, rank + 1, numpy.float32))).asnumpy().tolist()
print(f"mindspore {mindspore.__version__}: rank {rank} of {size}, uid {os.getuid()}, sum {total}", flush=True)
if total != [size * (size + 1) / 2] * 4:
    sys.exit("the sum is wrong")
