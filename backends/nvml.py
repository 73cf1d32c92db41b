"""Lists NVIDIA's GPUs as ``nvidia-smi`` would, through the driver's library. A program of its own.

For where the driver is there and nvidia-smi is not, as in many containers. The library is native
and may hang with the driver, so it is never loaded by the engine. Standard library only; ends
with 1 where there is no library, or where it fails.
"""

from __future__ import annotations

import ctypes
import sys

_NAME = 96
_MIB = 1024 * 1024


class _Memory(ctypes.Structure):
    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


def _check(status: int) -> None:
    if status != 0:
        sys.exit(1)


def main() -> None:
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        sys.exit(1)
    _check(nvml.nvmlInit_v2())
    driver = ctypes.create_string_buffer(_NAME)
    _check(nvml.nvmlSystemGetDriverVersion(driver, _NAME))
    count = ctypes.c_uint()
    _check(nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)))
    for index in range(count.value):
        device = ctypes.c_void_p()
        _check(nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device)))
        uuid, name = ctypes.create_string_buffer(_NAME), ctypes.create_string_buffer(_NAME)
        _check(nvml.nvmlDeviceGetUUID(device, uuid, _NAME))
        _check(nvml.nvmlDeviceGetName(device, name, _NAME))
        memory, major, minor = _Memory(), ctypes.c_int(), ctypes.c_int()
        # Where the GPU shares the machine's memory, it tells none of its own.
        known = nvml.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory)) == 0
        _check(
            nvml.nvmlDeviceGetCudaComputeCapability(
                device, ctypes.byref(major), ctypes.byref(minor)
            )
        )
        sizes = (memory.total // _MIB, memory.free // _MIB) if known else ("[N/A]", "[N/A]")
        words = [each.value.decode("utf-8", "replace") for each in (uuid, name, driver)]
        row = (index, words[0], words[1], *sizes, words[2], f"{major.value}.{minor.value}")
        sys.stdout.write(", ".join(map(str, row)) + "\n")


if __name__ == "__main__":
    main()
