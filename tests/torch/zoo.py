#!/usr/bin/env python3
"""The networks of the catalogue beside PyTorch's.

    zoo.py logits             writes zoo.json beside it: what torchvision's, timm's and our own networks in PyTorch make of
                              weights that any program can make again; needs torch, torchvision and timm
    zoo.py table              writes docs/zoo.md by the example `zoo`; times stay as they are there
    zoo.py time [NAME...]     measures a step of training beside PyTorch's, by turns, and writes it into docs/zoo.md; needs
                              `cargo build --release`
"""

import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "benches"))
CLASSES, IMAGES, SIDE = 10, 2, 72
THREADS = 2
# Steps of training that are timed, after those that warm up, and how long they may take but for the least.
WARM, LEAST_STEPS, STEPS, SECONDS = 2, 3, 25, 8

TORCHVISION = """resnet18 resnet34 resnet50 resnet101 resnet152 resnext50_32x4d resnext101_32x8d resnext101_64x4d
wide_resnet50_2 wide_resnet101_2 mobilenet_v2 mobilenet_v3_small mobilenet_v3_large
efficientnet_b0 efficientnet_b1 efficientnet_b2 convnext_tiny shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5
shufflenet_v2_x2_0 densenet121 densenet169 densenet201 squeezenet1_0 squeezenet1_1 mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3
regnet_x_400mf regnet_x_800mf regnet_y_400mf regnet_y_800mf vgg11 vgg13 vgg16 vgg19 vgg11_bn vgg13_bn vgg16_bn
vgg19_bn""".split()

# Widths of MobileNetV2 that torchvision has no names for, and of MobileNetV1 that timm has none for.
WIDTHS = {"mobilenet_v2_x0_35": 0.35, "mobilenet_v2_x0_5": 0.5, "mobilenet_v2_x0_75": 0.75, "mobilenet_v2_x1_4": 1.4}
WIDTHS_V1 = {"mobilenet_v1_x0_25": 0.25, "mobilenet_v1_x0_5": 0.5, "mobilenet_v1_x0_75": 0.75}

# Networks that neither has, and their images; benches/torch_networks.py has them, by names of its own.
OWN = {f"resnet{depth}": (3, 32, 32) for depth in (8, 14, 20, 26, 32, 44, 56, 110)} | {
    "mlperf_resnet8": (3, 32, 32),
    "mlperf_ds_cnn": (1, 49, 10),
    "mlperf_autoencoder": (640, 1, 1),
    "resnet1d": (9, 1, 128),
    "tcn": (9, 1, 128),
    "text_tcn": {"tokens": {"length": 24, "vocabulary": 50}},
}

# timm's names of networks that torchvision has not, by ours.
TIMM = {
    "mobilenet_v1": "mobilenetv1_100",
    "efficientnet_lite0": "efficientnet_lite0",
    "convnext_atto": "convnext_atto",
    "resnet18d": "resnet18d",
    "resnet26d": "resnet26d",
    "resnet34d": "resnet34d",
    "resnet50d": "resnet50d",
    "resnet101d": "resnet101d",
    "resnet152d": "resnet152d",
}

# Networks that both have, by timm's names, which --model understands, too.
BOTH = """mobilenetv2_100 mobilenetv2_050 mobilenetv3_small_100 mobilenetv3_large_100 efficientnet_b0 efficientnet_b1 mnasnet_100
regnetx_004_tv regnetx_008 regnety_004 regnety_008_tv convnext_tiny resnet18 densenet121""".split()


# Networks that SGD at the rate of these measurements makes diverge: both sides train them by AdamW.
ADAPTED = ("squeezenet1_0", "squeezenet1_1")


def share(name, count):
    """Numbers in [0, 1), as tests/tests/zoo/filled.rs has them."""
    import numpy as np

    start = 0xCBF29CE484222325
    for byte in name.encode():
        start = ((start ^ byte) * 0x100000001B3) % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(start) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(40)).astype(np.float64) / 2**24


