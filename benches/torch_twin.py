#!/usr/bin/env python3
"""Times `localgrad bench` beside the same network and batch in PyTorch, and compares their peak memory.

    cargo build --release && pip install torch
    python3 benches/torch_twin.py --model resnet32 --batch 64 --threads 1 -- --rule greedy --blocks 16
    python3 benches/torch_twin.py --suite > table.md

PyTorch trains the network end to end (SGD, momentum 0.9, Nesterov, f32) in both of its memory formats. Ours and
theirs take turns step by step, in one run, each idle while another steps, with equal threads. A ratio is the median
over the rounds of our step's time divided by that, in the same round, of PyTorch's faster format. Rounds in which
other processes (or the host of a virtual machine) took more than a tenth of a core do not count; a row that had too
few others is marked.

Memory: `live` is what the allocator had given out at its peak (theirs: torch.profiler's memory events), `resident` how
far the process grew in the system's eyes; both count weights, batch and everything of a step, beyond what was
there before the network was made. Theirs comes from fresh processes; the smaller of both formats counts.
"""

import argparse
import ctypes
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target/release/localgrad"
FORMATS = ("contiguous", "channels_last")
# PyTorch's workers go on spinning for a moment after a step; nobody else steps during it.
SETTLE_SECONDS = 0.01
# Cores that others may use during a round that counts.
QUIET_CORES = 0.1
# Without quiet rounds, give up after this many times the usual seconds.
PATIENCE = 3
MIB = 1 << 20


@dataclass
class Case:
    """A network, its batch, and the ways in which we train it beside PyTorch's end-to-end step."""

    model: str
    batch: int
    image: tuple = (3, 32, 32)
    classes: int = 10
    ways: dict = field(default_factory=lambda: {"bp": []})

    def words(self):
        image = "x".join(map(str, self.image))
        return ["--model", self.model, "--batch", str(self.batch), "--input", image, "--classes", str(self.classes)]


EVERY_UNIT = ",".join(map(str, range(16)))
RESNET32_WAYS = {
    "bp": [],
    "greedy, 16 blocks": ["--rule", "greedy", "--blocks", "16"],
    "man + infopro, 4 blocks": ["--rule", "man", "--head", "infopro", "--blocks", "4"],
    "man + infopro, 16 blocks": ["--rule", "man", "--head", "infopro", "--blocks", "16"],
    "man + infopro, 16 blocks, recompute": [
        "--rule", "man", "--head", "infopro", "--blocks", "16", "--recompute",
    ],
    "auglocal d=2, 16 blocks": ["--rule", "auglocal", "--aux-depth", "2", "--ends", EVERY_UNIT],
    "auglocal d=2, 16 blocks, recompute": [
        "--rule", "auglocal", "--aux-depth", "2", "--ends", EVERY_UNIT, "--recompute",
    ],
}
SUITE = [
    Case("resnet32", 64, ways=RESNET32_WAYS),
    Case("resnet32", 128, ways=RESNET32_WAYS),
    Case("resnet18", 32),
    Case("resnet50", 8, (3, 224, 224), 1000),
    Case("vgg11_bn", 64),
    Case("mobilenet_v2", 64),
    Case("mobilenet_v2", 8, (3, 224, 224), 1000),
    Case("mobilenet_v3_small", 8, (3, 224, 224), 1000),
    Case("efficientnet_b0", 8, (3, 224, 224), 1000),
    Case("efficientnet_lite0", 8, (3, 224, 224), 1000),
]
# What the project asks of itself: time, live and resident memory as shares of PyTorch's end-to-end training.
BOUNDS = {
    ("resnet32", "bp"): (0.55, 0.8, 0.55),
    ("resnet18", "bp"): (0.6, 0.8, 0.55),
    ("resnet50", "bp"): (0.75, 0.8, 0.55),
    ("vgg11_bn", "bp"): (0.55, 0.8, 0.55),
    ("mobilenet_v2", "bp"): (0.5, 0.8, 0.55),
    ("resnet32", "greedy, 16 blocks"): (0.45, 0.13, 0.13),
    ("resnet32", "man + infopro, 4 blocks"): (0.9, None, None),
    ("resnet32", "man + infopro, 16 blocks"): (None, 0.4, 0.4),
    ("resnet32", "man + infopro, 16 blocks, recompute"): (None, 0.25, 0.25),
    ("resnet32", "auglocal d=2, 16 blocks"): (1.4, 0.25, 0.25),
    ("resnet32", "auglocal d=2, 16 blocks, recompute"): (None, 0.25, 0.25),
}


