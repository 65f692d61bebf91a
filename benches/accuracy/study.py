#!/usr/bin/env python3
"""How accurate each way to train is, beside its memory and its time; on CIFAR-10, one recipe for all (study.json).

    cargo build --release
    benches/accuracy/study.py run --data CIFAR                       every way, ResNet-20, seed 0
    benches/accuracy/study.py run --data CIFAR --model resnet32 --seeds 0,1,2 bp man-dgl-4
    benches/accuracy/study.py run --data CIFAR --hold-out 5000 --epochs 10 bp    to choose by, on training images
    benches/accuracy/study.py run --data CIFAR bp-rate-0.05          any way, at another rate than the recipe's
    benches/accuracy/study.py run --data CIFAR torch                 PyTorch, end to end, the same recipe
    benches/accuracy/study.py run --data CIFAR --again bp            a result anew; says whether it is the same, to the bit
    benches/accuracy/study.py measure                                peak and step of every way that has results
    benches/accuracy/study.py table                                  what is in results.json and measures.json
    benches/accuracy/study.py rates                                  the ways that have results at several rates
    benches/accuracy/study.py plot --out front.svg                   accuracy against memory and against time
    benches/accuracy/study.py publish                                all of these anew in docs/results.md, wherever they stand

A run that was cut off goes on where it last saved; one that is finished is not run again. The accuracy that counts is the
last epoch's. results.json keeps of each run: the command, the accuracy of every epoch, the weights' SHA-256, the measured
peak, the seconds of training, the seed and the version, which is the commit that the program was built from. Seconds depend
on what else the machine did; `measure`, on an idle machine, times a step of every way between steps of PyTorch, as it is and
`lean`: with what changes no bit of the result but keeps less (study.json says what).
"""

import argparse
import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from present import TORCH, beside_pytorch, grouped, machines, of_rate, plot, rates, table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RESULTS = HERE / "results.json"
MEASURES = HERE / "measures.json"
STUDY = json.loads((HERE / "study.json").read_text())
PROGRAM = ROOT / "target" / "release" / "localgrad"
# Few are timed together, so that a round of everybody's steps stays short.
FORMS_AT_ONCE = 6


def load(path):
    return json.loads(path.read_text()) if path.exists() else []


def store(path, row, keys):
    """Adds a row, in place of one with the same keys; others may do so meanwhile."""
    lock = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        same = lambda other: all(other[key] == row[key] for key in keys)
        rows = [other for other in load(path) if not same(other)] + [row]
        rows.sort(key=lambda row: tuple(row[key] for key in keys))
        part = path.with_suffix(".part")
        part.write_text("[\n" + ",\n".join(json.dumps(row, sort_keys=True) for row in rows) + "\n]\n")
        part.rename(path)
    finally:
        os.close(lock)


def filled(words, model):
    """Words with the places where this network is cut."""
    return [STUDY["networks"][model].get(word, word) for word in words]


def suits(way, model):
    """Whether the network has such a cut."""
    places = [word for word in STUDY["ways"].get(of_rate(way)[0], []) if word.startswith("ENDS-")]
    return all(place in STUDY["networks"][model] for place in places)


def recipe(options):
    words = list(STUDY["recipe"])
    if options.epochs:
        words[words.index("--epochs") + 1] = str(options.epochs)
    return words + (["--hold-out", str(options.hold_out)] if options.hold_out else [])


def words_of(options, way, seed):
    """What a run is trained with, as arguments; where its data are and where it goes is not among them."""
    words = ["--model", options.model, *recipe(options), "--seed", str(seed)]
    name, rate = of_rate(way)
    if rate:
        words[words.index("--lr") + 1] = rate
    return words if name == TORCH else filled(STUDY["ways"][name], options.model) + words


def command(options, way, seed):
    """The words by which anyone makes a result again."""
    program = "benches/accuracy/torch_reference.py --out RUN --threads 1" if of_rate(way)[0] == TORCH else "localgrad train"
    return " ".join([program, "--data", "CIFAR", *words_of(options, way, seed)])


def commit(options):
    """What the program was built from."""
    if options.commit:
        return options.commit
    if options.program != PROGRAM:
        raise SystemExit(f"say with --commit which commit {options.program} was built from")
    git = lambda *words: subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    # Results land, and pages are made of them, while a program is at work.
    changed = git("status", "--porcelain", "--", ".", ":!docs", ":!benches/accuracy")
    return git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "")


def begin(options, out, way, seed):
    """The version that a run began with, which must have been the same run: others may follow before it ends."""
    note = out.with_name(out.name + ".begun")
    if not note.exists():
        note.write_text(json.dumps({"command": command(options, way, seed), "version": commit(options)}))
    begun = json.loads(note.read_text())
    if begun["command"] != command(options, way, seed):
        raise SystemExit(f"{out} is a run of other words; remove it and {note} to begin anew: {begun['command']}")
    return begun["version"]


