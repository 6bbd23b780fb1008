"""docs/walk.md, command by command, on the hosts that it names."""

import json
import re
from pathlib import Path

import pytest
from lab import SHARED

from search.run.layout import Layout

pytestmark = pytest.mark.multihost
PAGE = Path(__file__).parents[2] / "docs" / "walk.md"
BLOCK = re.compile(r"^```sh (\S+)\n(.*?)^```$", re.M | re.S)


def test_every_command_of_the_walk_works(_lab):
    blocks = BLOCK.findall(PAGE.read_text())
    assert {where for where, _ in blocks} == {"laptop", "head", "worker", "not-run"}
    try:
        for where, commands in blocks:
            for host in {"laptop": [_lab.laptop], "head": [_lab.head], "worker": _lab.workers}.get(where, []):
                host.run(f"set -e\n{commands}", limit_s=600)
    finally:
        _lab.stop_ray()
    status = _lab.laptop.run(f"emofuse search status {SHARED}/runs/job --json").stdout
    assert [(entry["finished"], entry["left"]) for entry in json.loads(status)["entries"]] == [(12, 0), (12, 0)]
    laptop, cluster, job = (Layout(_lab.shared / "runs" / name).finished() for name in ("laptop", "cluster", "job"))
    assert laptop == cluster == job
