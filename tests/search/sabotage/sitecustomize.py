"""Python reads this at its start where the folder is on its path: trials of that process then fail as they are told.

EMOFUSE_SABOTAGE is a folder of orders. A trial takes one order away at most and carries it out, so each happens once:
hang, cuda (its memory runs out), memory (main memory runs out, in a control group of its own), kill, error, full.
While there is a file `slow` in it, epochs are slow.
"""

import errno
import os
import signal
import sys
import time
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from pathlib import Path

ORDERS = Path(os.environ["EMOFUSE_SABOTAGE"])
GROUP = Path("/sys/fs/cgroup/memory/emofuse_test")


def obey(name):
    if name == "hang":
        time.sleep(3600)
    elif name == "cuda":
        import torch

        raise torch.OutOfMemoryError("CUDA out of memory")
    elif name == "memory":
        GROUP.mkdir(exist_ok=True)
        (GROUP / "memory.limit_in_bytes").write_text("50000000")
        (GROUP / "cgroup.procs").write_text(str(os.getpid()))
        blocks = []
        while True:
            blocks.append(bytearray(b"1") * 10_000_000)
    elif name == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif name == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    else:
        raise RuntimeError("the device is on fire")


class Sabotage(MetaPathFinder):
    """Adds its own to `models.training.loop` when that is imported."""

    def find_spec(self, name, path=None, target=None):
        if name != "models.training.loop":
            return None
        spec = PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            whole = module._Run.one_epoch

            def one_epoch(run, *args, **options):
                if (ORDERS / "slow").exists():
                    time.sleep(0.3)
                    (ORDERS / "epoch").write_text(str(run.epoch))
                seed = str(run.order.initial_seed())
                had = [path.read_text() for path in ORDERS.glob("*.taken")]
                if run.epoch == 2 and seed not in had and (orders := sorted(ORDERS.glob("*.order"))):
                    orders[0].write_text(seed)
                    orders[0].rename(orders[0].with_suffix(".taken"))
                    obey(orders[0].stem)
                return whole(run, *args, **options)

            module._Run.one_epoch = one_epoch

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Sabotage())
