#!/usr/bin/env python3
"""How accurate each way to train is, beside its memory and its time; on CIFAR-10, one recipe for all (study.json).

    cargo build --release
    benches/accuracy/study.py run --data CIFAR                       every way, ResNet-20, seed 0
    benches/accuracy/study.py run --data CIFAR --model resnet32 --seeds 0,1,2 bp man-dgl-4
    benches/accuracy/study.py run --data CIFAR --hold-out 5000 --epochs 10 bp    to choose by, on training images
    benches/accuracy/study.py run --data CIFAR torch                 PyTorch, end to end, the same recipe
    benches/accuracy/study.py measure                                peak and step of every way that has results
    benches/accuracy/study.py table                                  what is in results.json and measures.json
    benches/accuracy/study.py plot --out front.svg                   accuracy against memory and against time
    benches/accuracy/study.py publish                                both anew in docs/results.md, wherever it names them

A run that was cut off goes on where it last saved; one that is finished is not run again. The accuracy that counts is the
last epoch's. results.json keeps of each run: the command, the accuracy of every epoch, the weights' SHA-256, the measured
peak, the seconds of training, the seed and the version. Seconds depend on what else the machine did; `measure`, on an idle
machine, times a step of every way between steps of PyTorch, as it is and `lean`: with what changes no bit of the result but
keeps less (study.json says what).
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from present import grouped, plot, table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RESULTS = HERE / "results.json"
MEASURES = HERE / "measures.json"
STUDY = json.loads((HERE / "study.json").read_text())
TORCH = "torch"
# Few are timed together, so that a round of everybody's steps stays short.
FORMS_AT_ONCE = 6
LOCK = Lock()


def load(path):
    return json.loads(path.read_text()) if path.exists() else []


def store(path, row, keys):
    """Adds a row, in place of one with the same keys."""
    with LOCK:
        same = lambda other: all(other[key] == row[key] for key in keys)
        rows = [other for other in load(path) if not same(other)] + [row]
        rows.sort(key=lambda row: tuple(row[key] for key in keys))
        part = path.with_suffix(".part")
        part.write_text("[\n" + ",\n".join(json.dumps(row, sort_keys=True) for row in rows) + "\n]\n")
        part.rename(path)


def filled(words, model):
    """Words with the places where this network is cut."""
    return [STUDY["networks"][model].get(word, word) for word in words]


def suits(way, model):
    """Whether the network has such a cut."""
    places = [word for word in STUDY["ways"].get(way, []) if word.startswith("ENDS-")]
    return all(place in STUDY["networks"][model] for place in places)


def recipe(options):
    words = list(STUDY["recipe"])
    if options.epochs:
        words[words.index("--epochs") + 1] = str(options.epochs)
    return words + (["--hold-out", str(options.hold_out)] if options.hold_out else [])


def run_one(options, way, seed):
    """Trains, or goes on, and answers what is kept of it."""
    short = f"-{options.epochs}-epochs" if options.epochs else ""
    held = f"-held-{options.hold_out}" if options.hold_out else ""
    out = options.work / f"{options.model}-{way}{short}{held}-{seed}"
    place = ["--data", str(options.data), "--out", str(out), "--threads", str(options.threads)]
    words = ["--model", options.model, *recipe(options), "--seed", str(seed)]
    if way == TORCH:
        said = ["benches/accuracy/torch_reference.py", "--data", "CIFAR", *words]
        line = [sys.executable, str(HERE / "torch_reference.py"), *words, *place]
    else:
        words = filled(STUDY["ways"][way], options.model) + words
        said = ["localgrad", "train", "--data", "CIFAR", *words]
        begun = (out / "run.json").exists()
        line = [str(options.program), "train", *(["--resume"] if begun else words), *place, "--json"]
    # The commit that a run began with; others may follow before it ends.
    version = out.with_name(out.name + ".version")
    if not version.exists():
        version.write_text(subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout)
    if not finished(out):
        print(" ".join(line), flush=True)
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    records = finished(out)
    if not records:
        raise SystemExit(f"{out} was interrupted; the same command goes on with it")
    done = records[-1]
    epochs = {record["epoch"]: record["accuracy"] for record in records if record["event"] == "epoch"}
    return {
        "model": options.model,
        "way": way,
        "seed": seed,
        "hold_out": options.hold_out,
        "epochs": max(epochs),
        "command": " ".join(said),
        "accuracies": [epochs[epoch] for epoch in sorted(epochs)],
        "accuracy": done["accuracy"],
        "weights_sha256": hashlib.sha256((out / "weights.safetensors").read_bytes()).hexdigest(),
        "peak_bytes": done.get("peak_bytes"),
        "seconds": done["seconds"],
        "threads": options.threads,
        "version": version.read_text().strip(),
    }


def finished(out):
    """The records of a run that came to its end, up to its last one; none of one that was interrupted."""
    metrics = out / "metrics.jsonl"
    records = [json.loads(text) for text in metrics.read_text().splitlines()] if metrics.exists() else []
    ends = [number for number, record in enumerate(records) if record["event"] == "done" and not record.get("interrupted")]
    return records[: ends[-1] + 1] if ends else []


def epochs_of(options):
    words = recipe(options)
    return int(words[words.index("--epochs") + 1])


def found(options):
    """The results that the table or the plot is of, by way."""
    return grouped(load(RESULTS), options.model, options.hold_out, epochs_of(options))


KEYS = ("model", "hold_out", "epochs", "way", "seed")


def run(options):
    options.work.mkdir(parents=True, exist_ok=True)
    known = [*STUDY["ways"], TORCH]
    unknown = [way for way in options.ways if way not in known]
    if unknown:
        raise SystemExit(f"no such way: {', '.join(unknown)}; there are {', '.join(known)}")
    epochs = epochs_of(options)
    have = {tuple(row[key] for key in KEYS) for row in load(RESULTS)}
    wanted = [(way, seed) for seed in options.seeds for way in options.ways or known if suits(way, options.model)]
    wanted = [(way, seed) for way, seed in wanted if (options.model, options.hold_out, epochs, way, seed) not in have]

    def work(task):
        way, seed = task
        row = run_one(options, way, seed)
        store(RESULTS, row, KEYS)
        print(f"{options.model} {way} seed {seed}: {100 * row['accuracy']:.2f} %", flush=True)

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(work, wanted))


def measure(options):
    """Times every way that has results, as it is and lean, between steps of PyTorch."""
    sys.path.insert(0, str(ROOT / "benches"))
    from torch_twin import Case, compare

    ways = {row["way"] for row in load(RESULTS) if row["model"] == options.model and row["way"] in STUDY["ways"]}
    ways = [way for way in STUDY["ways"] if way in (options.ways or ways) and suits(way, options.model)]
    forms = [(way, lean) for way in ways for lean in (False, True)]
    for first in range(0, len(forms), FORMS_AT_ONCE):
        part = {}
        for way, lean in forms[first : first + FORMS_AT_ONCE]:
            words = STUDY["ways"][way] + (STUDY["lean"] if lean else [])
            part[f"{way}, lean" if lean else way] = filled(words, options.model)
        case = Case(options.model, STUDY["batch"], ways=part)
        for row in compare(case, options.threads, options):
            name = row["way"]
            way, _, lean = name.partition(", ")
            row |= {"way": way, "lean": bool(lean)}
            row["command"] = " ".join(["localgrad", "bench", *case.words(), *part[name]])
            store(MEASURES, row, ("model", "threads", "way", "lean"))
            share = row["live"] / row["torch_live"]
            print(f"{name}: {row['ratio']:.2f} of PyTorch's step, {share:.2f} of its peak", flush=True)


def publish(options, parse):
    """Makes anew each table of the page, which stands between the command that makes it and `<!-- end -->`, and each plot."""
    command = re.compile(r"<!-- study\.py (table|plot)(.*?) -->\n(.*?)<!-- end -->", re.DOTALL)

    def renewed(match):
        kind, words, _ = match.groups()
        asked = parse([kind, *words.split()])
        if kind == "table":
            text = table(found(asked), load(MEASURES), asked.model)
        else:
            asked.out = options.page.parent / asked.out
            asked.work_on(asked)
            text = f"![Accuracy against memory and time]({asked.out.name})"
        return f"<!-- study.py {kind}{words} -->\n{text}\n<!-- end -->"

    options.page.write_text(command.sub(renewed, options.page.read_text()))


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = words.add_subparsers(required=True)
    models = list(STUDY["networks"])
    program = ROOT / "target" / "release" / "localgrad"
    one = commands.add_parser("run")
    one.add_argument("ways", nargs="*", help="[all]")
    one.add_argument("--data", type=Path, required=True, help="directory of CIFAR-10's binary version")
    one.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0])
    one.add_argument("--threads", type=int, default=1, help="of each run")
    one.add_argument("--jobs", type=int, default=2, help="runs at once")
    one.add_argument("--work", type=Path, default=ROOT / "runs" / "accuracy", help="where runs go")
    one.add_argument("--program", type=Path, default=program)
    one.set_defaults(work_on=run)
    two = commands.add_parser("measure")
    two.add_argument("ways", nargs="*", help="[those with results]")
    two.add_argument("--threads", type=int, default=2)
    two.add_argument("--program", type=Path, default=program)
    two.add_argument("--rounds", type=int, default=9)
    two.add_argument("--least-rounds", type=int, default=5)
    two.add_argument("--seconds", type=float, default=40)
    two.set_defaults(work_on=measure)
    three = commands.add_parser("table")
    three.set_defaults(work_on=lambda options: print(table(found(options), load(MEASURES), options.model)))
    four = commands.add_parser("plot")
    four.add_argument("--out", type=Path, required=True)
    four.set_defaults(work_on=lambda o: o.out.write_text(plot(found(o), load(MEASURES), o.model)))
    for command in (one, two, three, four):
        command.add_argument("--model", choices=models, default="resnet20")
    for command in (one, three, four):
        command.add_argument("--hold-out", type=int, default=0, metavar="N", help="judge by the last N training images")
        command.add_argument("--epochs", type=int, metavar="N", help="another number than the recipe's")
    five = commands.add_parser("publish")
    five.add_argument("--page", type=Path, default=ROOT / "docs" / "results.md")
    five.set_defaults(work_on=lambda options: publish(options, words.parse_args))
    options = words.parse_args()
    options.work_on(options)


if __name__ == "__main__":
    main()
