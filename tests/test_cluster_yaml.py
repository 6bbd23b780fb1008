"""The cluster configurations: against Ray's own schema where it has one, and what a search needs on top of it."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
LAUNCHED = {"aws": "cluster.yaml", "gcp": "docs/cluster/gcp.yaml", "local": "docs/cluster/onprem.yaml"}
DEPENDENCIES = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
# The newest that is allowed: images hold what a new installation gets.
MAJOR, BELOW = next(re.search(r"<(\d+)\.(\d+)", line).groups() for line in DEPENDENCIES if line.startswith("ray["))
RAY = f"{MAJOR}.{int(BELOW) - 1}"


@pytest.fixture(params=LAUNCHED)
def launched(request):
    return yaml.safe_load((ROOT / LAUNCHED[request.param]).read_text())


@pytest.fixture(params=["aws", "gcp"])
def cloud(request):
    return yaml.safe_load((ROOT / LAUNCHED[request.param]).read_text())


@pytest.fixture(scope="module")
def rayjob():
    return yaml.safe_load((ROOT / "docs/cluster/kuberay.yaml").read_text())["spec"]


def test_ray_accepts_it(launched, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(launched))


def test_trials_stay_off_the_head(launched):
    assert "--num-cpus=0" in _start(launched["head_start_ray_commands"])
    if "available_node_types" in launched:
        assert launched["available_node_types"][launched["head_node_type"]]["resources"]["CPU"] == 0


def test_there_are_gpu_workers_and_they_are_spot(cloud):
    workers = [node for name, node in cloud["available_node_types"].items() if name != cloud["head_node_type"]]
    assert all(node["resources"]["GPU"] and node["max_workers"] for node in workers)
    assert all("spot" in str(node["node_config"]).lower() for node in workers)
    assert "spot" not in str(cloud["available_node_types"][cloud["head_node_type"]]).lower()


def test_ray_is_pyprojects_and_has_shared_memory(cloud):
    assert f":{RAY}." in cloud["docker"]["image"] and "-py311" in cloud["docker"]["image"]
    assert any(option.startswith("--shm-size=") for option in cloud["docker"]["run_options"])


@pytest.mark.parametrize("commands", ["head_start_ray_commands", "worker_start_ray_commands"])
def test_every_node_asks_for_the_token_that_travels(launched, commands):
    start = _start(launched[commands])
    assert "RAY_AUTH_MODE=token" in start
    token = re.search(r"RAY_AUTH_TOKEN_PATH=(\S+)", start)[1]
    assert token in launched["file_mounts"] or token.startswith("/mnt/emofuse/")


def test_every_node_has_the_program_and_the_data(cloud):
    assert cloud["file_mounts"]["~/emofuse"] == "."
    copy = next(command for command in cloud["setup_commands"] if "copy_files" in command)
    scheme = {"aws": "s3", "gcp": "gs"}[cloud["provider"]["type"]]
    assert f"'{scheme}://" in copy
    compile(copy.partition("python -c ")[2].strip('"'), "setup", "exec")


def test_own_machines_copy_nothing_and_stay_up():
    config = yaml.safe_load((ROOT / LAUNCHED["local"]).read_text())
    assert config["file_mounts"] == {} and config["idle_timeout_minutes"] > 10_000
    assert all("/mnt/emofuse/venv" in command for command in config["worker_start_ray_commands"])


def test_a_rayjob_asks_for_a_token_gpus_and_the_same_ray(rayjob):
    cluster = rayjob["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    (workers,) = cluster["workerGroupSpecs"]
    pods = [cluster["headGroupSpec"]["template"]["spec"], workers["template"]["spec"]]
    assert pods[1]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    for pod in pods:
        (container,) = pod["containers"]
        assert container["image"].endswith(f":{cluster['rayVersion']}")
        assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/mnt/emofuse", "/dev/shm"}
        assert {volume["name"] for volume in pod["volumes"]} == {"data", "shm"}
    assert cluster["rayVersion"].startswith(f"{RAY}.")
    assert f"FROM rayproject/ray:{cluster['rayVersion']}-py311" in (ROOT / "docs/cluster/Dockerfile").read_text()


def test_a_rayjob_is_tried_again_on_shared_storage(rayjob):
    assert rayjob["backoffLimit"] > 0 and rayjob["shutdownAfterJobFinishes"]
    places = re.findall(r"(--clips|--stills|--store|-o) (\S+)", rayjob["entrypoint"])
    assert len(places) == 4 and all(place.startswith("/mnt/emofuse/") for _, place in places)
    assert (ROOT / re.search(r"recipes/\S+", rayjob["entrypoint"])[0]).exists()


def _start(commands):
    return next(command for command in commands if "ray start" in command)
