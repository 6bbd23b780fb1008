"""Several hosts on one machine, built from namespaces: each with its own network, processes, name, /tmp and /dev/shm.

They meet on a bridge, 10.77.0.0/24, which lies in a namespace of its own; nothing of it is seen from outside, and all
of it goes when the processes that hold the namespaces do. What hosts share is one folder, as they would share NFS:
`Lab.shared` outside, `SHARED` inside. The project lies at `CODE` on every host.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHARED, CODE, HOME = "/mnt/shared", "/mnt/code", "/tmp/home"
PORT = 6379
# The kernel ends what holds the namespaces when the test's process dies, however it dies.
_MORTAL = ("setpriv", "--pdeathsig", "KILL")

# Run by the first process of a host, in mount, process, name and network namespaces of its own. What lies under /tmp
# and is needed (a checkout, its Python) is held fast while /tmp is exchanged for the host's own.
_BOOT = """
set -e
hostname {name}
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/shared /mnt/code /mnt/own /mnt/keep
mount --bind {shared} /mnt/shared
mount --bind {root} /mnt/code
mount --bind {own} /mnt/own
mount --bind {names} /etc/hosts
n=0; for path in {keep}; do n=$((n+1)); mkdir /mnt/keep/$n; mount --bind $path /mnt/keep/$n; done
mount --bind /mnt/own /tmp
n=0; for path in {keep}; do n=$((n+1)); mkdir -p $path; mount --bind /mnt/keep/$n $path; done
mount -t proc proc /proc
mount -t tmpfs -o size=512m tmpfs /dev/shm
ip link set lo up
mkdir -p {home}
touch /tmp/.booted
while true; do sleep 1000 & wait; done
"""


def why_impossible() -> str:
    """Why no hosts can be made here; empty where they can."""
    if os.geteuid() != 0:
        return "needs root"
    if not all(shutil.which(tool) for tool in ("ip", "unshare", "nsenter", "setpriv")):
        return "needs the commands ip, unshare, nsenter and setpriv (packages iproute2 and util-linux)"
    tried = subprocess.run(
        ["unshare", "--net", "--pid", "--mount", "--uts", "--fork", "ip", "link", "add", "br0", "type", "bridge"],
        capture_output=True,
        text=True,
    )
    return "" if tried.returncode == 0 else f"this machine forbids namespaces or bridges ({tried.stderr.strip()})"


class Host:
    """One host; `address` is its own on the bridge."""

    def __init__(self, lab: "Lab", name: str, number: int):
        self.lab, self.name, self.number, self.address = lab, name, number, f"10.77.0.{number}"
        self.own = lab.folder / name
        self.init = 0
        self.boot()

    def boot(self) -> None:
        """Start the host with an empty /tmp and join it to the bridge."""
        shutil.rmtree(self.own, ignore_errors=True)
        self.own.mkdir(parents=True)
        under_tmp = {path for path in (str(ROOT), sys.prefix, sys.base_prefix) if path.startswith("/tmp/")}
        script = _BOOT.format(
            name=self.name,
            shared=self.lab.shared,
            root=ROOT,
            own=self.own,
            names=self.lab.names,
            home=HOME,
            keep=" ".join(sorted(under_tmp)),
        )
        self.process = subprocess.Popen(
            [*_MORTAL, "unshare", "--net", "--pid", "--mount", "--uts", "--fork", "--kill-child", "bash", "-c", script],
            stdin=subprocess.DEVNULL,
        )
        _until(lambda: (self.own / ".booted").exists() or self.process.poll() is not None, f"{self.name} boots")
        told = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        children = told.read_text(encoding="utf-8").split()
        self.init = int(children[0])
        self.token_file.parent.mkdir(parents=True, exist_ok=True)
        self.token_file.write_text(self.lab.token)
        self.token_file.chmod(0o600)
        self.lab.plug(self)

    @property
    def token_file(self) -> Path:
        """Ray's token, a file of this host's own; seen from outside."""
        return self.own / "home" / "token"

    @property
    def environment(self) -> dict[str, str]:
        """What is set for every command on this host."""
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": HOME,
            "PYTHONPATH": CODE,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": f"{HOME}/token",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_health_check_period_ms": "1000",  # a lost host is noticed in some 10 s, not in a minute
            "RAY_health_check_timeout_ms": "4000",
            "RAY_health_check_failure_threshold": "3",
            "RAY_DISABLE_IMPORT_WARNING": "1",
            "OMP_NUM_THREADS": "1",
            "LANG": "C.UTF-8",
        }

    def start(self, command: str, **environment: str) -> subprocess.Popen[str]:
        """Start a shell command on this host, in the project's folder."""
        inside = f"cd {CODE} && {command}"
        enter = ["nsenter", "-t", str(self.init), "--net", "--pid", "--mount", "--uts", "--", "bash", "-c", inside]
        return subprocess.Popen(
            enter,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, command: str, limit_s: float = 300, check: bool = True, **environment: str):
        """Run a shell command on this host to its end; its output as text."""
        process = self.start(command, **environment)
        try:
            out, err = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert not check or process.returncode == 0, f"{self.name}: {command}: {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    @property
    def alive(self) -> bool:
        """Whether the host is up."""
        return self.process.poll() is None


