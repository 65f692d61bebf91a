"""Compiles kernels for CUDA by NVRTC, without a card and without a toolkit.

usage: nvrtc.py LIBRARY compute_NN DIRECTORY FILE    was FILE made of the kernels in DIRECTORY, and do they compile to PTX?
       nvrtc.py LIBRARY compute_NN DIRECTORY FILE write    makes it so
       nvrtc.py LIBRARY sm_NN FILE    compiles to machine code; prints registers, spilled bytes, shared bytes and stack of each kernel
Fails where a text does not compile, where FILE is not what it should be, and where a kernel spills registers or has a stack.
"""

import ctypes
import hashlib
import lzma
import re
import sys
import zlib
from pathlib import Path

# The oldest versions of PTX that know each architecture: what older drivers take, too, as nothing newer is used.
VERSIONS = {"compute_53": "6.0", "compute_80": "7.0"}
# Kernels that are packed together, and how: as runtime/src/device/ptx.rs unpacks it.
GROUP = 8
PACKING = {"id": lzma.FILTER_LZMA1, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 22, "lc": 3, "lp": 0, "pb": 0}
OPTIONS = ["--std=c++14", "--fmad=false", "--disable-warnings"]


def compiled(library: ctypes.CDLL, text: str, architecture: str) -> tuple[bytes, str]:
    """The PTX of compute_NN or the machine code of sm_NN, and what the compiler says."""
    program = ctypes.c_void_p()
    status = library.nvrtcCreateProgram(ctypes.byref(program), text.encode("ascii"), b"kernels.cu", 0, None, None)
    if status:
        raise SystemExit(f"NVRTC does not begin: status {status}")
    is_machine_code = architecture.startswith("sm_")
    options = [f"--gpu-architecture={architecture}", *OPTIONS]
    options += ["--ptxas-options=-v"] if is_machine_code else []
    array = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    status = library.nvrtcCompileProgram(program, len(options), array)
    said = gotten(library, "ProgramLog", program).rstrip(b"\0").decode()
    if status:
        raise SystemExit(f"{architecture}: status {status}\n{said[:4000]}")
    code = gotten(library, "CUBIN" if is_machine_code else "PTX", program)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return code, said


def gotten(library: ctypes.CDLL, what: str, program: ctypes.c_void_p) -> bytes:
    size = ctypes.c_size_t()
    getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(library, f"nvrtcGet{what}")(program, buffer)
    return buffer.raw[: size.value]


def usage(said: str) -> dict[str, tuple[int, int, int, int]]:
    """By kernel: registers, spilled bytes, bytes of shared memory, bytes of stack."""
    found = {}
    kernel = (
        r"Compiling entry function '(\w+)'.*?\n.*?\n\D*(\d+) bytes stack frame, (\d+) bytes spill stores.*?\n"
        r".*?Used (\d+) registers(.*)"
    )
    for match in re.finditer(kernel, said):
        shared = re.search(r"(\d+) bytes smem", match[5])
        found[match[1]] = (int(match[4]), int(match[3]), int(shared[1]) if shared else 0, int(match[2]))
    return found


def ptx(library: ctypes.CDLL, architecture: str, source: Path) -> bytes:
    """A kernel's PTX without the compiler's comments."""
    code, _ = compiled(library, source.read_text(encoding="ascii"), architecture)
    text = code.rstrip(b"\0").decode("ascii")
    text = re.sub(r"\.version \d+\.\d+", f".version {VERSIONS[architecture]}", text, count=1)
    lines = [line.rstrip() for line in text.splitlines() if not line.startswith("//")]
    text = "\n".join(line for line in lines if line) + "\n"
    if f".entry {source.stem}(" not in text:
        raise SystemExit(f"{architecture}: the PTX of {source.stem} lacks it")
    return text.encode("ascii")


def origin(source: Path) -> str:
    """What a kernel is told by: the compiler gives other registers in every run, as its own addresses are at random."""
    return hashlib.sha256(source.read_bytes()).hexdigest()[:16]


def with_distances(text: bytes) -> bytes:
    """A kernel's text with each register told by how far it is from the one before of its kind, which packs by a third better."""
    last = {}

    def distance(register: re.Match) -> bytes:
        kind, number = register[1], int(register[2])
        before, last[kind] = last.get(kind, 0), number
        return b"%%%b%+d" % (kind, number - before)

    if re.search(rb"%[a-z]*[+-]", text):
        raise SystemExit("a text has signs where registers have numbers")
    return re.sub(rb"%([a-z]+)(\d+)", distance, text)


def archived(origins: dict[str, str], kernels: dict[str, bytes]) -> bytes:
    """As runtime/src/device/ptx.rs reads it."""
    archive, names = b"", sorted(kernels)
    for first in range(0, len(names), GROUP):
        group = names[first : first + GROUP]
        texts = [with_distances(kernels[name]) for name in group]
        packed = lzma.compress(b"".join(texts), lzma.FORMAT_RAW, filters=[PACKING])
        rows = [f"{name} {len(text)} {zlib.crc32(kernels[name])} {origins[name]}" for name, text in zip(group, texts)]
        archive += "\n".join([f"= {len(packed)}", *rows, "", ""]).encode("ascii") + packed
    return archive


def shipped_origins(file: Path) -> dict[str, str]:
    """By kernel."""
    rest, found = file.read_bytes() if file.exists() else b"", {}
    while rest:
        head, _, rest = rest.partition(b"\n\n")
        packed, *rows = head.decode("ascii").splitlines()
        found |= {row.split(" ")[0]: row.split(" ")[-1] for row in rows}
        rest = rest[int(packed.removeprefix("= ")) :]
    return found


def ship(library: ctypes.CDLL, architecture: str, directory: Path, file: Path, writes: bool) -> None:
    """Writes what the kernels of a directory give, or sees whether it is of these."""
    sources = sorted(path for path in directory.glob("*.cu") if path.stem != "all")
    kernels = {path.stem: ptx(library, architecture, path) for path in sources}
    origins = {path.stem: origin(path) for path in sources}
    if writes:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(archived(origins, kernels))
        return
    shipped = shipped_origins(file)
    unlike = [name for name in sorted(origins | shipped) if origins.get(name) != shipped.get(name)]
    if unlike:
        few = ", ".join(unlike[:5])
        raise SystemExit(f"{file} is not of these sources: {few}; run scripts/gpu-kernels.sh ptx")


def main() -> None:
    library, architecture, path, *rest = sys.argv[1:]
    if architecture.startswith("compute_"):
        return ship(ctypes.CDLL(library), architecture, Path(path), Path(rest[0]), "write" in rest[1:])
    with open(path, encoding="ascii") as file:
        text = file.read()
    _, said = compiled(ctypes.CDLL(library), text, architecture)
    names = re.findall(r'extern "C" __global__ void __launch_bounds__\(\d+, \d+\) (\w+)', text)
    table = usage(said)
    missing = sorted(set(names) - set(table))
    if not names or missing:
        raise SystemExit(f"{architecture}: the compiler says nothing of {', '.join(missing) or 'any kernel'}")
    for name, (registers, spilled, shared, stack) in table.items():
        print(f"{architecture} {name} {registers} {spilled} {shared} {stack}")
    bad = [name for name, row in table.items() if row[1] or row[3]]
    if bad:
        raise SystemExit(f"{architecture}: registers are spilled, or there is a stack, in {', '.join(bad)}")


if __name__ == "__main__":
    main()