def fill(model, by_place):
    """Fills tensors by their names, or by the last part of these behind their places."""
    import torch

    tensors = [(name, tensor) for name, tensor in model.state_dict().items() if "num_batches" not in name]
    for place, (name, tensor) in enumerate(tensors):
        if by_place:
            name = f"{place}.{name.rpartition('.')[2]}"
        count = tensor.numel()
        fan_in = count // tensor.shape[0]
        scale, shift = 2 * (3 / fan_in) ** 0.5, -((3 / fan_in) ** 0.5)
        if name.endswith("running_var"):
            scale, shift = 1.0, 0.5
        elif name.endswith(("running_mean", "bias")):
            scale, shift = 0.4, -0.2
        elif fan_in == 1 and tensor.dim() != 4:
            scale, shift = 1.0, 0.5
        numbers = (scale * share(name, count) + shift).astype("float32")
        tensor.copy_(torch.from_numpy(numbers).reshape(tensor.shape))


def torchs(name, classes):
    """PyTorch's network of our name, or of timm's behind `timm/`, and whose it is."""
    import torch_networks
    import torchvision

    if name in OWN:
        return torch_networks.network(name, OWN[name], classes), "torch"
    if name in WIDTHS_V1:
        from timm.models.efficientnet import _gen_mobilenet_v1

        return _gen_mobilenet_v1("mobilenetv1_100", WIDTHS_V1[name], num_classes=classes), "timm"
    if name in TIMM or name.startswith("timm/"):
        import timm

        theirs = TIMM[name] if name in TIMM else name.removeprefix("timm/")
        return timm.create_model(theirs, num_classes=classes), "timm"
    if name in WIDTHS:
        return torchvision.models.mobilenet_v2(width_mult=WIDTHS[name], num_classes=classes), "torchvision"
    return getattr(torchvision.models, name)(weights=None, num_classes=classes), "torchvision"


def compared(name):
    """The same, and the images that it is compared on."""
    from torch import nn

    model, source = torchs(name, CLASSES)
    if name.startswith("vgg"):  # with the head that small images get
        model.avgpool = nn.AdaptiveAvgPool2d(1)
        model.classifier = nn.Linear(512, CLASSES)
        return model, source, (3, 64, 64)
    return model, source, OWN.get(name, (3, SIDE, SIDE))


def samples(of):
    """Images between -2 and 2, or tokens, as tests/tests/zoo/filled.rs has them."""
    import torch

    if isinstance(of, dict):
        length, vocabulary = of["tokens"]["length"], of["tokens"]["vocabulary"]
        return torch.from_numpy((share("images", IMAGES * length) * vocabulary).astype("int64")).reshape(IMAGES, length)
    pixels = (4 * share("images", IMAGES * math.prod(of)) - 2).astype("float32")
    return torch.from_numpy(pixels).reshape(IMAGES, *of)


