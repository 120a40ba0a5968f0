"""Where the brokers are."""

from __future__ import annotations

from collections.abc import Iterable

DEFAULT_ADDRESS = "localhost:50051"


def addresses_of(given: str | Iterable[str]) -> tuple[str, ...]:
    """`host:port` of each broker: several as a list, or separated by commas. Raises ValueError."""
    parts = given.split(",") if isinstance(given, str) else given
    addresses = tuple(part.strip() for part in parts if part.strip())
    if not addresses:
        raise ValueError("at least one host:port needed")
    for address in addresses:
        _, colon, port = address.rpartition(":")
        if not colon or not port.isdigit():
            raise ValueError(f"{address!r} is no host:port")
    return addresses
