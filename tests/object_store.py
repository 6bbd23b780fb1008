"""An S3 server of its own on loopback, for tests of runs on object stores; it tells which requests came."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

_NAMES = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}


@dataclass
class ObjectStore:
    """The server at `endpoint` (host:port), with an empty bucket; `requests` are those that it answered."""

    endpoint: str
    requests: list[str] = field(default_factory=list)

    def uri(self, run: str) -> str:
        """The URI of a run."""
        return f"s3://bucket/{run}?endpoint_override={self.endpoint}&scheme=http&region=us-east-1"


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """Start a server; the credentials are in the environment meanwhile."""
    moto = pytest.importorskip("moto.server")
    found: list[str] = []

    def heard(handler: object, code: object = "-", size: object = "-") -> None:
        found.append(f"{handler.command} {handler.path}")  # type: ignore[attr-defined]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moto.MotoRequestHandler, "log_request", heard)
        server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        for name, value in _NAMES.items():
            patch.setenv(name, value)
        from pyarrow.fs import S3FileSystem

        host, port = server.get_host_and_port()
        store = ObjectStore(f"{host}:{port}", found)
        fs = S3FileSystem(
            endpoint_override=store.endpoint, scheme="http", region="us-east-1", allow_bucket_creation=True
        )
        fs.create_dir("bucket")
        yield store
        server.stop()
