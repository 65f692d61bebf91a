#!/usr/bin/env python3
"""Times `localgrad bench` beside the same network and batch trained by MNN, and compares memory.

    cargo build --release && pip install torch MNN==3.6.1
    python3 benches/mnn_training.py > table.md

Both train end to end (SGD, momentum 0.9, f32) and take turns step by step, as in torch_twin.py. MNN's network has the layers of
PyTorch's twin one by one.

What it cannot do: groups of convolutions other than one and as many as channels. Batches are converted to its layout by the
caller, and the graph of gradients is made anew each step; both are part of its step here. It trains end to end.
"""

import time

import beside
import MNN
import numpy
import torch_networks
from torch import nn

F = MNN.expr
# Values are worked out when they are read: else no gradient is found.
F.lazy_eval(True)
CAFFE = F.Padding_Mode.CAFFE


class Layer(MNN.nn.Module):
    """What a module of PyTorch's twin is, in MNN."""

    def __init__(self, twin):
        super().__init__()
        self.twin = twin
        # Parts are found by their names.
        for name, part in twin.named_children():
            setattr(self, f"part_{name}", Layer(part))
        self.parts = [getattr(self, f"part_{name}") for name, _ in twin.named_children()]
        if isinstance(twin, nn.Conv2d):
            sizes = [list(size) for size in (twin.kernel_size, twin.stride, twin.padding, twin.dilation)]
            depthwise, bias = twin.groups > 1, twin.bias is not None
            self.own = MNN.nn.conv(twin.in_channels, twin.out_channels, *sizes, depthwise, bias, CAFFE)
        elif isinstance(twin, nn.BatchNorm2d):
            self.own = MNN.nn.batch_norm(twin.num_features, 4, 1 - twin.momentum, twin.eps)
        elif isinstance(twin, nn.Linear):
            self.own = MNN.nn.linear(twin.in_features, twin.out_features, True)
        elif isinstance(twin, nn.Dropout):
            self.own = MNN.nn.dropout(twin.p)

    def forward(self, x):
        twin = self.twin
        if isinstance(twin, (nn.Conv2d, nn.BatchNorm2d, nn.Linear, nn.Dropout)):
            return self.own(x)
        if isinstance(twin, torch_networks.Residual):
            return F.relu(self.part_main.forward(x) + self.part_shortcut.forward(x))
        if isinstance(twin, torch_networks.InvertedResidual):
            y = self.part_main.forward(x)
            return x + y if twin.adds else y
        if isinstance(twin, nn.Sequential):
            for part in self.parts:
                x = part.forward(x)
            return x
        return elementary(twin, x)


def elementary(twin, x):
    """What has no weights."""
    if isinstance(twin, nn.Identity):
        return x
    if isinstance(twin, nn.ReLU):
        return F.relu(x)
    if isinstance(twin, nn.ReLU6):
        return F.relu6(x, 0.0, 6.0)
    if isinstance(twin, nn.MaxPool2d):
        size, stride, padding = ([number] * 2 for number in (twin.kernel_size, twin.stride, twin.padding))
        return F.max_pool(x, size, stride, CAFFE, padding)
    if isinstance(twin, nn.AdaptiveAvgPool2d):
        return F.avg_pool(x, x.shape[2:], [1, 1], F.Padding_Mode.VALID, [0, 0])
    if isinstance(twin, nn.Flatten):
        return F.reshape(F.convert(x, F.NCHW), [x.shape[0], -1])
    raise SystemExit(f"{type(twin).__name__} has no counterpart in MNN here")


def prepare(case):
    """PyTorch's twin."""
    return torch_networks.network(case.model, case.image, case.classes)


class Theirs:
    """The network in MNN."""

    def __init__(self, case, twin, threads):
        F.set_thread_number(threads)
        self.parameters = sum(weight.numel() for weight in twin.parameters())
        self.network = Layer(twin)
        self.network.train(True)
        self.optimizer = MNN.optim.SGD(self.network, 0.01, 0.9, 1e-4)
        self.shape = [case.batch, *case.image]
        self.images = numpy.random.rand(*self.shape).astype(numpy.float32) * 2 - 1
        labels = numpy.random.randint(0, case.classes, case.batch)
        self.targets = numpy.eye(case.classes, dtype=numpy.float32)[labels]
        self.seconds = []

    def step(self):
        start = time.perf_counter()
        images = F.convert(F.const(self.images, self.shape, F.NCHW, F.float), F.NC4HW4)
        targets = F.const(self.targets, list(self.targets.shape), F.NCHW, F.float)
        loss = MNN.nn.loss.cross_entropy(F.softmax(self.network.forward(images), 1), targets)
        if not self.optimizer.step(loss):
            raise SystemExit("MNN found no gradient")
        self.seconds.append(time.perf_counter() - start)


if __name__ == "__main__":
    beside.run(__doc__, f"MNN {MNN.version()}", prepare, Theirs)
