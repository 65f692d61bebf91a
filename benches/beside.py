"""What the comparisons with other frameworks share: both sides step in turns, as in torch_twin.py, and one table."""

import argparse
import ctypes
import gc
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import torch_twin
from torch_twin import MIB, Case, Ours

CASES = [
    Case("resnet20", 8),
    Case("resnet32", 64),
    Case("resnet18", 32),
    Case("mobilenet_v2", 8, (3, 224, 224), 1000),
]
# Steps whose peak counts as memory.
MEMORY_STEPS = 4


def resident(prepare, theirs, case, threads):
    """How far a process grows that trains there; runs in one of its own."""
    # What any use of the framework costs once is not the network's.
    tiny = theirs(Case("resnet8", 2), prepare(Case("resnet8", 2)), threads)
    tiny.step()
    del tiny
    prepared = prepare(case)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = torch_twin.status_bytes("VmRSS")
    train = theirs(case, prepared, threads)
    for _ in range(MEMORY_STEPS):
        train.step()
    return torch_twin.status_bytes("VmHWM") - before


def resident_in_fresh_process(case, threads):
    request = {"case": [case.model, case.batch, case.image, case.classes], "threads": threads}
    words = [sys.executable, sys.argv[0], "--memory", json.dumps(request)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"measuring the other's memory failed:\n{done.stderr}")
    return int(done.stdout.splitlines()[-1])


def compare(case, prepare, theirs, threads, options):
    """One row."""
    other = theirs(case, prepare(case), threads)
    torch_twin.check_same_network(options.program, case, other.parameters)
    ours = Ours(options.program, case, ["--rule", "bp"], threads)
    everyone = [ours, other]
    for subject in everyone:
        for _ in range(2):
            subject.step()
        subject.seconds.clear()
    pids = [os.getpid(), *(side.process.pid for side in everyone if hasattr(side, "process"))]
    rounds, quiet = torch_twin.take_rounds(everyone, pids, options)
    for subject in everyone:
        subject.seconds = [subject.seconds[number] for number in rounds]
    ratios = sorted(a / b for a, b in zip(ours.seconds, other.seconds))
    return {
        "model": Path(case.model).stem,
        "side": case.image[1],
        "batch": case.batch,
        "threads": threads,
        "quiet": quiet,
        "step_seconds": statistics.median(ours.seconds),
        "their_seconds": statistics.median(other.seconds),
        "ratio": statistics.median(ratios),
        "ratio_quartiles": [ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]],
        "resident": ours.finish()["resident_bytes"],
        # A side that has a process of its own knows itself how far that grew.
        "their_resident": other.finish() if hasattr(other, "process") else resident_in_fresh_process(case, threads),
    }


def cells(row):
    low, high = row["ratio_quartiles"]
    return [
        f"{row['model']} {row['side']}²",
        str(row["batch"]),
        str(row["threads"]),
        f"{1e3 * row['step_seconds']:.1f}",
        f"{1e3 * row['their_seconds']:.1f}",
        f"{row['ratio']:.2f} ({low:.2f} to {high:.2f})" + ("" if row["quiet"] else " disturbed"),
        f"{row['resident'] / MIB:.1f}",
        f"{row['their_resident'] / MIB:.1f}",
        f"{row['resident'] / row['their_resident']:.2f}",
    ]


def run(description, name, prepare, theirs):
    """The program of a comparison. `prepare` makes of a case what `theirs` trains, by PyTorch's means; `theirs(case, prepared,
    threads)` has `step`, `seconds` and `parameters`, the trained numbers."""
    words = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--only", metavar="MODEL", help="of the list, only this network")
    torch_twin.add_timing_words(words, 10)
    options = words.parse_args()
    if options.memory:
        request = json.loads(options.memory)
        model, batch, image, classes = request["case"]
        print(resident(prepare, theirs, Case(model, batch, tuple(image), classes), request["threads"]))
        return
    if not options.program.exists():
        raise SystemExit(f"{options.program} is missing: cargo build --release")
    print(torch_twin.circumstances(options), end="\n\n", flush=True)
    heads = ["network", "batch", "threads", "ours ms", f"{name} ms", "time ratio", "resident MiB", name, "resident ratio"]
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads), flush=True)
    rows = []
    for case in CASES:
        for threads in map(int, options.threads.split(",")) if options.only in (None, Path(case.model).stem) else ():
            rows.append(compare(case, prepare, theirs, threads, options))
            print("| " + " | ".join(cells(rows[-1])) + " |", flush=True)
    if options.json:
        options.json.write_text("".join(json.dumps(row) + "\n" for row in rows))
