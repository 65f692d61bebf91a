#!/usr/bin/env python3
"""Times `localgrad bench` beside the same network and batch trained by NNTrainer, and compares memory.

    cargo build --release && pip install torch
    NNTRAINER=where/it/is/installed python3 benches/nntrainer_training.py --threads 2 > table.md

NNTrainer (github.com/nnstreamer/nntrainer) is built from its source, with its C++ interface; how many threads it has is said
there (`-Dnntr-num-threads`). Both train end to end and take turns step by step, as in torch_twin.py; its network has the layers
of PyTorch's twin one by one, and it trains by SGD without momentum, as its SGD has none (ours has Nesterov's). Its step is an
epoch of one batch, which a thread of its own copies sample by sample.
"""

import atexit
import json
import os
import subprocess
import tempfile
from pathlib import Path

import beside
import torch
import torch_networks
from beside import Case
from torch import nn

HERE = Path(__file__).resolve().parent
IMAGE = (3, 224, 224)


def conv():
    return nn.Conv2d(3, 3, 3, 2, 1)


# NNTrainer's own cases of layers (Applications/Layers of its source) with their batches; the seventh is an LSTM, which ours has
# not. They learn values by their mean square.
LAYERS = {
    "linear": (64, IMAGE, lambda: [nn.Flatten(), nn.Linear(150528, 300)]),
    "conv": (64, IMAGE, lambda: [conv(), nn.Flatten()]),
    "model_a_linear": (
        2048,
        (1, 1, 784),
        lambda: [nn.Flatten(), nn.Linear(784, 4096), nn.Linear(4096, 2048), nn.Linear(2048, 100)],
    ),
    "model_a_conv": (64, IMAGE, lambda: [conv(), conv(), conv(), nn.Flatten()]),
    "model_c_linear": (64, IMAGE, lambda: [nn.Flatten(), nn.Linear(150528, 10), nn.ReLU()]),
    "model_c_conv": (64, IMAGE, lambda: [conv(), nn.ReLU(), nn.Flatten()]),
}
SPECS = tempfile.TemporaryDirectory()


def learns_values(case):
    return case.model.endswith(".json")


def layer_spec(number, module):
    """A layer as ours are written."""
    if isinstance(module, nn.Linear):
        layer = {"linear": {"inputs": module.in_features, "outputs": module.out_features, "bias": True}}
    elif isinstance(module, nn.Conv2d):
        sizes = {key: list(getattr(module, key if key != "kernel" else "kernel_size")) for key in ("kernel", "stride", "padding")}
        config = sizes | {"dilation": [1, 1], "groups": 1}
        layer = {"conv": {"inputs": module.in_channels, "outputs": module.out_channels, "config": config, "bias": True}}
    else:
        layer = {"activation": "relu"} if isinstance(module, nn.ReLU) else "flatten"
    return {"name": f"layer{number}", "layer": layer}


def layers_case(name):
    """A case of LAYERS, with its network in a file."""
    batch, image, make = LAYERS[name]
    modules = make()
    layers = [layer_spec(number, module) for number, module in enumerate(modules)]
    flatten = next(number for number, module in enumerate(modules) if isinstance(module, nn.Flatten))
    # A unit gives a map; where nothing is done to the images, one that does nothing stands before the head.
    unit = layers[:flatten] or [{"name": "same", "layer": {"slice": {"first": 0, "count": image[0]}}}]
    outputs = torch.nn.Sequential(*modules)(torch.zeros(1, *image)).numel()
    kind = {"name": "unit", "kind": {"layers": unit}, "width": image[0], "stride": 1}
    spec = {"name": name, "input": image, "classes": outputs, "objective": "values", "units": [kind], "head": layers[flatten:]}
    path = Path(SPECS.name) / f"{name}.json"
    path.write_text(json.dumps(spec))
    return Case(str(path), batch, image, outputs)


beside.CASES = [Case("resnet20", 8), Case("resnet32", 64), Case("resnet18", 32), *map(layers_case, LAYERS)]


def pair(numbers):
    return ",".join(map(str, numbers))


