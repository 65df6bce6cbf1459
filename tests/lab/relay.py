"""A slow, lossy wire: carries frames between two network devices, each frame late, some never.

netem does this in the kernel, but not every kernel has it (the one this was written on has not). Here are
two tap devices and between them this process, to which the kernel hands whole, checksummed frames.

    python -m tests.lab.relay NEAR FAR SECONDS LOSS
"""

from __future__ import annotations

import fcntl
import heapq
import itertools
import os
import random
import select
import struct
import sys
import time

_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
# Frames on their way; a full queue drops, as a real one does.
_QUEUE = 20_000
_FRAME = 65_536


def open_tap(name: str) -> int:
    """A tap device of that name; it goes when the descriptor is closed."""
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TAP | _IFF_NO_PI))
    return tap


def carry(near: int, far: int, delay: float, loss: float) -> None:
    """Carry frames both ways for ever, each `delay` seconds late; a share of `loss` each way is dropped."""
    other = {near: far, far: near}
    order = itertools.count()
    travelling: list[tuple[float, int, int, bytes]] = []
    while True:
        patience = max(0.0, travelling[0][0] - time.monotonic()) if travelling else None
        readable, _, _ = select.select([near, far], [], [], patience)
        for end in readable:
            for frame in _waiting(end):
                if len(travelling) < _QUEUE and random.random() >= loss:
                    heapq.heappush(travelling, (time.monotonic() + delay, next(order), other[end], frame))
        while travelling and travelling[0][0] <= time.monotonic():
            _, _, end, frame = heapq.heappop(travelling)
            try:
                os.write(end, frame)
            except OSError:
                continue  # the device is down or full: the frame is lost


def _waiting(tap: int) -> list[bytes]:
    """What can be read now, at most 64 frames, so that neither side starves the other."""
    frames = []
    for _ in range(64):
        try:
            frames.append(os.read(tap, _FRAME))
        except OSError:
            break
    return frames


def main(near: str, far: str, delay: str, loss: str) -> None:
    try:
        taps = open_tap(near), open_tap(far)
    except OSError as problem:
        print(f"no tap device: {problem}", flush=True)
        sys.exit(1)
    print("carrying", flush=True)
    carry(*taps, float(delay), float(loss))


if __name__ == "__main__":
    main(*sys.argv[1:])
