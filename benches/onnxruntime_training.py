#!/usr/bin/env python3
"""Times `localgrad bench` beside the same network and batch in ONNX Runtime's training for devices, and compares memory.

    cargo build --release && pip install torch onnx==1.17.0 onnxruntime-training-cpu==1.19.2
    python3 benches/onnxruntime_training.py > table.md

Both train end to end and take turns step by step, as in torch_twin.py. What ONNX Runtime trains is made by PyTorch's exporter and
by its own `generate_artifacts`, ahead of time.

What it cannot do: its optimizers are AdamW and SGD without momentum, which is what steps here, ours with Nesterov's momentum. It
trains a graph that was made elsewhere, here for one size of batch, end to end. 1.19.2 is the newest package for training.
"""

import io
import tempfile
import time
import warnings
from pathlib import Path

import beside
import numpy
import onnx
import onnxruntime
import torch
from onnxruntime.training import artifacts
from onnxruntime.training.api import CheckpointState, Module, Optimizer
from torch_networks import network

onnxruntime.set_default_logger_severity(3)
warnings.filterwarnings("ignore")
OPSET = 17


def prepare(case):
    """A folder with what ONNX Runtime trains, and how many numbers those are."""
    twin = network(case.model, case.image, case.classes).train()
    file = io.BytesIO()
    torch.onnx.export(
        twin,
        (torch.rand(case.batch, *case.image),),
        file,
        training=torch.onnx.TrainingMode.TRAINING,
        do_constant_folding=False,
        input_names=["images"],
        output_names=["logits"],
        opset_version=OPSET,
        dynamo=False,
    )
    model = onnx.load_from_string(file.getvalue())
    inside = {weight.name for weight in model.graph.initializer}
    folder = tempfile.TemporaryDirectory()
    artifacts.generate_artifacts(
        model,
        requires_grad=[name for name, _ in twin.named_parameters()],
        frozen_params=[name for name, _ in twin.named_buffers() if name in inside],
        loss=artifacts.LossType.CrossEntropyLoss,
        optimizer=artifacts.OptimType.SGD,
        artifact_directory=folder.name,
    )
    return folder, sum(weight.numel() for weight in twin.parameters())


class Theirs:
    """The network in ONNX Runtime."""

    def __init__(self, case, prepared, threads):
        self.folder, self.parameters = prepared
        folder = Path(self.folder.name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        state = CheckpointState.load_checkpoint(folder / "checkpoint")
        # Without the model for evaluation, which it does not read where batch norms train.
        self.module = Module(folder / "training_model.onnx", state, None, session_options=options)
        self.optimizer = Optimizer(folder / "optimizer_model.onnx", self.module)
        self.optimizer.set_learning_rate(0.01)
        self.module.train()
        self.images = numpy.random.rand(case.batch, *case.image).astype(numpy.float32) * 2 - 1
        self.labels = numpy.random.randint(0, case.classes, case.batch).astype(numpy.int64)
        self.seconds = []

    def step(self):
        start = time.perf_counter()
        self.module(self.images, self.labels)
        self.optimizer.step()
        self.module.lazy_reset_grad()
        self.seconds.append(time.perf_counter() - start)


if __name__ == "__main__":
    beside.run(__doc__, f"ONNX Runtime {onnxruntime.__version__}", prepare, Theirs)
