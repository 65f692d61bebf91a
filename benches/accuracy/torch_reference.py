#!/usr/bin/env python3
"""The study's recipe in PyTorch, end to end: a check of the engine. Takes the words of `localgrad train` that the study uses.

    pip install torch numpy safetensors
    benches/accuracy/torch_reference.py --data CIFAR --model resnet20 --batch 128 --epochs 30 --schedule cosine-to-zero \
        --lr 0.1 --warmup 2 --seed 0 --threads 2 --out RUN

A run that was cut off goes on with the epoch it was in.
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from torch_networks import network

MEAN = torch.tensor([125.3, 123.0, 113.9]).view(1, 3, 1, 1) / 255
DEVIATION = torch.tensor([63.0, 62.1, 66.7]).view(1, 3, 1, 1) / 255
PADDING = 4
START_RATE = 0.01
EVALUATION_BATCH = 500


def read(directory, names):
    """Images [N, 3, 32, 32] as bytes, and labels, of CIFAR-10's binary files."""
    records = np.concatenate([np.fromfile(directory / name, np.uint8).reshape(-1, 3073) for name in names])
    return torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32).copy()), torch.from_numpy(records[:, 0].astype(np.int64))


def prepared(images):
    return ((images.float() / 255 - MEAN) / DEVIATION).contiguous(memory_format=torch.channels_last)


def augmented(images, generator):
    """Each image reflected by 4 at its edges, a random 32x32 window of it, every other one mirrored."""
    count, _, height, width = images.shape
    padded = nn.functional.pad(images.float(), [PADDING] * 4, mode="reflect").to(torch.uint8)
    offset = torch.randint(2 * PADDING + 1, (2, count, 1), generator=generator)
    rows = offset[0] + torch.arange(height)
    columns = offset[1] + torch.arange(width)
    mirrored = torch.rand(count, 1, generator=generator) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    return padded[torch.arange(count).view(-1, 1, 1), :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)


def initialize(model):
    """Convolutions normal, sqrt(2 / (k·k·out)); the rest as PyTorch makes it."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
            nn.init.normal_(module.weight, 0, math.sqrt(2 / fan_out))


def rate(base, epoch, epochs, warmup):
    """Half a cosine to 0 with warm-up (`--schedule cosine-to-zero`); epochs count from 1."""
    cosine = base * (1 + math.cos(math.pi * epoch / epochs)) / 2
    warmup = min(warmup, epochs // 4)
    if epoch > warmup:
        return cosine
    return cosine * (epoch - 1) / warmup + min(START_RATE, base) * (warmup + 1 - epoch) / warmup


def accuracy(model, images, labels):
    model.eval()
    with torch.no_grad():
        parts = zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH))
        right = sum((model(prepared(x)).argmax(1) == y).sum().item() for x, y in parts)
    return right / len(labels)


def train_epoch(model, optimizer, images, labels, options, epoch):
    generator = torch.Generator().manual_seed(1000 * options.seed + epoch)
    model.train()
    for chosen in torch.randperm(len(labels), generator=generator).split(options.batch):
        optimizer.zero_grad()
        x = prepared(augmented(images[chosen], generator))
        nn.functional.cross_entropy(model(x), labels[chosen]).backward()
        optimizer.step()


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--data", type=Path, required=True)
    words.add_argument("--out", type=Path, required=True)
    words.add_argument("--model", default="resnet20")
    words.add_argument("--batch", type=int, default=128)
    words.add_argument("--epochs", type=int, default=30)
    words.add_argument("--schedule", choices=["cosine-to-zero"], default="cosine-to-zero")
    words.add_argument("--lr", type=float, default=0.1)
    words.add_argument("--warmup", type=int, default=2)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--threads", type=int, default=2)
    words.add_argument("--hold-out", type=int, default=0)
    options = words.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    images, labels = read(options.data, [f"data_batch_{number}.bin" for number in range(1, 6)])
    if options.hold_out:
        learnt = len(labels) - options.hold_out
        (images, test_images), (labels, test_labels) = images.split([learnt, options.hold_out]), labels.split([learnt, options.hold_out])
    else:
        test_images, test_labels = read(options.data, ["test_batch.bin"])

    model = network(options.model, (3, 32, 32), 10)
    initialize(model)
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=options.lr, momentum=0.9, nesterov=True, weight_decay=1e-4)
    options.out.mkdir(parents=True, exist_ok=True)
    saved, metrics = options.out / "state.pt", options.out / "metrics.jsonl"
    first, seconds = 1, 0.0
    if saved.exists():
        state = torch.load(saved)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first, seconds = state["epoch"] + 1, state["seconds"]
    if metrics.exists():
        # What was written after the state was saved, or was cut short, comes again.
        lines = metrics.read_text().splitlines(keepends=True)
        metrics.write_text("".join(lines[: first - 1]))
    for epoch in range(first, options.epochs + 1):
        start = time.monotonic()
        for group in optimizer.param_groups:
            group["lr"] = rate(options.lr, epoch, options.epochs, options.warmup)
        train_epoch(model, optimizer, images, labels, options, epoch)
        seconds += time.monotonic() - start
        record = {"event": "epoch", "epoch": epoch, "accuracy": accuracy(model, test_images, test_labels), "seconds": seconds}
        with metrics.open("a") as file:
            file.write(json.dumps(record) + "\n")
        print(json.dumps(record), flush=True)
        part = saved.with_suffix(".part")
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch, "seconds": seconds}, part)
        part.rename(saved)
    weights = options.out / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, weights)
    done = {"event": "done", "accuracy": accuracy(model, test_images, test_labels), "seconds": seconds}
    with metrics.open("a") as file:
        file.write(json.dumps(done) + "\n")


if __name__ == "__main__":
    main()