class Layers:
    """The lines of a network, each layer with a name and those that it takes."""

    def __init__(self, case):
        self.lines = []
        self.answers = [] if learns_values(case) else ["activation=softmax"]
        self.add("input", None, "input_shape=" + ":".join(map(str, case.image)))

    def add(self, kind, inputs, *parts):
        name = f"layer{len(self.lines)}"
        taken = [f"input_layers={inputs}"] if inputs else []
        self.lines.append("\t".join([kind, f"name={name}", *taken, *parts]))
        return name

    def of(self, module, x):
        """Adds what a module of the twin is, behind the layer `x`; the name of the last."""
        if isinstance(module, nn.Sequential):
            for part in module:
                x = self.of(part, x)
            return x
        if isinstance(module, torch_networks.Residual):
            both = self.of(module.main, x), self.of(module.shortcut, x)
            return self.add("activation", self.add("Addition", ",".join(both)), "activation=relu")
        if isinstance(module, nn.Conv2d) and module.groups == 1:
            sizes = {"kernel_size": module.kernel_size, "stride": module.stride, "padding": module.padding}
            words = [f"{key}={pair(numbers)}" for key, numbers in sizes.items()]
            bias = "false" if module.bias is not None else "true"
            return self.add("conv2d", x, f"filters={module.out_channels}", f"disable_bias={bias}", *words)
        if isinstance(module, nn.BatchNorm2d):
            return self.add("batch_normalization", x, f"epsilon={module.eps}", f"momentum={1 - module.momentum}")
        if isinstance(module, nn.ReLU):
            return self.add("activation", x, "activation=relu")
        if isinstance(module, nn.AdaptiveAvgPool2d):
            return self.add("pooling2d", x, "pooling=global_average")
        if isinstance(module, nn.Flatten):
            return self.add("flatten", x)
        if isinstance(module, nn.Linear):
            return self.add("fully_connected", x, f"unit={module.out_features}", *self.answers)
        if isinstance(module, nn.Identity):
            return x
        raise SystemExit(f"{type(module).__name__} has no counterpart in NNTrainer here")


def compiled():
    """The program that trains there."""
    home = Path(os.environ["NNTRAINER"]) if "NNTRAINER" in os.environ else None
    if home is None:
        raise SystemExit("set NNTRAINER to where it is installed")
    libraries = next(home.glob("lib/**/libccapi-nntrainer.so")).parent
    directory = tempfile.TemporaryDirectory()
    atexit.register(directory.cleanup)
    program = Path(directory.name) / "trains"
    words = ["c++", "-std=c++17", "-O2", HERE / "nntrainer_training.cpp", "-o", program, f"-I{home}/include/nntrainer"]
    words += [f"-L{libraries}", f"-Wl,-rpath,{libraries}", "-lccapi-nntrainer", "-lnntrainer", "-lpthread"]
    subprocess.run(words, check=True)
    return program


def prepare(case):
    """PyTorch's twin."""
    if learns_values(case):
        return nn.Sequential(*LAYERS[Path(case.model).stem][2]())
    return torch_networks.network(case.model, case.image, case.classes)


class Theirs:
    """The network in NNTrainer, in a process of its own."""

    program = None

    def __init__(self, case, twin, threads):
        Theirs.program = Theirs.program or compiled()
        layers = Layers(case)
        layers.of(twin, "layer0")
        self.parameters = sum(weight.numel() for weight in twin.parameters())
        path = Theirs.program.with_name(f"{Path(case.model).stem}.txt")
        path.write_text("\n".join(layers.lines) + "\n")
        channels, height, width = case.image
        loss = "mse" if learns_values(case) else "cross"
        words = [Theirs.program, path, case.batch, channels * height * width, case.classes, loss]
        # Its threads each multiply matrices.
        own = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": str(threads)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([*map(str, words)], env=own, **pipes)
        self.seconds = []
        self.before = self.peak = int(self.answer()[0])
        self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"NNTrainer ended with code {self.process.wait()}")
        return line.split()

    def step(self):
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        seconds, peak = self.answer()
        self.seconds.append(float(seconds))
        self.peak = int(peak)

    def finish(self):
        """How far its process grew, in bytes."""
        self.process.stdin.close()
        self.process.wait()
        return (self.peak - self.before) * 1024


if __name__ == "__main__":
    beside.run(__doc__, "NNTrainer", prepare, Theirs)
