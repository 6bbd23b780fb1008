"""Who may talk to a Ray: its own token and loopback for one that is started here, what a cluster asks of its callers.

Ray reads token, mode and address when it starts a process, and keeps them for as long as the process lives; so they are
set for a session, read anew, and set back after it.
"""

import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

import typer

from features.errors import EmofuseError

LOOPBACK = "127.0.0.1"
AllowOpen = Annotated[
    bool, typer.Option("--allow-open-cluster", help="Join a cluster at --address that asks nobody for a token.")
]
_MODE, _TOKEN, _TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"


@contextmanager
def own_access(token_file: Path) -> Iterator[None]:
    """What Ray starts from here on listens on loopback alone and asks for a new token, which lies in `token_file`."""
    with os.fdopen(os.open(token_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    changes = {
        _MODE: "token",
        _TOKEN: None,  # it would come before the file
        _TOKEN_PATH: str(token_file),
        # Ray replaces 127.0.0.1 by an outer address, except where it is told that it makes no clusters.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }
    with _access(changes), _loopback_only():
        yield


@contextmanager
def cluster_access() -> Iterator[None]:
    """The token that the environment names is shown to the cluster that is joined here; without one, none."""
    # Left alone, Ray writes a token into the home folder, and later workers are turned away.
    mode = os.environ.get(_MODE) or ("token" if has_token() else "disabled")
    with _access({_MODE: mode}):
        yield


@contextmanager
def changed_environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    """Environment variables with these values (None: absent), and as they were before when the block ends."""
    before = {name: os.environ.get(name) for name in changes}
    _set(changes)
    try:
        yield
    finally:
        _set(before)


def has_token() -> bool:
    """Whether there is a token to show to a cluster."""
    return any(os.environ.get(name) for name in (_TOKEN, _TOKEN_PATH)) or (Path.home() / ".ray" / "auth_token").exists()


def asks_for_token(address: str) -> bool:
    """Whether the control service of the cluster at `address` (host:port) turns away a caller without a token."""
    import grpc

    # A proxy for the web is none for a cluster.
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary("/ray.rpc.NodeInfoGcsService/CheckAlive")(b"", timeout=10)
        except grpc.RpcError as error:
            return error.code() == grpc.StatusCode.UNAUTHENTICATED
    return False


def page_asks_for_token(url: str) -> bool:
    """Whether the page at `url` turns away a caller without a token."""
    try:
        urllib.request.urlopen(url, timeout=10).close()
    except urllib.error.HTTPError as error:
        return error.code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    except OSError:
        return False
    return False


def open_cluster(address: str, service: str) -> EmofuseError:
    """The refusal of the cluster at `address`, whose `service` (host:port or URL) asks nobody for a token."""
    return EmofuseError(
        f"--address {address}: expected a cluster that turns away whoever has no token, but whoever reaches {service} "
        "can run code on its nodes; start Ray on all of them with RAY_AUTH_MODE=token (docs/walk.md), or give "
        "--allow-open-cluster."
    )


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def _access(changes: Mapping[str, str | None]) -> Iterator[None]:
    try:
        with changed_environment(changes):
            _read_anew()
            yield
    finally:
        _read_anew()


def _read_anew() -> None:
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    # In this order: a thread of Ray's that still talks looks for a token, and ends the process when the mode asks for
    # one and there is none.
    Config.initialize("")
    if os.environ.get(_MODE) != "token" or has_token():
        AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _loopback_only() -> Iterator[None]:
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER  # of the environment when ray was imported, perhaps long ago
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