def run_one(options, way, seed):
    """Trains, or goes on, and answers what is kept of it."""
    short = f"-{options.epochs}-epochs" if options.epochs else ""
    held = f"-held-{options.hold_out}" if options.hold_out else ""
    again = "-again" if options.again else ""
    out = options.work / f"{options.model}-{way}{short}{held}-{seed}{again}"
    version = begin(options, out, way, seed)
    words = words_of(options, way, seed)
    if of_rate(way)[0] == TORCH:
        line = [sys.executable, str(HERE / "torch_reference.py"), *words]
    else:
        resumes = (out / "run.json").exists()
        line = [str(options.program), "train", "--json", *(["--resume"] if resumes else words)]
    line += ["--data", str(options.data), "--out", str(out), "--threads", str(options.threads)]
    if not finished(out):
        print(" ".join(line), flush=True)
        code = subprocess.run(line, stdout=subprocess.DEVNULL).returncode
        if not finished(out):
            raise SystemExit(f"{out} ended early, with code {code}; the same words go on with it")
    records = finished(out)
    done = records[-1]
    epochs = {record["epoch"]: record["accuracy"] for record in records if record["event"] == "epoch"}
    return {
        "model": options.model,
        "way": way,
        "seed": seed,
        "hold_out": options.hold_out,
        "epochs": max(epochs),
        "command": command(options, way, seed),
        "accuracies": [epochs[epoch] for epoch in sorted(epochs)],
        "accuracy": done["accuracy"],
        "weights_sha256": hashlib.sha256((out / "weights.safetensors").read_bytes()).hexdigest(),
        "peak_bytes": done.get("peak_bytes"),
        "seconds": done["seconds"],
        "threads": options.threads,
        "version": version,
    }


def finished(out):
    """The records of a run that came to its end, up to its last one; none of one that was interrupted."""
    metrics = out / "metrics.jsonl"
    if not metrics.exists() or not (out / "weights.safetensors").exists():
        return []
    # A kill can leave a line without its end.
    lines = [line for line in metrics.read_text().splitlines(keepends=True) if line.endswith("\n")]
    records = [json.loads(line) for line in lines]
    ends = [number for number, record in enumerate(records) if record["event"] == "done" and not record.get("interrupted")]
    return records[: ends[-1] + 1] if ends else []


def epochs_of(options):
    words = recipe(options)
    return int(words[words.index("--epochs") + 1])


def found(options):
    """The results that the table or the plot is of, by way; what steps take, with so many threads; and the network."""
    results = grouped(load(RESULTS), options.model, options.hold_out, epochs_of(options))
    measures = [row for row in load(MEASURES) if row["threads"] == options.threads]
    return results, beside_pytorch(measures), options.model


def rate_of_recipe():
    return STUDY["recipe"][STUDY["recipe"].index("--lr") + 1]


KEYS = ("model", "hold_out", "epochs", "way", "seed")


def chosen(options, all_ways):
    """The ways that were named, or of all those that this network can be trained in."""
    known = [way for way in [*STUDY["ways"], TORCH] if suits(way, options.model)]
    unknown = [way for way in options.ways if of_rate(way)[0] not in known]
    if unknown:
        raise SystemExit(f"no such way to train {options.model}: {', '.join(unknown)}; there are {', '.join(known)}")
    return list(dict.fromkeys(options.ways)) or [way for way in known if way in all_ways]


def run(options):
    options.work.mkdir(parents=True, exist_ok=True)
    have = {tuple(row[key] for key in KEYS): row for row in load(RESULTS)}
    wanted = []
    for seed in options.seeds:
        for way in chosen(options, [*STUDY["ways"], TORCH]):
            row = have.get((options.model, options.hold_out, epochs_of(options), way, seed))
            if row and row["command"] != command(options, way, seed):
                raise SystemExit(f"{RESULTS} has {way}, seed {seed}, of other words; remove it to train anew: {row['command']}")
            if options.again and not row:
                raise SystemExit(f"there is no result of {way}, seed {seed}, to compare with")
            if options.again or not row:
                wanted.append((way, seed, row))

    def work(task):
        way, seed, known = task
        row = run_one(options, way, seed)
        said = ""
        if known:
            said = ", the same bytes" if row["weights_sha256"] == known["weights_sha256"] else ", but OTHER BYTES"
        else:
            store(RESULTS, row, KEYS)
        print(f"{options.model} {way} seed {seed}: {100 * row['accuracy']:.2f} %{said}", flush=True)

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(work, wanted))


