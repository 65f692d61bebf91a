#!/usr/bin/env python3
"""Reads the inner loops of the matrix kernels in what was built for 64-bit Arm, and says what they cost.

    scripts/arm64_tiles.py [FILE]                 cycles by LLVM's models of processors, a row a loop
    scripts/arm64_tiles.py check [FILE]           whether no such loop keeps sums in memory
    scripts/arm64_tiles.py --beside NAME.S        the same columns for the longest loop of an assembly file

FILE is a library or program with symbols; the newest runtime that scripts/test-arm64.sh or scripts/build-arm64.sh has built, if
none is named. A loop is here what ends in a jump back to its start with no other such jump inside, and has eight fused
multiplications (fmla) at least, some of them by a lane. Needs llvm-objdump and, but for `check`, llvm-mca of LLVM 19 or later,
which knows more processors than older ones; the newest that is found, or the one that LLVM_MCA names. Exits 3, with the reason as the last line, where a tool or a build is missing.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = "aarch64-unknown-linux-gnu"
# Kernels made of tiles: end of the symbol's path, and what it is called here.
KERNELS = {
    "conv4tile11DirectSweep": "direct",
    "conv9pointwise4tile14PointwiseSweep": "1x1 and product",
    "conv8winograd6square4tile8Multiply": "Winograd, 4x4",
    "conv8winograd4tile8RowSweep": "Winograd, rows",
    "conv6weight10WeightSums": "weight gradient",
}
# Each processor, and the model that stands for it: of A76, A78AE and X1 that of the server's processor which was made of it or of
# its forerunner, and of M1 the one that LLVM has for all of Apple's, which multiplies three times a cycle where M1 does four times.
CORES = {
    "A55": "cortex-a55",
    "A76, A78AE": "neoverse-n1",
    "X1": "neoverse-v1",
    "M1": "apple-m1",
}
OLDEST_LLVM = 19
FEWEST = 8
ROUNDS = 200
FMLA = re.compile(r"fmla\s+(v\d+)\.4s", re.IGNORECASE)
BY_LANE = re.compile(r"fmla\s.*\.s\[\d\]", re.IGNORECASE)
LOAD = re.compile(r"ld\w*\s", re.IGNORECASE)
# Registers' vectors go to memory behind the loop, not in it.
SPILL = re.compile(r"st\w*\s+\{?\s*[qv]\d|ld\w*\s+\{?\s*[qv]\d.*\[(sp|x29)\b", re.IGNORECASE)
JUMP = re.compile(r"(?:b(?:\.\w+)?|cbn?z|tbn?z)\s+(?:[^,]+,\s*)*0x([0-9a-f]+) <")


def missing(what):
    print(what)
    sys.exit(3)


def newest_build():
    """The runtime's library or the program that was built last."""
    folder = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "cross" / TARGET
    found = [*folder.glob("*/deps/liblocalgrad-*.rlib"), *folder.glob("*/localgrad")]
    if not found:
        missing("nothing is built for 64-bit Arm: scripts/test-arm64.sh or scripts/build-arm64.sh does it")
    return max(found, key=lambda path: path.stat().st_mtime)


def functions(file):
    """(kernel's name, [(address, instruction)]) of every kernel of tiles that is compiled for NEON."""
    objdump = shutil.which("llvm-objdump") or missing("needs llvm-objdump, of Debian's package llvm")
    words = [objdump, "-d", "--no-show-raw-insn", file]
    text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    name, body = None, []
    for line in text.splitlines():
        if line.endswith(">:"):
            if name:
                yield name, body
            symbol = line.partition("<")[2]
            ends = [end for end in KERNELS if re.search(rf"simd4neon3run.*{end}E", symbol)]
            name, body = (KERNELS[ends[0]] if ends else None), []
        elif name and (found := re.match(r"\s*([0-9a-f]+):\s+(\S.*)", line)):
            body.append((int(found[1], 16), found[2].partition("//")[0].replace("\t", " ").strip()))
    if name:
        yield name, body


def loops(body):
    """The instructions of each innermost loop."""
    index = {address: i for i, (address, _) in enumerate(body)}
    spans = []
    for end, (address, instruction) in enumerate(body):
        jump = JUMP.match(instruction)
        if jump and int(jump[1], 16) <= address and int(jump[1], 16) in index:
            spans.append((index[int(jump[1], 16)], end))
    for start, end in spans:
        if not any(start <= s and e <= end and (s, e) != (start, end) for s, e in spans):
            yield [instruction for _, instruction in body[start : end + 1]]


