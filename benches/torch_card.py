#!/usr/bin/env python3
"""Times PyTorch's eager step on a card, in f32 as `localgrad bench --device cuda` computes: TF32 is off.

    python3 benches/torch_card.py            # the networks that scripts/test-gpu.sh measures
    python3 benches/torch_card.py --device cpu --only resnet32 --steps 3    # whether it runs, without a card

Prints a JSON object for each network and memory format: the median step and, of a card, the most bytes that PyTorch's
allocator had in use and the most that it had from the driver.
"""

import argparse
import json
import statistics
import time

import torch
from torch_networks import network

# Network, batch, image, classes.
CASES = [
    ("resnet32", 128, (3, 32, 32), 10),
    ("resnet50", 32, (3, 224, 224), 1000),
    ("mobilenet_v2", 32, (3, 224, 224), 10),
]
WARM_UP_STEPS = 5


def measure(model, batch, image, classes, layout, device, steps):
    is_card = device.type == "cuda"
    if is_card:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    trained = network(model, image, classes).to(device, memory_format=layout).train()
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4, fused=True)
    images = (torch.rand(batch, *image, device=device) * 2 - 1).to(memory_format=layout)
    labels = torch.randint(classes, (batch,), device=device)
    seconds = []
    for _ in range(WARM_UP_STEPS + steps):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(trained(images), labels)
        loss.backward()
        optimizer.step()
        # Reading the loss waits for the card.
        loss.item()
        seconds.append(time.perf_counter() - start)
    row = {
        "model": model,
        "batch": batch,
        "format": "NCHW" if layout == torch.contiguous_format else "NHWC",
        "device": torch.cuda.get_device_name(device) if is_card else "cpu",
        "torch": torch.__version__,
        "step_seconds": statistics.median(seconds[WARM_UP_STEPS:]),
    }
    if is_card:
        row["peak_bytes"] = torch.cuda.max_memory_allocated(device)
        row["held_bytes"] = torch.cuda.max_memory_reserved(device)
    return row


def main():
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    words.add_argument("--device", default="cuda")
    words.add_argument("--only", metavar="MODEL")
    words.add_argument("--steps", type=int, default=30)
    options = words.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    device = torch.device(options.device)
    for model, *case in CASES:
        if options.only in (None, model):
            for layout in (torch.contiguous_format, torch.channels_last):
                print(json.dumps(measure(model, *case, layout, device, options.steps)), flush=True)


if __name__ == "__main__":
    main()
