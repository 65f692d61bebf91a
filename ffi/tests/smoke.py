"""The library from Python, by ctypes alone: trains until the loss falls. usage: smoke.py LIBRARY"""

import ctypes
import os
import random
import signal
import sys
from ctypes import POINTER, byref, c_char_p, c_double, c_int32, c_size_t, c_uint32, c_uint64, c_void_p

library = ctypes.CDLL(sys.argv[1])
library.lg_version.restype = c_char_p
library.lg_error_create.restype = c_void_p
library.lg_error_message.restype = c_char_p
library.lg_error_message.argtypes = [c_void_p]
error = c_void_p(library.lg_error_create())


class Options(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("channels", c_size_t), ("height", c_size_t), ("width", c_size_t),
                ("classes", c_size_t), ("widths", POINTER(c_size_t)), ("widths_count", c_size_t),
                ("shortcut", c_int32)]


class Samples(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("images", c_void_p), ("images_bytes", c_size_t), ("pixel", c_int32),
                ("layout", c_int32), ("count", c_size_t), ("labels", POINTER(c_uint32))]


class StepResult(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("step", c_uint64), ("samples", c_size_t), ("correct", c_size_t),
                ("loss", c_double), ("learning_rate", c_double), ("seconds", c_double)]


def call(name, *arguments):
    if getattr(library, name)(*arguments, error) != 0:
        raise RuntimeError(f"{name}: {library.lg_error_message(error).decode()}")


def initialised(struct, name):
    value = struct()
    assert getattr(library, name)(byref(value), c_size_t(ctypes.sizeof(struct))) == 0
    return value


options = initialised(Options, "lg_network_options_init")
options.channels, options.height, options.width, options.classes = 1, 8, 8, 2
network, trainer = c_void_p(), c_void_p()
call("lg_network_create", b"resnet8", byref(options), byref(network))
call("lg_trainer_create", network, None, byref(trainer))

random.seed(1)
losses = []
for step in range(12):
    labels = [random.randrange(2) for _ in range(8)]
    pixels = bytes(random.randrange(120) + 100 * (at // 32 == label) for label in labels for at in range(64))
    samples = initialised(Samples, "lg_samples_init")
    samples.images = ctypes.cast(c_char_p(pixels), c_void_p)
    samples.images_bytes, samples.count = len(pixels), len(labels)
    samples.labels = (c_uint32 * len(labels))(*labels)
    result = StepResult(struct_size=ctypes.sizeof(StepResult))
    call("lg_trainer_push", trainer, byref(samples))
    call("lg_trainer_step", trainer, byref(result))
    assert result.step == step + 1 and result.samples == 8
    losses.append(result.loss)
assert min(losses[-3:]) < losses[0] / 2, losses

try:
    call("lg_trainer_step", trainer, None)
except RuntimeError as refused:
    assert "push some" in str(refused), refused
else:
    raise SystemExit("a step without samples was not refused")

# A forked child, as os.fork and multiprocessing's "fork" make it, is told what it cannot use, and does not hang.
child = os.fork()
if child == 0:
    signal.alarm(60)
    try:
        call("lg_trainer_push", trainer, byref(samples))
    except RuntimeError as refused:
        os._exit(0 if "forked" in str(refused) and "spawn" in str(refused) else 2)
    os._exit(1)
assert os.waitpid(child, 0)[1] == 0, "a forked child was not refused"
call("lg_trainer_push", trainer, byref(samples))
call("lg_trainer_step", trainer, None)

for destroy, handle in (("trainer", trainer), ("network", network), ("error", error)):
    getattr(library, f"lg_{destroy}_destroy")(handle)