def measure(options):
    """Times every way that has results, as it is and lean, between steps of PyTorch."""
    sys.path.insert(0, str(ROOT / "benches"))
    from torch_twin import Case, compare, machine

    ways = chosen(options, {row["way"] for row in load(RESULTS) if row["model"] == options.model})
    forms = [(way, lean) for way in ways if way in STUDY["ways"] for lean in (False, True)]
    for first in range(0, len(forms), FORMS_AT_ONCE):
        part = {}
        for way, lean in forms[first : first + FORMS_AT_ONCE]:
            words = STUDY["ways"][way] + (STUDY["lean"] if lean else [])
            part[f"{way}, lean" if lean else way] = filled(words, options.model)
        case = Case(options.model, STUDY["batch"], ways=part)
        for row in compare(case, options.threads, options):
            name = row["way"]
            way, _, lean = name.partition(", ")
            row |= {"way": way, "lean": bool(lean), "machine": "; ".join(machine(options.program)), "version": commit(options)}
            words = [*case.words(), "--threads", str(options.threads), "--", *part[name]]
            row["command"] = " ".join(["benches/torch_twin.py", *words])
            store(MEASURES, row, ("model", "threads", "way", "lean"))
            share = row["live"] / row["torch_live"]
            print(f"{name}: {row['ratio']:.2f} of PyTorch's step, {share:.2f} of its peak", flush=True)


def publish(options, parse):
    """Makes anew what stands on the page between the command that makes it and `<!-- end -->`: tables, plots, machines."""
    marked = re.compile(r"<!-- study\.py (table|rates|plot|machines)(.*?) -->\n(.*?)<!-- end -->", re.DOTALL)

    def renewed(match):
        kind, words, _ = match.groups()
        asked = parse([kind, *words.split()])
        if kind == "machines":
            text = machines(load(MEASURES))
        elif kind == "table":
            text = table(*found(asked), asked.ways)
        elif kind == "rates":
            text = rates(found(asked)[0], rate_of_recipe())
        else:
            asked.out = options.page.parent / asked.out
            asked.work_on(asked)
            text = f"![Accuracy against memory and time]({asked.out.name})"
        return f"<!-- study.py {kind}{words} -->\n{text}\n<!-- end -->"

    options.page.write_text(marked.sub(renewed, options.page.read_text()))


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = words.add_subparsers(required=True)
    models = list(STUDY["networks"])
    trains = commands.add_parser("run")
    trains.add_argument("ways", nargs="*", help="[all]")
    trains.add_argument("--data", type=Path, required=True, help="directory of CIFAR-10's binary version")
    trains.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0])
    trains.add_argument("--threads", type=int, default=1, help="of each run, which change no bit")
    trains.add_argument("--jobs", type=int, default=2, help="runs at once")
    trains.add_argument("--work", type=Path, default=ROOT / "runs" / "accuracy", help="where runs go")
    trains.add_argument("--again", action="store_true", help="train what has a result anew, and compare the weights")
    trains.set_defaults(work_on=run)
    measures = commands.add_parser("measure")
    measures.add_argument("ways", nargs="*", help="[those with results]")
    measures.add_argument("--rounds", type=int, default=9)
    measures.add_argument("--least-rounds", type=int, default=5)
    measures.add_argument("--seconds", type=float, default=40)
    measures.set_defaults(work_on=measure)
    tables = commands.add_parser("table")
    tables.set_defaults(work_on=lambda options: print(table(*found(options), options.ways)))
    compares = commands.add_parser("rates")
    compares.set_defaults(work_on=lambda options: print(rates(found(options)[0], rate_of_recipe())))
    plots = commands.add_parser("plot")
    plots.add_argument("--out", type=Path, required=True)
    plots.set_defaults(work_on=lambda options: options.out.write_text(plot(*found(options), options.ways)))
    publishes = commands.add_parser("publish")
    publishes.add_argument("--page", type=Path, default=ROOT / "docs" / "results.md")
    publishes.set_defaults(work_on=lambda options: publish(options, words.parse_args))
    names = commands.add_parser("machines")
    names.set_defaults(work_on=lambda options: print(machines(load(MEASURES))))
    for part in (trains, measures):
        part.add_argument("--program", type=Path, default=PROGRAM)
        part.add_argument("--commit", help="that the program was built from")
    for part in (tables, plots):
        part.add_argument("ways", nargs="*", help="[those with results at the recipe's rate]")
    for part in (measures, tables, compares, plots):
        part.add_argument("--threads", type=int, default=2, help="of the measured steps")
    for part in (trains, measures, tables, compares, plots):
        part.add_argument("--model", choices=models, default="resnet20")
    for part in (trains, tables, compares, plots):
        part.add_argument("--hold-out", type=int, default=0, metavar="N", help="judge by the last N training images")
        part.add_argument("--epochs", type=int, metavar="N", help="another number than the recipe's")
    options = words.parse_args()
    options.work_on(options)


if __name__ == "__main__":
    main()
