"""Keys made by the SDK: UUIDv7, so that they sort by time and never collide."""

from __future__ import annotations

import os
import time
from uuid import UUID


def new_key() -> str:
    return str(uuid7(time.time_ns() // 1_000_000, os.urandom(10)))


def uuid7(milliseconds: int, random: bytes) -> UUID:
    """A UUIDv7 of a time (since 1970) and 10 random bytes; 6 bits of those give way to version and
    variant."""
    number = (milliseconds & (2**48 - 1)) << 80 | int.from_bytes(random, "big")
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=number)