def tiles(file):
    """(kernel, loop) of every loop with enough multiplications."""
    for name, body in functions(file):
        for loop in loops(body):
            if sum(bool(FMLA.match(line)) for line in loop) >= FEWEST and any(map(BY_LANE.match, loop)):
                yield name, loop


def longest_loop(text):
    """The loop with most multiplications of an assembly file, from a label to a jump back to it."""
    lines = [re.sub(r"//.*|#(?!\d).*", "", line).strip() for line in text.splitlines()]
    best = []
    for start, line in enumerate(lines):
        label = re.match(r"(?:\.L)?(\w+):$", line)
        for end in range(start + 1, len(lines)) if label else ():
            if re.match(rf"b\.?\w\w\s+(?:\.L)?{label[1]}b?$", lines[end], re.IGNORECASE):
                loop = [line for line in lines[start + 1 : end] if line and not line.endswith(":")]
                if not any(re.match(r"b\b|cbn?z|tbn?z", line, re.IGNORECASE) for line in loop):
                    loop.append("b.ne 0x0 <start>")
                    best = max(best, loop, key=lambda loop: sum(bool(FMLA.match(line)) for line in loop))
                break
    return best or sys.exit("no loop in that file")


def model():
    """The newest llvm-mca, and its version."""
    named = os.environ.get("LLVM_MCA")
    numbered = [shutil.which(f"llvm-mca-{version}") for version in range(40, OLDEST_LLVM - 1, -1)]
    program = named or next(filter(None, [*numbered, shutil.which("llvm-mca")]), None)
    if program:
        text = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
        version = re.search(r"version (\S+)", text)[1]
        if int(version.partition(".")[0]) >= OLDEST_LLVM:
            return program, version
    missing(f"needs llvm-mca of LLVM {OLDEST_LLVM} or later, such as of Debian's package llvm-{OLDEST_LLVM}")


def cycles(program, core, loop):
    """Cycles of one round of a loop, all that it reads being in the nearest cache."""
    # What is jumped to is not to be found; what the jump costs is.
    text = "start:\n" + "\n".join(re.sub(r"0x[0-9a-f]+ <.*", "start", line) for line in loop)
    words = [program, "-mtriple=aarch64-linux-gnu", f"-mcpu={core}", f"-iterations={ROUNDS}"]
    done = subprocess.run(words, input=text, capture_output=True, text=True)
    total = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
    return int(total[1]) / ROUNDS if total else sys.exit(done.stderr)


def row(program, name, loop):
    """Of one loop: sums, channels at a time, loads and, for each core, cycles and multiplications a cycle."""
    sums = [found[1].lower() for line in loop if (found := FMLA.match(line))]
    loads = sum(bool(LOAD.match(line)) for line in loop)
    cells = [name, str(len(set(sums))), str(len(sums)), str(loads), str(len(loop))]
    for core in CORES.values():
        took = cycles(program, core, loop)
        cells.append(f"{took:.0f}, {len(sums) / took:.2f}")
    return tuple(cells)


def print_table(rows, version):
    heads = ["loop", "sums", "fmla", "loads", "instructions", *CORES]
    print(f"Cycles a round, and fmla a cycle, by llvm-mca {version}.\n")
    for cells in [heads, ["---"] * len(heads), *rows]:
        print("| " + " | ".join(cells) + " |")


def check(file):
    """Fails with each loop that has a part of its sums in memory, and where a kernel has no loop."""
    found = list(tiles(file))
    bad = [(name, [line for line in loop if SPILL.match(line)]) for name, loop in found]
    bad = [(name, lines) for name, lines in bad if lines]
    for name, lines in bad:
        print(f"{file}: an inner loop of '{name}' keeps sums in memory: {lines[0]} and {len(lines) - 1} more")
    lost = set(KERNELS.values()) - {name for name, _ in found}
    for name in lost:
        print(f"{file}: no inner loop of '{name}' multiplies by a lane")
    if bad or lost:
        sys.exit(1)
    print(f"{file}: none of {len(found)} inner loops for NEON keeps sums in memory")


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--beside", metavar="NAME.S", type=Path, action="append", default=[])
    words.add_argument("word", nargs="*", metavar="[check] [FILE]")
    options = words.parse_args()
    checks = options.word[:1] == ["check"]
    file = next(iter(options.word[checks:]), None)
    if checks:
        return check(file or newest_build())
    program, version = model()
    if options.beside:
        rows = [row(program, path.stem, longest_loop(path.read_text())) for path in options.beside]
    else:
        rows = sorted({row(program, name, loop) for name, loop in tiles(file or newest_build())})
    peak = [f"fmla v{i}.4s, v30.4s, v31.s[0]" for i in range(28)]
    print_table([*rows, row(program, "fmla alone", peak)], version)


if __name__ == "__main__":
    main()
