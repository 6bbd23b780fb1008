"""A search as a Ray job: what is packed, what is asked of the job server, what is said."""

import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from features.errors import EmofuseError, WrongUse
from search.cluster import submit as job_of
from search.cluster.submit import Order, active_job, follow, obeying, package_mb, stop, submission_id, submit, tree_root

RECIPE = tree_root() / "recipes" / "start.yaml"


def order(**changes):
    given = {"recipe": RECIPE, "clips": "/data/c.parquet", "features": "/data/store", "out": "/runs/a"}
    return Order(**given | changes)


class Server:
    """A job server that remembers; a job runs until it is stopped, or until its log was read."""

    def __init__(self, ends="SUCCEEDED"):
        self.jobs, self.ends = {}, ends

    def submit_job(self, **job):
        self.jobs[job["submission_id"]] = SimpleNamespace(status="RUNNING", message="", **job)
        return job["submission_id"]

    def stop_job(self, job_id):
        self.jobs[job_id].status = "STOPPED"
        return True

    def list_jobs(self):
        return list(self.jobs.values())

    def get_job_info(self, job_id):
        return self.jobs[job_id]

    async def tail_job_logs(self, job_id):
        yield "1 of 2\n"
        yield "2 of 2\n"
        self.jobs[job_id].status = self.ends


def test_the_entrypoint_is_the_search_command():
    text = order(stills="/data/s.parquet", options=("--weights", "vgg16=/w.pth")).entrypoint(tree_root())
    assert text == (
        "python -m emofuse search run recipes/start.yaml --clips /data/c.parquet --store /data/store -o /runs/a "
        "--stills /data/s.parquet --address auto --weights vgg16=/w.pth"
    )


def test_uris_are_places_and_relative_paths_are_not():
    assert "-o s3://bucket/run" in order(out="s3://bucket/run").entrypoint(tree_root())
    with pytest.raises(WrongUse, match="-o runs/a: expected an absolute path or a URI"):
        order(out="runs/a").entrypoint(tree_root())


def test_a_recipe_outside_the_tree_is_refused(tmp_path):
    with pytest.raises(WrongUse, match=r"my\.yaml: expected a recipe inside .* copy it there"):
        order(recipe=tmp_path / "my.yaml").entrypoint(tree_root())


def test_a_job_is_named_after_recipe_run_and_time():
    at = time.struct_time((2026, 11, 20, 8, 5, 9, 4, 324, 0))
    assert submission_id("guo 2019", "s3://b/runs/first/", at) == "emofuse-guo_2019-first-20261120-080509"
    assert submission_id("start", "/runs/start", at) == "emofuse-start-20261120-080509"


def test_submitting_tells_run_recipe_and_revision():
    server = Server()
    name = submit(server, order(), "start", tree_root())
    job = server.jobs[name]
    assert job.metadata["run"] == "/runs/a"
    assert job.metadata["recipe"] == "start"
    assert job.entrypoint == f"exec {job.metadata['command']}"  # the shell makes way for the search
    assert job.runtime_env["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"] == "60"
    assert active_job(server, "/runs/a") == name
    assert active_job(server, "/runs/b") is None


@pytest.mark.parametrize("ends", ["SUCCEEDED", "FAILED"])
def test_following_shows_the_log_to_its_end(ends):
    server, lines = Server(ends), []
    name = submit(server, order(), "start", tree_root())
    assert follow(server, name, lines.append) == ends
    assert lines == ["1 of 2\n", "2 of 2\n"]
    assert active_job(server, "/runs/a") is None


def test_stopping_waits_for_the_end():
    server = Server()
    name = submit(server, order(), "start", tree_root())
    assert stop(server, name) == "STOPPED"


def test_the_tree_stays_small_beside_data_and_runs(tmp_path):
    (tmp_path / ".gitignore").write_text((tree_root() / ".gitignore").read_text())
    (tmp_path / ".rayignore").write_text((tree_root() / ".rayignore").read_text())
    (tmp_path / "emofuse.py").write_text("x = 1\n")
    for name in (".git/objects/pack", "runs/a/big.bin", "data/clip.bin", "clips.parquet", "store/data.arrow", "a.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(10**6))
    assert package_mb(tmp_path) < 0.01
    assert package_mb(tree_root()) < job_of.MAX_UPLOAD_MB / 4


def test_data_in_the_tree_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(job_of, "MAX_UPLOAD_MB", 0.5)
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "r.yaml").write_text("name: r\n")
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "a.bin").write_bytes(random.randbytes(10**6))
    with pytest.raises(EmofuseError, match=r"packs to 1 MB, expected 0\.5 MB at most: largest are films \(1 MB\)"):
        submit(Server(), order(recipe=tmp_path / "recipes" / "r.yaml"), "r", tmp_path)


def test_credentials_do_not_travel_with_a_job():
    with pytest.raises(WrongUse) as error:
        order(out="s3://KEY:SECRET@bucket/run").entrypoint(tree_root())
    assert str(error.value).startswith("-o s3://***@bucket/run: expected a URI without credentials, since a job's ")


class OpenServer(BaseHTTPRequestHandler):
    """A job server that asks nobody for a token."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"version": "4", "ray_version": "2.60.0", "ray_commit": "x"}')

    def log_message(self, *words):
        pass


def test_an_open_cluster_is_refused_unless_it_is_allowed(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with ThreadingHTTPServer(("127.0.0.1", 0), OpenServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        told = rf"{address}: expected a cluster that turns away whoever has no token, .* or give --allow-open-cluster\."
        with pytest.raises(EmofuseError, match=told):
            job_of.connect(address)
        assert job_of.connect(address, allow_open=True)
        server.shutdown()


def test_an_address_without_a_job_server_is_said(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(EmofuseError, match=r"--address http://127\.0\.0\.1:1: expected the job server of a Ray"):
        job_of.connect("http://127.0.0.1:1")


def test_what_the_server_refuses_is_a_sentence():
    with (
        pytest.raises(EmofuseError, match=r"the job server refused \(status code 500: No available agent\); a head"),
        obeying("http://h"),
    ):
        raise RuntimeError("status code 500:\nNo available agent.")


def test_plugins_travel_with_the_tree_alone(tmp_path):
    (tmp_path / "tree" / "mine").mkdir(parents=True)
    own, other = tmp_path / "tree" / "mine" / "forest.py", tmp_path / "forest.py"
    assert job_of.inside(tmp_path / "tree", [own]) == ["mine/forest.py"]
    with pytest.raises(WrongUse, match=r"forest.py: expected a plug-in inside .*tree, which is what travels"):
        job_of.inside(tmp_path / "tree", [other])