def logits():
    import torch

    found = {}
    names = [*TORCHVISION, *WIDTHS, *WIDTHS_V1, *TIMM, *OWN, *(f"timm/{name}" for name in BOTH)]
    for name in sorted(names):
        model, source, image = compared(name)
        fill(model, source == "torch")
        model.eval()
        with torch.no_grad():
            rows = model(samples(image)).tolist()
        found[name] = {"network": name.removeprefix("timm/"), "source": source, "input": image, "logits": rows}
        print(f"{name}: {source}, logits up to {max(abs(x) for row in rows for x in row):.3g}", file=sys.stderr)
    lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in found.items()]
    (HERE / "zoo.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def example():
    """A row for each network."""
    subprocess.run(["cargo", "build", "--quiet", "--workspace", "--example", "zoo"], cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    output = subprocess.run([target / "debug/examples/zoo"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in output.splitlines()]


HEAD = """# The catalogue

Made by `python3 tests/torch/zoo.py table`. A network is `--model NAME`, on images of the size that the second column says
(channels, height, width; of a text its tokens, and how many there are to choose from); any other size and number of classes
will do. Multiply-adds are of one image, forward. Peaks are planned, of a step of training with SGD on two threads and the
batch that is given, end to end (`bp`) and by MAN over InfoPro's head in four blocks (fewer where there are fewer units). The difference is the
largest one between logits here and in torchvision, timm or `benches/torch_networks.py`, for a logit of 1 or the largest if
that is more, with random weights and statistics that have moved. Milliseconds (`zoo.py time`) are medians of steps of `bp`
and of PyTorch's, which take turns on {THREADS} threads while no other process is at work; networks without them were not
measured.

| network | image | classes | parameters | multiply-adds | batch | bp, MiB | MAN, MiB | difference | ms | PyTorch, ms |
|---|---|---|---|---|---|---|---|---|---|---|
""".replace("{THREADS}", str(THREADS))
PAGE = ROOT / "docs" / "zoo.md"


def rows_of_page():
    """The cells of each network's row in the page, by its name."""
    lines = [line.strip("| \n").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return {cells[0]: [*cells, "", ""][:11] for cells in lines[1:]}


def write_page(rows):
    lines = ["| " + " | ".join(map(str, cells)) + " |\n" for cells in rows]
    PAGE.write_text(HEAD + "".join(lines))


def size(sample):
    """An image as 3x32x32, a text as 128 of 5000."""
    return "x".join(map(str, sample)) if isinstance(sample, list) else "{length} of {vocabulary}".format(**sample["tokens"])


def table():
    before, rows = rows_of_page(), []
    for row in example():
        name = row["name"]
        rows.append(
            [
                name,
                size(row["input"]),
                row["classes"],
                f"{row['parameters']:,}",
                f"{row['multiply_adds'] / 1e6:,.0f} M",
                row["batch"],
                f"{row['bp_bytes'] / 2**20:.0f}",
                f"{row['man_bytes'] / 2**20:.0f}",
                "" if row["difference"] is None else f"{row['difference']:.0e}",
                *before.get(name, ["", ""])[-2:],
            ]
        )
    write_page(rows)


class Theirs:
    """A network in training by PyTorch."""

    def __init__(self, name, image, classes, batch):
        import torch

        self.torch, self.values = torch, name == "mlperf_autoencoder"
        self.model = torchs(name, classes)[0].train()
        if name in ADAPTED:
            self.optimizer = torch.optim.AdamW(self.model.parameters(), 1e-4, fused=True)
        else:
            self.optimizer = torch.optim.SGD(self.model.parameters(), 0.01, momentum=0.9, nesterov=True, fused=True)
        self.images = torch.rand(batch, *image) * 2 - 1
        self.targets = torch.rand(batch, classes) if self.values else torch.randint(classes, (batch,))
        self.seconds = []

    def step(self):
        start = time.perf_counter()
        self.optimizer.zero_grad()
        functional = self.torch.nn.functional
        loss = functional.mse_loss if self.values else functional.cross_entropy
        loss = loss(self.model(self.images), self.targets)
        loss.backward()
        self.optimizer.step()
        loss.item()
        self.seconds.append(time.perf_counter() - start)


def measured(name, cells):
    """Milliseconds of a step, ours and PyTorch's: medians after steps that warm up; none where others were at work."""
    from torch_twin import PROGRAM, Case, Ours, take_rounds

    image, classes, batch = tuple(map(int, cells[1].split("x"))), int(cells[2]), int(cells[5])
    way = ["--rule", "bp"] + (["--objective", "values"] if name == "mlperf_autoencoder" else [])
    way += ["--optimizer", "adamw"] if name in ADAPTED else []
    ours = Ours(PROGRAM, Case(name, batch, image, classes), way, THREADS)
    theirs = Theirs(name, image, classes, batch)
    for subject in (ours, theirs):
        for _ in range(WARM):
            subject.step()
    limits = SimpleNamespace(rounds=STEPS, least_rounds=LEAST_STEPS, seconds=SECONDS)
    quiet, is_quiet = take_rounds([ours, theirs], [os.getpid(), ours.process.pid], limits)
    ours.finish()
    if not is_quiet:
        return None
    return [1000 * statistics.median(subject.seconds[WARM + number] for number in quiet) for subject in (ours, theirs)]


def measure(names):
    import torch

    torch.set_num_threads(THREADS)
    rows = rows_of_page()
    for name in names or rows:
        if " of " in rows[name][1]:
            print(f"{name}: not measured, as only images are", file=sys.stderr)
            continue
        found = measured(name, rows[name])
        if found is None:
            print(f"{name}: not measured, because other processes were at work", file=sys.stderr)
            continue
        rows[name][-2:] = [f"{ms:.0f}" if ms >= 10 else f"{ms:.1f}" for ms in found]
        print(name, *rows[name][-2:], file=sys.stderr)
        write_page(rows.values())


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["logits"]:
            logits()
        case ["table"]:
            table()
        case ["time", *names]:
            measure(names)
        case _:
            sys.exit(__doc__)
