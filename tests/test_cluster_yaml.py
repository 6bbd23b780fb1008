"""cluster.yaml against Ray's own schema, and what a search needs on top of it."""

from pathlib import Path

import pytest
import yaml

PATH = Path(__file__).parents[1] / "cluster.yaml"


@pytest.fixture(scope="module")
def config():
    return yaml.safe_load(PATH.read_text())


def test_ray_accepts_it(config, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(config))


def test_trials_stay_off_the_head(config):
    assert config["available_node_types"][config["head_node_type"]]["resources"]["CPU"] == 0


def test_there_are_gpu_workers(config):
    workers = [node for name, node in config["available_node_types"].items() if name != config["head_node_type"]]
    assert any(node["resources"].get("GPU") and node["max_workers"] for node in workers)


@pytest.mark.parametrize("commands", ["head_start_ray_commands", "worker_start_ray_commands"])
def test_every_node_asks_for_a_token(config, commands):
    start = next(command for command in config[commands] if "ray start" in command)
    assert "RAY_AUTH_MODE=token" in start
    assert "RAY_AUTH_TOKEN_PATH=" in start


def test_storage_is_mounted_on_every_node(config):
    assert any("mount" in command for command in config["setup_commands"])