class Lab:
    """The hosts `head`, `worker1`, ... and `laptop` (no part of the cluster), with the bridge that joins them."""

    def __init__(self, folder: Path, workers: int = 2):
        import secrets

        self.folder, self.token = folder, secrets.token_hex(32)
        self.shared = folder / "shared"
        self.shared.mkdir(parents=True)
        names = ["head", *(f"worker{n + 1}" for n in range(workers)), "laptop"]
        self.names = folder / "hosts"
        lines = [f"10.77.0.{number} {name}" for number, name in enumerate(names, start=1)]
        self.names.write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        self.hosts: dict[str, Host] = {}
        self._switch = subprocess.Popen([*_MORTAL, "unshare", "--net", "sleep", "infinity"])
        try:
            _until(lambda: _net(self._switch.pid) != _net(os.getpid()), "the switch is up")
            self._at_switch("ip link add br0 type bridge && ip link set br0 up")
            for number, name in enumerate(names, start=1):
                self.hosts[name] = Host(self, name, number)
        except BaseException:
            self.close()
            raise
        self.head, self.laptop = self.hosts["head"], self.hosts["laptop"]
        self.workers = [self.hosts[f"worker{n + 1}"] for n in range(workers)]

    def plug(self, host: Host) -> None:
        """A cable from the host to the bridge."""
        port = f"port{host.number}"
        _shell(f"ip link add {port} netns {self._switch.pid} type veth peer name eth0 netns {host.init}")
        self._at_switch(f"ip link set {port} master br0 up")
        host.run(f"ip addr add {host.address}/24 dev eth0 && ip link set eth0 up && ip route add default dev eth0")

    def cut(self, host: Host, seconds: float) -> None:
        """Pull the host's cable now and put it back after `seconds`, while the test goes on."""
        self._at_switch(f"ip link set port{host.number} down")
        timer = threading.Timer(seconds, self._at_switch, [f"ip link set port{host.number} up"])
        timer.daemon = True
        timer.start()

    def kill(self, host: Host) -> None:
        """SIGKILL every process of the host at once, as a power failure does."""
        os.kill(host.init, signal.SIGKILL)
        host.process.wait(timeout=30)

    def start_ray(self, cpus: int = 1, options: str = "") -> None:
        """A Ray cluster that asks for the token: the head without CPUs, `cpus` on each worker."""
        self.head.run(
            f"ray start --head --num-cpus=0 --node-ip-address={self.head.address} --port={PORT} "
            f"--dashboard-host={self.head.address} --object-store-memory=80000000"
        )
        self.join(*self.workers, cpus=cpus, options=options)

    def join(self, *workers: Host, cpus: int = 1, options: str = "") -> None:
        """Make these hosts nodes of the cluster."""
        starts = [
            worker.start(
                f"ray start --address={self.head.address}:{PORT} --node-ip-address={worker.address} "
                f"--num-cpus={cpus} --object-store-memory=80000000 {options}"
            )
            for worker in workers
        ]
        for start in starts:
            out, err = start.communicate(timeout=120)
            assert start.returncode == 0, f"{out}\n{err}"

    def stop_ray(self) -> None:
        """End all of Ray on the hosts that are up, and boot those that are not."""
        stops = [host.start("ray stop --force") for host in self.hosts.values() if host.alive]
        for stop in stops:
            stop.communicate(timeout=120)
        for host in self.hosts.values():
            if not host.alive:
                host.boot()

    def close(self) -> None:
        """End all hosts, and with them their namespaces."""
        for process in (*(host.process for host in self.hosts.values()), self._switch):
            process.kill()
            process.wait(timeout=30)

    def _at_switch(self, command: str) -> None:
        _shell(f"nsenter -t {self._switch.pid} --net bash -c {shlex.quote(command)}")


def _net(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def _shell(command: str) -> None:
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"


def _until(condition, what: str, limit_s: float = 30) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"waited {limit_s:.0f} s in vain until {what}"
        time.sleep(0.05)
