"""A product of matrices, by MindSpore on the CPU."""

import os

import mindspore
import numpy
from mindspore import Tensor, ops

mindspore.set_device("CPU")
product = ops.matmul(Tensor(numpy.full((2, 3), 2, numpy.float32)), Tensor(numpy.ones((3, 2), numpy.float32)))
print(f"mindspore {mindspore.__version__} as {os.getuid()}: {product.asnumpy().tolist()}", flush=True)
