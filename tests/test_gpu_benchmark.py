"""The GPU benchmark, rehearsed in tiny sizes on the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import gpu

    return gpu


@pytest.mark.slow
def test_a_familys_row_holds_speeds_scores_and_no_failure(benchmark):
    import gpu_measures

    row = gpu_measures.family_row("temporal_pooling", gpu_measures.Given("cpu", True, ()))
    assert not [key for key in row if key.endswith("failed")], row
    assert min(row[f"{what}_per_s"] for what in ("float32", "auto", "plain", "score")) > 0
    assert set(row["learnt"]) == {"float32", "mixed", "other_seed"}
    assert row["off"] == 0 and row["within_noise"], "on a CPU mixed precision is float32"


def test_a_part_that_fails_leaves_the_others(benchmark, monkeypatch):
    import gpu_measures

    def broken(world, device, seconds):
        raise RuntimeError("no\n  kernel")

    monkeypatch.setattr(gpu_measures, "plain_clips_per_s", broken)
    row = gpu_measures.family_row("temporal_pooling", gpu_measures.Given("cpu", True, ()))
    assert row["plain_failed"] == "RuntimeError: no kernel" and row["score_per_s"] > 0


def test_the_plain_loop_trains_on_all_windows_of_a_clip(benchmark):
    from gpu_worlds import World, _examples, _items

    world = World.of("audio_map_lstm", True)
    world.train = _examples(world.family, world.shapes, 6, (5, 24), 0)
    model = world.model("cpu")
    network, items = model._outline(), _items(world, model._outline())
    packed = network.examples(model._pack(world.train))
    assert len(items) == len(packed) == world.count(world.train) > len(world.train)
    for n, (x, y) in enumerate(items):
        (ours,) = packed.batch(torch.tensor([n]))[0]["maps"]
        assert torch.equal(x["maps"], ours) and y == packed.labels()[n]


def test_every_network_that_is_trained_on_a_device_has_sizes(benchmark):
    import gpu_measures
    from gpu_worlds import SIZES

    from models.registry import families

    assert set(gpu_measures.ORDER) == {*SIZES, gpu_measures.BLOCKS}
    assert {name for name, family in families().items() if family.resources.gpu} <= set(gpu_measures.ORDER)


def test_rows_before_a_cut_off_line_are_kept_and_failures_stand_in_the_table(benchmark, tmp_path):
    book = benchmark.Book(tmp_path)
    book.write("fusion", "5x383x7", {"compiled_draws_per_s": 12345.6, "same_weights": True})
    book.write("tests", "pytest", {"passed": 3, "bad": {"test_x::test_y": "assert False"}})
    with book.path.open("a") as file:
        file.write('{"section": "fus')
    text = benchmark.table(book.rows())
    assert "5x383x7  12,346                -                 True" in text
    assert "  ! test_x::test_y: assert False" in text


@pytest.mark.slow
def test_without_a_card_the_whole_script_runs_in_tiny_sizes(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OUT": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    command = [
        sys.executable,
        ROOT / "benchmarks" / "gpu.py",
        "--families",
        "face_cnn,lstm_encoder,activity_svm",
        "--budget-s",
        "1000",
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1000)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "gpu.json").read_text())
    assert {row["section"] for row in rows} == {
        "card",
        "tests",
        "families",
        "fusion",
        "share",
        "extract",
        "cpu",
        "host",
    }
    assert not [row for row in rows for key in row if key.endswith("failed")], done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gpu.json", "gpu.jsonl", "gpu.log"]
