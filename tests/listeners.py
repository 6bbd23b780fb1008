"""Which sockets the processes of a Ray listen on, as the kernel tells it."""

import ipaddress
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class Listener(NamedTuple):
    """A TCP socket that listens: `process` is its command line."""

    host: str
    port: int
    pid: int
    process: str

    @property
    def private(self) -> bool:
        """Only this machine reaches it."""
        host = ipaddress.ip_address(self.host)
        return (getattr(host, "ipv4_mapped", None) or host).is_loopback


def family(pid: int) -> list[int]:
    """The process and all that come from it."""
    children = [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in _read(path).split()]
    return [pid, *(one for child in children for one in family(child))]


def command(pid: int) -> str:
    """The command line."""
    return _read(Path(f"/proc/{pid}/cmdline")).replace("\0", " ").strip()


def listeners(pids: list[int]) -> list[Listener]:
    """All TCP sockets, of IPv4 and IPv6, on which these processes listen."""
    owners = {inode: pid for pid in pids for inode in _sockets(pid)}
    found = []
    for table in ("tcp", "tcp6"):
        for line in _read(Path(f"/proc/net/{table}")).splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in owners:
                host, port = words[1].split(":")
                pid = owners[words[9]]
                found.append(Listener(_address(host), int(port, 16), pid, command(pid)))
    return found


def _sockets(pid: int) -> Iterator[str]:
    with suppress(OSError):
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                target = str(path.readlink())
                if target.startswith("socket:["):
                    yield target[8:-1]


def _address(text: str) -> str:
    # Words of four bytes, each in the machine's own order.
    words = [int(text[i : i + 8], 16).to_bytes(4, sys.byteorder) for i in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""
