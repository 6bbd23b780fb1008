"""Mutations of a real bundle: each is a sentence or loads and predicts; no traceback, no hang, no gigabyte."""

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from spoiling import digested

from ensembles.bundle.predict import Predictor
from features.errors import EmofuseError

SAMPLE, ALL = 24, 250
LIMIT_S = 30
VALUES = [
    None,
    True,
    -1,
    0,
    10**7,
    10**30,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x" * 10_000,
    "../..",
    "/etc/passwd",
    "\0",
    "\ud800",
    "members/00-svm",
    [],
    [[]],
    {},
    {"a": {}},
    [0] * 10_000,
    ["functionals"],
]


def flip(rng, data):
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 8, 64])):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(rng, data):
    return data[: rng.randrange(len(data))]


def swap(rng, data):
    a, b = sorted(rng.randrange(len(data)) for _ in range(2))
    return data[b:] + data[a:b] + data[:a]


def huge_number(rng, data):
    at = rng.randrange(max(1, len(data) - 8))
    return data[:at] + rng.choice([b"\xff" * 8, b"\0\0\0\0\0\0\xf0\x7f", b"\0\0\xc0\x7f" * 2]) + data[at + 8 :]


def nest(rng, data):
    bracket = rng.choice([b"[", b'{"a":', b"("])
    return bracket * rng.choice([10, 900, 100_000])


def other_value(rng, data):
    """One place of a JSON file with another value, or without it, or twice."""
    root = {"all": json.loads(data)}
    root["all"].pop("content_sha256", None)
    node, key = root, "all"
    while isinstance(node[key], dict | list) and node[key] and rng.random() < 0.85:
        node = node[key]
        key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
    what = rng.random()
    if what < 0.15 and node is not root:
        del node[key]
    elif what < 0.3 and isinstance(node, list):
        node.append(node[key])
    else:
        node[key] = rng.choice(VALUES)
    return json.dumps(root["all"]).encode()


def spoil(bundle, seed):
    """Change one to three files; told is what was done. Most get digests that fit, as a stranger's would."""
    rng, told = random.Random(seed), []
    files = sorted(path for path in bundle.rglob("*") if path.is_file() and path.name != "MODEL_CARD.md")
    for path in rng.sample(files, rng.choice([1, 1, 1, 2, 3])):
        ways = [flip, cut, swap, huge_number, nest] + [other_value] * 8 * (path.suffix == ".json")
        way = rng.choice(ways)
        told.append(f"{way.__name__} {path.relative_to(bundle)}")
        path.write_bytes(way(rng, path.read_bytes()))
    if rng.random() < 0.9 and not any("sha256.json" in one for one in told):
        digested(bundle)
    return ", ".join(told)


def outcome(bundle, clip):
    """The sentence that the bundle was refused with, or None where it predicts."""
    try:
        result = Predictor(bundle).predict(clip)
    except EmofuseError as error:
        assert "\n" not in str(error) and len(str(error)) < 2000
        return str(error)
    assert result.label is None or abs(sum(result.probabilities.values()) - 1) < 1e-6, "numbers that are none"
    return None


@pytest.mark.parametrize("start", [0, pytest.param(SAMPLE, marks=pytest.mark.slow)])
def test_mutations_are_sentences(exported, features, start):
    clean = {path.relative_to(exported[2]): path.read_bytes() for path in exported[2].rglob("*") if path.is_file()}
    refused, before = 0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in range(start, SAMPLE if start == 0 else ALL):
        with tempfile.TemporaryDirectory() as folder:
            for name, data in clean.items():
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / name).write_bytes(data)
            told, started = spoil(Path(folder), seed), time.monotonic()
            try:
                refused += outcome(Path(folder), Path("clip.mp4")) is not None
            except Exception as error:
                raise AssertionError(f"seed {seed}: {told}") from error
            assert time.monotonic() - started < LIMIT_S, f"seed {seed}: {told}"
    assert refused > (SAMPLE if start == 0 else ALL - SAMPLE) / 2, "most mutations are noticed"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000, "kilobytes"


BOMBS = {
    "hidden": ("members/01-pooling/model.json", '"hidden": 64', '"hidden": 6400'),
    "hidden beyond": ("members/01-pooling/model.json", '"hidden": 64', '"hidden": 10000000'),
    "classes": ("members/01-pooling/model.json", '"classes": [', '"classes": [' + '"x", ' * 10_000),
    "shape": ("members/00-svm/model.json", "921", "2000000000"),
    "faces": ("backbones/CNN/model.json", "48", "20000"),
    "set": ("bundle.json", '"faces"', '"faces:size=1000000"'),
}
LIMITED = """
import resource, sys
from pathlib import Path
from features.errors import EmofuseError
from ensembles.bundle.predict import Predictor
import torch, models.pipelines
Predictor(Path(sys.argv[1]))
base = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (base + (1 << 30), resource.RLIM_INFINITY))
for bomb in sys.argv[2:]:
    try:
        Predictor(Path(bomb))
    except EmofuseError as error:
        print(error)
"""


@pytest.mark.slow
def test_bombs_stay_below_a_gigabyte(exported, tmp_path):
    """In a process of its own that may take no more than 1 GiB of address space beside what a good bundle took."""
    bombs = []
    for name, (place, old, new) in BOMBS.items():
        bomb = tmp_path / name
        for path in exported[2].rglob("*"):
            if path.is_file():
                target = bomb / path.relative_to(exported[2])
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        (path,) = bomb.glob(place.replace("CNN", "*"))
        data = json.loads(path.read_text())
        data.pop("content_sha256", None)
        text = json.dumps(data)
        assert old in text
        path.write_text(text.replace(old, new))
        bombs.append(str(digested(bomb)))
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(exported[2]), *bombs], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = done.stdout.splitlines()
    assert len(told) == len(bombs) and all(map(str.startswith, told, bombs)), done.stdout
    assert "MemoryError" not in done.stdout and "allocate" not in done.stdout