class Ours:
    """A `localgrad bench --serve` process."""

    def __init__(self, program, case, way, threads):
        self.command = ["bench", *case.words(), "--threads", str(threads), *way]
        self.process = subprocess.Popen(
            [program, *self.command, "--serve", "--json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.seconds = []

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"localgrad {' '.join(self.command)} ended with code {self.process.wait()}")
        return json.loads(line)

    def step(self):
        self.process.stdin.write("step 1\n")
        self.process.stdin.flush()
        self.seconds += self.answer()["seconds"]

    def finish(self):
        """The process's own result, its memory among it."""
        self.process.stdin.close()
        result = self.answer()
        self.process.wait()
        return result


class Theirs:
    """The network in PyTorch, in one memory format."""

    def __init__(self, case, memory_format):
        import torch
        from torch_networks import network

        self.torch = torch
        layout = getattr(torch, memory_format + "_format") if memory_format == "contiguous" else torch.channels_last
        self.network = network(case.model, case.image, case.classes).to(memory_format=layout).train()
        parameters = self.network.parameters()
        self.optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4, fused=True)
        images = torch.rand(case.batch, *case.image) * 2 - 1
        self.images = images.to(memory_format=layout)
        self.labels = torch.randint(case.classes, (case.batch,))
        self.seconds = []

    def step(self):
        start = time.perf_counter()
        self.optimizer.zero_grad()
        loss = self.torch.nn.functional.cross_entropy(self.network(self.images), self.labels)
        loss.backward()
        self.optimizer.step()
        loss.item()
        self.seconds.append(time.perf_counter() - start)

    def parameters(self):
        return sum(p.numel() for p in self.network.parameters())


def check_same_network(program, case, theirs):
    """Both sides train equally many numbers."""
    words = [program, "inspect", "--model", case.model, "--input", "x".join(map(str, case.image))]
    words += ["--classes", str(case.classes), "--rule", "bp", "--json"]
    ours = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)["parameters"]
    if ours != theirs:
        raise SystemExit(f"{case.model} has {ours} parameters, its twin {theirs}")


def status_bytes(key):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"/proc/self/status has no {key}")


def their_memory(case, memory_format, threads, kind):
    """Runs in a process of its own: the peak of a few steps, `live` or `resident`."""
    import torch

    torch.set_num_threads(threads)
    # What any use of PyTorch costs once is not the network's.
    tiny = Theirs(Case("resnet8", 2), memory_format)
    tiny.step()
    del tiny
    if kind == "resident":
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = status_bytes("VmRSS")
        train = Theirs(case, memory_format)
        for _ in range(4):
            train.step()
        return status_bytes("VmHWM") - before
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        train = Theirs(case, memory_format)
        for _ in range(3):
            train.step()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    live = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak


def memory_in_fresh_process(case, memory_format, threads, kind):
    request = {"case": [case.model, case.batch, case.image, case.classes], "format": memory_format}
    request |= {"threads": threads, "kind": kind}
    words = [sys.executable, __file__, "--memory", json.dumps(request)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"measuring PyTorch's {kind} memory failed:\n{done.stderr}")
    return int(done.stdout.splitlines()[-1])


