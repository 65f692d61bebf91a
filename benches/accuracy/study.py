#!/usr/bin/env python3
"""How accurate each way to train is, beside its memory and its time; on CIFAR-10, one recipe for all (study.json).

    cargo build --release
    benches/accuracy/study.py run --data CIFAR                       every way, ResNet-20, seed 0
    benches/accuracy/study.py run --data CIFAR --model resnet32 --seeds 0,1,2 bp man-dgl-4
    benches/accuracy/study.py run --data CIFAR --hold-out 5000 bp    judged by the last 5,000 training images
    benches/accuracy/study.py table                                  what is in results.json, as a table
    benches/accuracy/study.py plot --out front.svg                   accuracy against memory and against time

A run that was cut off goes on where it last saved; one that is finished is not run again. The accuracy that counts is the
last epoch's. results.json keeps of each run: the command, the accuracy of every epoch, the weights' SHA-256, the measured
peak, the seconds of training, the seed and the version.
"""

import argparse
import hashlib
import json
import math
import statistics
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RESULTS = HERE / "results.json"
STUDY = json.loads((HERE / "study.json").read_text())
MIB = 1 << 20


def load():
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else []


def store(results):
    results.sort(key=lambda row: (row["model"], row["hold_out"], row["way"], row["seed"]))
    part = RESULTS.with_suffix(".part")
    part.write_text("[\n" + ",\n".join(json.dumps(row, sort_keys=True) for row in results) + "\n]\n")
    part.rename(RESULTS)


def command(options, way, seed):
    units = str(STUDY["units"][options.model])
    words = [word.replace("UNITS", units) for word in STUDY["ways"][way]]
    words = ["--model", options.model, *words, *STUDY["recipe"], "--seed", str(seed)]
    return words + (["--hold-out", str(options.hold_out)] if options.hold_out else [])


def run_one(options, way, seed):
    """Trains, or goes on, and answers what is kept of it."""
    words = command(options, way, seed)
    held = f"-held-{options.hold_out}" if options.hold_out else ""
    out = options.work / f"{options.model}-{way}{held}-{seed}"
    place = ["--data", str(options.data), "--out", str(out), "--threads", str(options.threads), "--json"]
    begun = (out / "run.json").exists()
    line = [str(options.program), "train", *(["--resume"] if begun else words), *place]
    print(" ".join(line), flush=True)
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    records = [json.loads(text) for text in (out / "metrics.jsonl").read_text().splitlines()]
    done = [record for record in records if record["event"] == "done"][-1]
    epochs = {record["epoch"]: record["accuracy"] for record in records if record["event"] == "epoch"}
    version = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    return {
        "model": options.model,
        "way": way,
        "seed": seed,
        "hold_out": options.hold_out,
        "command": "localgrad train --data CIFAR " + " ".join(words),
        "accuracies": [epochs[epoch] for epoch in sorted(epochs)],
        "accuracy": done["accuracy"],
        "weights_sha256": hashlib.sha256((out / "weights.safetensors").read_bytes()).hexdigest(),
        "peak_bytes": done["peak_bytes"],
        "resident_peak_bytes": done.get("resident_peak_bytes"),
        "seconds": done["seconds"],
        "threads": options.threads,
        "version": version.strip(),
    }


def run(options):
    options.work.mkdir(parents=True, exist_ok=True)
    unknown = [way for way in options.ways if way not in STUDY["ways"]]
    if unknown:
        raise SystemExit(f"no such way: {', '.join(unknown)}; there are {', '.join(STUDY['ways'])}")
    for seed in options.seeds:
        for way in options.ways or STUDY["ways"]:
            key = (options.model, way, seed, options.hold_out)
            if any((row["model"], row["way"], row["seed"], row["hold_out"]) == key for row in load()):
                continue
            row = run_one(options, way, seed)
            store(load() + [row])
            print(f"{options.model} {way} seed {seed}: {100 * row['accuracy']:.2f} %", flush=True)


def grouped():
    """Each way's runs on the test images, by network."""
    groups = {}
    for row in load():
        if not row["hold_out"]:
            groups.setdefault((row["model"], row["way"]), []).append(row)
    return groups


def mean(rows, key):
    return statistics.mean(row[key] for row in rows)


