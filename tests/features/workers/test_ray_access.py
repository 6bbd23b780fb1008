"""Who reaches a Ray that the program started: this user, on this machine, with the session's token."""

import json
import os
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
from listeners import command, family, listeners

from features.errors import EmofuseError
from features.workers.ray_access import asks_for_token, page_asks_for_token
from features.workers.ray_session import ray_session

NOBODY = 65534
# A call of each of Ray's services; an empty message is enough to be let in, or turned away before it is looked at.
CALLS = (
    "InternalKVGcsService/InternalKVPut",
    "NodeManagerService/RequestWorkerLease",
    "ObjectManagerService/Pull",
    "CoreWorkerService/PushTask",
    "ReporterService/GetTraceback",
)
# Run as root, since another user may not read this Python; it loads what it needs and becomes the other user.
STRANGER = """
import json, os, socket, sys
from ray._raylet import GcsClient
from pathlib import Path
gcs, outer, folder, pid, uid = sys.argv[1:]
os.setgroups([]); os.setgid(int(uid)); os.setuid(int(uid))
def tried(attempt):
    try:
        return f"done: {attempt()}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
def replace_class(address):
    return GcsClient(address=address).internal_kv_put(b"ActorClass:x", b"evil", True, namespace=b"fun", timeout=5)
def connect(host):
    socket.create_connection((host, int(gcs.rpartition(":")[2])), 5).close()
told = {"uid": os.getuid(), "loopback": tried(lambda: replace_class(gcs)), "outer": tried(lambda: connect(outer))}
told["folder"] = tried(lambda: os.listdir(folder))
told["token"] = tried(lambda: Path(folder, "token").read_text())
told["environment"] = tried(lambda: Path(f"/proc/{pid}/environ").read_bytes())
sockets = [Path(folder, "ray", "session_latest", "sockets", name) for name in ("raylet", "plasma_store")]
told["sockets"] = [tried(lambda: socket.socket(socket.AF_UNIX).connect(str(path))) for path in sockets]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def session():
    """A session with one worker; gives its folder, its processes and the address of its control service."""
    with ray_session(None, 1):
        import ray

        assert ray.get(ray.remote(lambda: 7).remote()) == 7
        folder = Path(os.environ["RAY_AUTH_TOKEN_PATH"]).parent
        yield folder, family(os.getpid()), ray.get_runtime_context().gcs_address
    assert not folder.exists() and "RAY_AUTH_TOKEN_PATH" not in os.environ and "RAY_AUTH_MODE" not in os.environ


def _who(process):
    names = ("gcs_server", "raylet", "DashboardAgent", "RuntimeEnvAgent", "dashboard.py", "monitor.py", "ray::IDLE")
    return next((name for name in names if name in process), "driver")


def test_every_process_listens_on_loopback_alone(session):
    open_one = socket.create_server(("0.0.0.0", 0))
    found = {one for one in listeners(session[1])}
    assert {one.port for one in found if not one.private} == {open_one.getsockname()[1]}
    open_one.close()
    assert {_who(one.process) for one in found} >= {"gcs_server", "raylet", "DashboardAgent", "ray::IDLE", "driver"}


def test_every_service_turns_away_whoever_has_no_token(session):
    turned_away = set()
    for one in listeners(session[1]):
        for call in CALLS:
            with grpc.insecure_channel(f"127.0.0.1:{one.port}") as channel, pytest.raises(grpc.RpcError) as error:
                channel.unary_unary(f"/ray.rpc.{call}")(b"", timeout=5)
            if error.value.code() == grpc.StatusCode.UNAUTHENTICATED:
                turned_away.add((_who(one.process), call))
            else:
                assert error.value.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE)
        if "RuntimeEnvAgent" in one.process:
            assert page_asks_for_token(f"http://127.0.0.1:{one.port}/get_or_create_runtime_env")
    assert {who for who, _ in turned_away} == {"gcs_server", "raylet", "DashboardAgent", "ray::IDLE", "driver"}
    assert {call for _, call in turned_away} == set(CALLS) and asks_for_token(session[2])


def test_the_token_is_in_its_file_alone(session):
    folder, pids, _ = session
    token = (folder / "token").read_text()
    assert len(token) == 64 and stat.S_IMODE((folder / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert token not in os.environ.values() and not any(token in command(pid) for pid in pids)
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "token"]
    assert len(files) > 10 and not [path for path in files if token.encode() in path.read_bytes()]


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_another_user_can_neither_read_nor_replace_anything(session):
    folder, pids, address = session
    raylet = next(pid for pid in pids if "raylet/raylet" in command(pid))

    def tried(uid, **environment):
        words = [sys.executable, "-c", STRANGER, address, _outer(), str(folder), str(raylet), str(uid)]
        done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **environment}, timeout=120)
        return json.loads(done.stdout)

    told = tried(NOBODY, RAY_AUTH_MODE="disabled", RAY_AUTH_TOKEN_PATH="")
    assert told.pop("uid") == NOBODY and "InvalidAuthToken" in told.pop("loopback")
    assert told.pop("outer").startswith("ConnectionRefusedError")
    assert [text.split(":")[0] for text in [*told.pop("sockets"), *told.values()]] == ["PermissionError"] * 5
    # The same with the token is let in, so it is the token that keeps the other user out.
    assert tried(0)["loopback"].startswith("done:")


def test_a_second_ray_in_the_process_is_refused(session):
    with pytest.raises(EmofuseError, match="Ray runs in this one already"), ray_session(None, 1):
        pass
    assert asks_for_token(session[2])


@pytest.fixture
def open_service():
    """The control service of a cluster that asks nobody for a token: its address."""
    handler = grpc.unary_unary_rpc_method_handler(lambda request, context: b"")
    server = grpc.server(ThreadPoolExecutor(1))
    name = "ray.rpc.NodeInfoGcsService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {"CheckAlive": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


def test_an_open_cluster_is_refused_unless_it_is_allowed(open_service, monkeypatch):
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.init", lambda **options: None)
    monkeypatch.setattr("ray.shutdown", lambda: None)
    monkeypatch.setattr("ray.get_runtime_context", lambda: SimpleNamespace(gcs_address=open_service))
    with pytest.raises(EmofuseError) as error, ray_session(open_service):
        pass
    assert str(error.value) == (
        f"--address {open_service}: expected a cluster that turns away whoever has no token, but whoever reaches "
        f"{open_service} can run code on its nodes; start Ray on all of them with RAY_AUTH_MODE=token (docs/walk.md), "
        "or give --allow-open-cluster."
    )
    with ray_session(open_service, allow_open=True):
        pass


def _outer() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no outer address")
        if probe.getsockname()[0].startswith("127."):
            pytest.skip("this machine has no outer address")
        return probe.getsockname()[0]