def others_seconds(pids):
    """Processor seconds since boot of everybody but these processes; time stolen by a host counts."""
    try:
        fields = [int(word) for word in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
        # user, nice, system, idle, waiting, interrupts twice, stolen
        ticks = sum(fields[:3]) + sum(fields[5:8])
        for pid in pids:
            # User and system time stand behind the name, which may hold spaces.
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks -= int(words[11]) + int(words[12])
    except FileNotFoundError:
        return 0.0
    return ticks / os.sysconf("SC_CLK_TCK")


def take_rounds(everyone, pids, options):
    """Everyone steps once a round; returns the numbers of the rounds that count, and whether they were quiet."""
    loads = []
    quiet = []
    start = time.monotonic()
    while len(quiet) < options.rounds:
        passed = time.monotonic() - start
        if passed > options.seconds and len(quiet) >= options.least_rounds:
            break
        if passed > PATIENCE * options.seconds and len(loads) >= options.least_rounds:
            break
        before, busy = time.monotonic(), others_seconds(pids)
        for subject in everyone:
            subject.step()
            time.sleep(SETTLE_SECONDS)
        loads.append((others_seconds(pids) - busy) / (time.monotonic() - before))
        quiet = [number for number, load in enumerate(loads) if load <= QUIET_CORES]
    if len(quiet) >= options.least_rounds:
        return quiet, True
    return sorted(range(len(loads)), key=lambda number: loads[number])[: options.least_rounds], False


def compare(case, threads, options):
    """One row for each of our ways."""
    import torch

    torch.set_num_threads(threads)
    theirs = {name: Theirs(case, name) for name in FORMATS}
    check_same_network(options.program, case, theirs["contiguous"].parameters())
    ours = {name: Ours(options.program, case, way, threads) for name, way in case.ways.items()}
    everyone = [*ours.values(), *theirs.values()]
    for subject in everyone:
        for _ in range(2):
            subject.step()
        subject.seconds.clear()
    pids = [os.getpid(), *(subject.process.pid for subject in ours.values())]
    rounds, quiet = take_rounds(everyone, pids, options)
    for subject in everyone:
        subject.seconds = [subject.seconds[number] for number in rounds]
    best_format = min(FORMATS, key=lambda name: statistics.median(theirs[name].seconds))
    best = theirs[best_format].seconds
    del everyone, theirs
    memory = {
        kind: min(memory_in_fresh_process(case, name, threads, kind) for name in FORMATS) for kind in ("live", "resident")
    }
    for name, subject in ours.items():
        result = subject.finish()
        ratios = sorted(a / b for a, b in zip(subject.seconds, best))
        yield {
            "model": case.model,
            "side": case.image[1],
            "batch": case.batch,
            "threads": threads,
            "way": name,
            "rounds": len(best),
            "quiet": quiet,
            "step_seconds": statistics.median(subject.seconds),
            "torch_seconds": statistics.median(best),
            "torch_format": best_format,
            "ratio": statistics.median(ratios),
            "ratio_quartiles": [ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]],
            "peak_share": result["gflops"] / result["matmul_peak_gflops"],
            "matmul_peak_gflops": result["matmul_peak_gflops"],
            "live": result["peak_bytes"],
            "torch_live": memory["live"],
            "resident": result["resident_bytes"],
            "torch_resident": memory["resident"],
            "large_allocations": result["large_allocations"],
        }


def beside(ratio, bound):
    """A ratio and what it should be at most."""
    if bound is None:
        return f"{ratio:.2f}"
    return f"**{ratio:.2f}** > {bound}" if ratio > bound else f"{ratio:.2f} ≤ {bound}"


HEADER = [
    *["network", "batch", "threads", "ours", "ours ms", "PyTorch ms", "time ratio", "of matmul peak"],
    *["live MiB", "PyTorch", "live ratio", "resident MiB", "PyTorch", "resident ratio", "large allocations a step"],
]


def cells(row):
    low, high = row["ratio_quartiles"]
    time_bound, live_bound, resident_bound = BOUNDS.get((row["model"], row["way"]), (None, None, None))
    short = {"contiguous": "NCHW", "channels_last": "NHWC"}[row["torch_format"]]
    return [
        f"{row['model']} {row['side']}²",
        str(row["batch"]),
        str(row["threads"]),
        row["way"],
        f"{1e3 * row['step_seconds']:.1f}",
        f"{1e3 * row['torch_seconds']:.1f} {short}",
        f"{beside(row['ratio'], time_bound)} ({low:.2f} to {high:.2f})" + ("" if row["quiet"] else " disturbed"),
        f"{100 * row['peak_share']:.0f} %",
        f"{row['live'] / MIB:.1f}",
        f"{row['torch_live'] / MIB:.1f}",
        beside(row["live"] / row["torch_live"], live_bound),
        f"{row['resident'] / MIB:.1f}",
        f"{row['torch_resident'] / MIB:.1f}",
        beside(row["resident"] / row["torch_resident"], resident_bound),
        str(row["large_allocations"]),
    ]