def table(_options):
    print("| network | way | test accuracy | seeds | peak MiB | of bp's | seconds | of bp's |")
    print("|---|---|---|---|---|---|---|---|")
    groups = grouped()
    for (model, way), rows in sorted(groups.items(), key=lambda item: (item[0][0], -mean(item[1], "accuracy"))):
        accuracies = [100 * row["accuracy"] for row in rows]
        spread = f" ± {statistics.stdev(accuracies):.2f}" if len(rows) > 1 else ""
        whole = groups.get((model, "bp"))
        share = lambda key: f"{mean(rows, key) / mean(whole, key):.2f}" if whole else ""
        print(
            f"| {model} | {way} | {statistics.mean(accuracies):.2f}{spread} % | {len(rows)} "
            f"| {mean(rows, 'peak_bytes') / MIB:.1f} | {share('peak_bytes')} "
            f"| {mean(rows, 'seconds'):.0f} | {share('seconds')} |"
        )


def panel(groups, key, unit, title, left):
    """One chart: accuracy upwards, `key` to the right on a logarithmic scale."""
    width, height, margin = 380, 300, 50
    points = [(way, mean(rows, key) / unit, 100 * mean(rows, "accuracy")) for (_, way), rows in groups.items()]
    low, high = min(x for _, x, _ in points), max(x for _, x, _ in points)
    bottom, top = min(y for *_, y in points) - 1, max(y for *_, y in points) + 1
    across = lambda x: left + margin + (width - 2 * margin) * (math.log(x / low) / (math.log(high / low) or 1))
    up = lambda y: height - margin - (height - 2 * margin) * (y - bottom) / (top - bottom)
    text = f'<text x="{left + width / 2}" y="20" text-anchor="middle">{title}</text>'
    for x in (low, math.sqrt(low * high), high):
        text += f'<text x="{across(x):.1f}" y="{height - margin + 18}" text-anchor="middle">{x:.0f}</text>'
    for y in range(math.ceil(bottom), math.floor(top) + 1, max(1, round((top - bottom) / 6))):
        text += f'<text x="{left + margin - 8}" y="{up(y):.1f}" text-anchor="end">{y}</text>'
        text += f'<path d="M{left + margin} {up(y):.1f}h{width - 2 * margin}" stroke="#ddd"/>'
    for way, x, y in points:
        color = "#c33" if way == "bp" else "#369"
        text += f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="4" fill="{color}"/>'
        text += f'<text x="{across(x) + 6:.1f}" y="{up(y) + 4:.1f}" font-size="9">{way}</text>'
    return text


def plot(options):
    groups = {key: rows for key, rows in grouped().items() if key[0] == options.model}
    if len(groups) < 2:
        raise SystemExit(f"results.json has fewer than two ways to train {options.model}; run some first")
    memory = panel(groups, "peak_bytes", MIB, f"{options.model}: test accuracy, % / peak, MiB", 0)
    time = panel(groups, "seconds", 1, f"{options.model}: test accuracy, % / seconds", 400)
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 300" font-family="sans-serif" font-size="11">'
    options.out.write_text(f'{head}<rect width="800" height="300" fill="white"/>{memory}{time}</svg>\n')


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = words.add_subparsers(required=True)
    one = commands.add_parser("run")
    one.add_argument("ways", nargs="*", help="[all]")
    one.add_argument("--data", type=Path, required=True, help="directory of CIFAR-10's binary version")
    one.add_argument("--model", choices=STUDY["units"], default="resnet20")
    one.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0])
    one.add_argument("--hold-out", type=int, default=0, metavar="N")
    one.add_argument("--threads", type=int, default=2)
    one.add_argument("--work", type=Path, default=ROOT / "runs" / "accuracy", help="where runs go")
    one.add_argument("--program", type=Path, default=ROOT / "target" / "release" / "localgrad")
    one.set_defaults(work_on=run)
    commands.add_parser("table").set_defaults(work_on=table)
    two = commands.add_parser("plot")
    two.add_argument("--model", choices=STUDY["units"], default="resnet20")
    two.add_argument("--out", type=Path, required=True)
    two.set_defaults(work_on=plot)
    options = words.parse_args()
    options.work_on(options)


if __name__ == "__main__":
    main()
