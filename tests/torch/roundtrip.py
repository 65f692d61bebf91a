#!/usr/bin/env python3
"""Weights on their way between localgrad and PyTorch.

    roundtrip.py write DIRECTORY        weights.safetensors of a small residual network, and cases.safetensors: images
                                        and the logits that PyTorch gives them
    roundtrip.py read WEIGHTS CASES     whether PyTorch gives the same logits by the weights that localgrad exported
    roundtrip.py blocks CHECKPOINT      whether the two lines of docs/checkpoint-format.md load a checkpoint
"""

import sys
from glob import glob
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn


class Unit(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.downsample(x))


class Small(nn.Module):
    """A CIFAR ResNet of one unit a stage."""

    def __init__(self, widths):
        super().__init__()
        self.conv1 = nn.Conv2d(1, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.layer1 = nn.Sequential(Unit(widths[0], widths[1], 1))
        self.layer2 = nn.Sequential(Unit(widths[1], widths[2], 2))
        self.layer3 = nn.Sequential(Unit(widths[2], widths[3], 2))
        self.fc = nn.Linear(widths[3], 10)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        return self.fc(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


WIDTHS = (4, 4, 8, 8)


def write(directory):
    torch.manual_seed(1)
    network = Small(WIDTHS)
    network.train()
    for _ in range(20):  # running statistics of their own
        network(torch.randn(16, 1, 12, 12))
    network.eval()
    images = torch.randn(4, 1, 12, 12)
    with torch.no_grad():
        logits = network(images)
    save_file(network.state_dict(), Path(directory) / "weights.safetensors")
    save_file({"images": images, "logits": logits}, Path(directory) / "cases.safetensors")


def read(weights, cases):
    network, cases = Small(WIDTHS), load_file(cases)
    missing, unexpected = network.load_state_dict(load_file(weights), strict=False)
    assert not unexpected, unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing), missing
    network.eval()
    with torch.no_grad():
        error = (network(cases["images"]) - cases["logits"]).abs().max().item()
    assert error < 1e-4, error


def blocks(checkpoint):
    model = Small((2, 2, 3, 4))
    state = {k: v for f in sorted(glob(f"{checkpoint}/block-*.safetensors")) for k, v in load_file(f).items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert all(name.endswith("num_batches_tracked") for name in missing), missing
    assert all(name.startswith(("aux.", "optimizer.")) for name in unexpected), unexpected
    assert any(name.startswith("optimizer.momentum.conv1") for name in unexpected), unexpected


if __name__ == "__main__":
    {"write": write, "read": read, "blocks": blocks}[sys.argv[1]](*sys.argv[2:])
