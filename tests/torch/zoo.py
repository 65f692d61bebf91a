#!/usr/bin/env python3
"""The networks of the catalogue beside PyTorch's.

    zoo.py logits             writes zoo.json beside it: what torchvision's and timm's networks make of weights that any
                              program can make again; needs torch, torchvision and timm
    zoo.py table [--time]     writes docs/zoo.md by the example `zoo`; --time measures a step of training, PyTorch's too
                              where there is one
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CLASSES, IMAGES, SIDE = 10, 2, 72
THREADS = 2

TORCHVISION = """resnet18 resnet34 resnet50 resnext50_32x4d wide_resnet50_2 mobilenet_v2 mobilenet_v3_small mobilenet_v3_large
efficientnet_b0 efficientnet_b1 efficientnet_b2 convnext_tiny shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5
shufflenet_v2_x2_0 densenet121 densenet169 squeezenet1_0 squeezenet1_1 mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3
regnet_x_400mf regnet_x_800mf regnet_y_400mf regnet_y_800mf vgg11 vgg11_bn vgg16 vgg16_bn""".split()

# Widths of MobileNetV2 that torchvision has no names for.
WIDTHS = {"mobilenet_v2_x0_35": 0.35, "mobilenet_v2_x0_5": 0.5, "mobilenet_v2_x0_75": 0.75, "mobilenet_v2_x1_4": 1.4}

# timm's names of networks that torchvision has not, by ours.
TIMM = {
    "mobilenet_v1": "mobilenetv1_100",
    "efficientnet_lite0": "efficientnet_lite0",
    "convnext_atto": "convnext_atto",
    "resnet18d": "resnet18d",
    "resnet26d": "resnet26d",
    "resnet50d": "resnet50d",
}

# Networks that both have, by timm's names, which --model understands, too.
BOTH = """mobilenetv2_100 mobilenetv2_050 mobilenetv3_small_100 mobilenetv3_large_100 efficientnet_b0 efficientnet_b1 mnasnet_100
regnetx_004_tv regnetx_008 regnety_004 regnety_008_tv convnext_tiny resnet18 densenet121""".split()


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


def fill(model):
    import torch

    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
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
    """PyTorch's network of our name, or of timm's behind `timm/`, whose it is, and the side of the images that it is
    compared on."""
    import torchvision
    from torch import nn

    if name in TIMM or name.startswith("timm/"):
        import timm

        theirs = TIMM[name] if name in TIMM else name.removeprefix("timm/")
        return timm.create_model(theirs, num_classes=classes), "timm", SIDE
    if name in WIDTHS:
        return torchvision.models.mobilenet_v2(width_mult=WIDTHS[name], num_classes=classes), "torchvision", SIDE
    if name not in TORCHVISION:
        return None
    model = getattr(torchvision.models, name)(weights=None, num_classes=classes)
    if name.startswith("vgg"):  # with the head that small images get
        model.avgpool = nn.AdaptiveAvgPool2d(1)
        model.classifier = nn.Linear(512, classes)
        return model, "torchvision", 64
    return model, "torchvision", SIDE


def logits():
    import torch

    found = {}
    for name in sorted([*TORCHVISION, *WIDTHS, *TIMM, *(f"timm/{name}" for name in BOTH)]):
        model, source, side = torchs(name, CLASSES)
        fill(model)
        model.eval()
        pixels = (4 * share("images", IMAGES * 3 * side * side) - 2).astype("float32")
        with torch.no_grad():
            rows = model(torch.from_numpy(pixels).reshape(IMAGES, 3, side, side)).tolist()
        found[name] = {"network": name.removeprefix("timm/"), "source": source, "side": side, "logits": rows}
        print(f"{name}: {source}, logits up to {max(abs(x) for row in rows for x in row):.3g}", file=sys.stderr)
    lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in found.items()]
    (HERE / "zoo.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def example(timed):
    """A row for each network; only what is timed is built to be fast."""
    build = ["cargo", "build", "--quiet", "--workspace", "--example", "zoo", *(["--release"] if timed else [])]
    subprocess.run(build, cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    program = target / ("release" if timed else "debug") / "examples" / "zoo"
    words = ["time"] if timed else []
    output = subprocess.run([program, *words], check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in output.splitlines()]


def torch_step(name, image, classes, batch):
    """Milliseconds of a step of training by PyTorch; None where it has no such network."""
    try:
        import torch
    except ImportError:
        return None
    made = torchs(name, classes) if image[1] > 64 else None
    if made is None:
        return None
    torch.set_num_threads(THREADS)
    model = made[0].train()
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    images, labels = torch.randn(batch, *image), torch.randint(classes, (batch,))
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds[1:])


HEAD = """# The catalogue

Made by `python3 tests/torch/zoo.py table`. A network is `--model NAME`, on images of the size that the second column says
(channels, height, width); any other size and number of classes will do. Multiply-adds are of one image, forward. Peaks are
planned, of a step of training with SGD on two threads and the batch that is given, end to end (`bp`) and by MAN in four
blocks (fewer where there are fewer units). The difference is the largest one between logits here and in torchvision or
timm, for a logit of 1 or the largest if that is more, with random weights and statistics that have moved; it is left open
where neither has the network, or it was not compared. Milliseconds are those of a step of `bp`, and of PyTorch's.

| network | image | classes | parameters | multiply-adds | batch | bp, MiB | MAN, MiB | difference | ms | PyTorch, ms |
|---|---|---|---|---|---|---|---|---|---|---|
"""


def table(timed):
    rows = []
    for row in example(timed):
        name, image = row["name"], row["input"]
        difference = "" if row["difference"] is None else f"{row['difference']:.0e}"
        ms = "" if row["ms"] is None else f"{row['ms']:.0f}"
        theirs = torch_step(name, image, row["classes"], row["batch"]) if timed else None
        cells = [
            name,
            "x".join(map(str, image)),
            row["classes"],
            f"{row['parameters']:,}",
            f"{row['multiply_adds'] / 1e6:,.0f} M",
            row["batch"],
            f"{row['bp_bytes'] / 2**20:.0f}",
            f"{row['man_bytes'] / 2**20:.0f}",
            difference,
            ms,
            "" if theirs is None else f"{theirs:.0f}",
        ]
        rows.append("| " + " | ".join(map(str, cells)) + " |\n")
    (ROOT / "docs" / "zoo.md").write_text(HEAD + "".join(rows))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["logits"]:
            logits()
        case ["table"]:
            table(False)
        case ["table", "--time"]:
            table(True)
        case _:
            sys.exit(__doc__)
