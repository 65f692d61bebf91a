#!/usr/bin/env python3
"""How long training takes to begin: the program from its start to its first step, an app from lg_trainer_create to its first
event. Each time is that of a new process, the median of several rounds.

    cargo build --release
    python3 benches/startup.py --data CIFAR-10's folder

Two programs or libraries are measured in turns: --program NEW --program OLD, --libraries NEW --libraries OLD.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORDS = ["--rule", "man", "--head", "infopro", "--blocks", "4", "--batch", "8", "--steps", "1", "--hold-out", "100", "--json"]
# Network, side of its images and batch.
APPS = [("resnet20", 32, 8), ("resnet18", 32, 8), ("mobilenet_v2", 224, 8)]


def first_step_ms(program, words, threads):
    """From the start of a process to the begin of its first step: its record comes at the end, and says how long it took."""
    with tempfile.TemporaryDirectory() as directory:
        command = [program, "train", *words, *WORDS, "--threads", str(threads), "--out", f"{directory}/run"]
        started = time.monotonic()
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        found = None
        for line in run.stdout:
            came = time.monotonic()
            record = json.loads(line)
            if record["event"] == "step" and found is None:
                found = 1e3 * (came - started - 8 / record["samples_per_second"])
        if run.wait() != 0 or found is None:
            raise SystemExit(f"{' '.join(map(str, command))} failed")
        return found


def compiled(libraries, directory, number):
    """first_event.c against the shared library in this folder."""
    program = Path(directory) / f"first_event_{number}"
    source = [ROOT / "benches/first_event.c", f"-I{ROOT / 'ffi/include'}"]
    library = [f"-L{libraries}", "-llocalgrad", f"-Wl,-rpath,{Path(libraries).resolve()}", "-lpthread"]
    subprocess.run(["cc", "-std=gnu99", "-O2", *source, *library, "-o", program], check=True)
    return program


def app_ms(program, words):
    """From lg_trainer_create to its return, and to the first event."""
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=True)
    return tuple(map(float, done.stdout.split()))


def exported(program, model, data, directory):
    """A file of weights for images as CIFAR-10's, as an app brings one to fine-tune."""
    words = [program, "train", "--data", data, "--limit", "8", "--model", model, "--rule", "bp", "--steps", "1"]
    run = Path(directory) / model
    subprocess.run([*words, "--out", run], check=True, capture_output=True)
    return run / "weights.safetensors"


def show(name, times):
    print(f"| {name} | " + " | ".join(f"{statistics.median(column):.1f}" for column in times) + " |", flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--program", action="append", help="target/release/localgrad if nothing is said")
    arguments.add_argument("--libraries", action="append", help="folder of liblocalgrad.so; target/release")
    arguments.add_argument("--data", help="a folder with CIFAR-10 in binary")
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--threads", type=int, default=2)
    options = arguments.parse_args()
    programs = options.program or [ROOT / "target/release/localgrad"]
    libraries = options.libraries or [ROOT / "target/release"]
    for name, data in [("embedded images", "embedded"), ("CIFAR-10", options.data)]:
        if data is None:
            continue
        words = ["--model", "resnet20", "--data", data]
        rounds = [[first_step_ms(p, words, options.threads) for p in programs] for _ in range(options.rounds)]
        show(f"program, {name}", zip(*rounds))
    with tempfile.TemporaryDirectory() as directory:
        apps = [compiled(folder, directory, number) for number, folder in enumerate(libraries)]
        for model, side, batch in APPS:
            starts = [("", [])]
            if options.data is not None and side == 32:
                starts.append((" with weights of a file", [exported(programs[0], model, options.data, directory)]))
            for start, weights in starts:
                words = [model, side, batch, options.threads, *weights]
                rounds = [[time for app in apps for time in app_ms(app, words)] for _ in range(options.rounds)]
                show(f"app, {model} {side}², batch {batch}{start}", zip(*rounds))


if __name__ == "__main__":
    main()
