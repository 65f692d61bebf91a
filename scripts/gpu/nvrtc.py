"""Compiles kernels for CUDA by NVRTC, without a card and without a toolkit.

usage: nvrtc.py LIBRARY compute_NN FILE    does it compile to PTX?
       nvrtc.py LIBRARY sm_NN FILE         to machine code? Prints registers, spilled bytes, shared bytes and stack of each kernel
Fails where a text does not compile, and where a kernel spills registers or has a stack.
"""

import ctypes
import re
import sys

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


def main() -> None:
    library, architecture, path = sys.argv[1:]
    with open(path, encoding="ascii") as file:
        text = file.read()
    code, said = compiled(ctypes.CDLL(library), text, architecture)
    names = re.findall(r'extern "C" __global__ void __launch_bounds__\(\d+, \d+\) (\w+)', text)
    if architecture.startswith("compute_"):
        missing = [name for name in names if f".entry {name}(".encode() not in code]
        if not names or missing:
            raise SystemExit(f"{architecture}: the PTX lacks {', '.join(missing) or 'every kernel'}")
        return
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
