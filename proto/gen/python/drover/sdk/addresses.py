"""Where the brokers are."""

from __future__ import annotations

from collections.abc import Iterable

DEFAULT_PORT = 50051
DEFAULT_ADDRESS = f"localhost:{DEFAULT_PORT}"


def addresses_of(given: str | Iterable[str]) -> tuple[str, ...]:
    """`host:port` of each broker, with the usual port where none is said: several as a list, or separated
    by commas. Raises ValueError."""
    parts = given.split(",") if isinstance(given, str) else given
    addresses = tuple(_with_port(part.strip()) for part in parts if part.strip())
    if not addresses:
        raise ValueError("at least one host:port needed")
    return addresses


def _with_port(address: str) -> str:
    if "/" in address:
        raise ValueError(f"{address!r}: use host:port, without a scheme")
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        return f"{address}:{DEFAULT_PORT}"
    if not host or not port.isdigit() or not 1 <= int(port) <= 65_535:
        raise ValueError(f"{address!r} is no host:port")
    return address
