"""A rank of MindSpore on the CPU: adds up with the others, then fits a line with them in ten steps.

Each rank has other points of the same line, so that the weights are right, and the same everywhere, only if the gradients
are added up. The rank in $FAILS ends with code 7 then, without a word to the others. In the folder $STAMPS, where it is set,
each rank notes when it came to its first line, to its first sum and to its failure, in nanoseconds since 1970.
"""

import os
import time


def stamp(what):
    # msrun runs this as its scheduler too, which is no rank.
    if "STAMPS" in os.environ and os.environ.get("MS_ROLE") != "MS_SCHED":
        with open(f"{os.environ['STAMPS']}/{what}-{os.getpid()}", "w") as file:
            file.write(str(time.time_ns()))


stamp("line")

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops
from mindspore.communication import get_group_size, get_rank, init

ms.set_context(mode=ms.PYNATIVE_MODE, device_target="CPU")
init()
rank, size = get_rank(), get_group_size()
add_up = ops.AllReduce()
print(f"rank {rank} of {size} added up to", add_up(Tensor([rank + 1.0], ms.float32)).asnumpy()[0], flush=True)
stamp("sum")

model = nn.Dense(1, 1, weight_init="zeros", bias_init="zeros")
optimizer = nn.SGD(model.trainable_params(), learning_rate=0.4)
points = Tensor(np.linspace(-1.0, 1.0, 8 * size).reshape(size, 8, 1)[rank], ms.float32)
loss_and_gradients = ms.value_and_grad(lambda: ((model(points) - (3.0 * points + 1.0)) ** 2).mean(), None, optimizer.parameters)
losses = []
for _ in range(10):
    loss, gradients = loss_and_gradients()
    optimizer(tuple(add_up(it) / size for it in gradients))
    losses.append(float(add_up(loss.reshape(1)).asnumpy()[0]) / size)
weights = [round(float(it.asnumpy().ravel()[0]), 4) for it in model.trainable_params()]
print(f"loss {losses[0]:.4f} to {losses[-1]:.4f}, weights {weights}", flush=True)
if os.environ.get("FAILS") == str(rank):
    stamp("failure")
    os._exit(7)
if "FAILS" in os.environ:
    # Waits for the one that is gone.
    add_up(Tensor([1.0], ms.float32)).asnumpy()