def machine(program):
    """On what machine and with which programs this is measured."""
    import torch

    about = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":")[1].strip() for line in about if line.startswith("model name")), platform.processor())
    vectors = next((line for line in about if line.startswith("flags")), "")
    vectors = [name for name in ("avx2", "avx512f", "amx_tile") if f" {name} " in vectors + " "]
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return (
        f"{model}, {os.cpu_count()} cores, {' '.join(vectors)}, {platform.system()} {platform.release()}",
        f"{version}, PyTorch {torch.__version__}, Python {platform.python_version()}",
    )


def circumstances(options):
    """Where, when and how this was measured, as Markdown."""
    where, versions = machine(options.program)
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return "\n".join(
        [
            f"- machine: {where}",
            f"- date: {datetime.date.today().isoformat()}; load before: {os.getloadavg()[0]:.1f}",
            f"- versions: {versions}, commit {commit.stdout.strip()}",
            f"- command: `{' '.join([f'benches/{Path(sys.argv[0]).name}', *sys.argv[1:]])}`",
        ]
    )


def print_table(cases, options):
    print(circumstances(options), end="\n\n", flush=True)
    print("| " + " | ".join(HEADER) + " |")
    print("|" + "---|" * len(HEADER), flush=True)
    peaks, rows = {}, []
    for case in cases:
        for threads in options.threads:
            for row in compare(case, threads, options):
                rows.append(row)
                peaks[threads] = max(peaks.get(threads, 0), row["matmul_peak_gflops"])
                print("| " + " | ".join(cells(row)) + " |", flush=True)
    best = ", ".join(f"{peak:.0f} with {threads}" for threads, peak in peaks.items())
    print(
        f"\nMatrix-product peak in GFLOP/s, by threads: {best}. Bold: above the bound beside it. "
        "In parentheses: quartiles over the rounds."
    )
    if options.json:
        options.json.write_text("".join(json.dumps(row) + "\n" for row in rows))


def add_timing_words(words, seconds):
    """The words of every comparison: threads, and how long it may take."""
    words.add_argument("--threads", default="1,2", help="numbers of threads, such as 1,2")
    words.add_argument("--rounds", type=int, default=15, help="rounds at most")
    words.add_argument("--least-rounds", type=int, default=5, help="rounds at least, however long they take")
    words.add_argument("--seconds", type=float, default=seconds, help="no new round after this long")
    words.add_argument("--program", type=Path, default=PROGRAM, help="our program [target/release/localgrad]")
    words.add_argument("--json", type=Path, metavar="FILE", help="also write every row as a JSON line")
    words.add_argument("--memory", help=argparse.SUPPRESS)


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--suite", action="store_true", help="every comparison of the project's table")
    words.add_argument("--only", metavar="MODEL", help="of the suite, only this network")
    words.add_argument("--model", default="resnet32")
    words.add_argument("--batch", type=int, default=64)
    words.add_argument("--input", default="3x32x32", metavar="CxHxW")
    words.add_argument("--classes", type=int, default=10)
    add_timing_words(words, 30)
    words.add_argument("way", nargs="*", help="after --: further words for `localgrad bench`")
    options = words.parse_args()
    options.threads = [int(number) for number in options.threads.split(",")]
    if options.memory:
        request = json.loads(options.memory)
        model, batch, image, classes = request["case"]
        case = Case(model, batch, tuple(image), classes)
        print(their_memory(case, request["format"], request["threads"], request["kind"]))
        return
    if not options.program.exists():
        raise SystemExit(f"{options.program} is missing: cargo build --release")
    if options.suite:
        cases = [case for case in SUITE if options.only in (None, case.model)]
    else:
        image = tuple(map(int, options.input.split("x")))
        name = " ".join(options.way) or "bp"
        cases = [Case(options.model, options.batch, image, options.classes, {name: options.way})]
    print_table(cases, options)


if __name__ == "__main__":
    main()
