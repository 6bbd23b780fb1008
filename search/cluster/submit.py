"""A search as a job of a Ray cluster: packed, submitted, followed, stopped.

The job is nothing but `emofuse search run` on the cluster's head, so stopping it loses nothing and submitting it again
continues the run.
"""

import asyncio
import logging
import os
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, cast

from features.errors import EmofuseError, WrongUse
from features.masking import has_credentials
from features.workers.ray_access import has_token, open_cluster, page_asks_for_token
from search.trial.versions import REVISION_VARIABLE, git_revision, library_versions

# Ray's own cap is 512 MiB; the program itself is far below a megabyte, so more than this is data by mistake.
MAX_UPLOAD_MB = 20
# Between SIGTERM and SIGKILL: time for running trials to write their checkpoints.
STOP_WAIT_S = 60
ACTIVE = ("PENDING", "RUNNING")


class Jobs(Protocol):
    """What of Ray's JobSubmissionClient is used here."""

    def submit_job(self, **job: Any) -> str: ...
    def stop_job(self, job_id: str) -> bool: ...
    def list_jobs(self) -> Sequence[Any]: ...
    def get_job_info(self, job_id: str) -> Any: ...
    def tail_job_logs(self, job_id: str) -> Any: ...


@dataclass(frozen=True)
class Order:
    """What the job runs: a recipe inside the tree, and where data and run lie as the cluster's nodes see them.

    `clips`, `features`, `out` and `stills` are absolute paths, or URIs where `search run` takes them.
    """

    recipe: Path
    clips: str
    features: str
    out: str
    stills: str | None = None
    options: tuple[str, ...] = ()

    def entrypoint(self, root: Path) -> str:
        """The job's command line; WrongUse when the recipe lies outside `root`, or a path is relative."""
        try:
            recipe = self.recipe.resolve().relative_to(root.resolve())
        except ValueError:
            raise WrongUse(
                f"{self.recipe}: expected a recipe inside {root}, which is what travels to the cluster; copy it there."
            ) from None
        places = {"--clips": self.clips, "--store": self.features, "-o": self.out}
        if self.stills:
            places["--stills"] = self.stills
        for option, place in places.items():
            if "://" not in place and not PurePosixPath(place).is_absolute():
                raise WrongUse(f"{option} {place}: expected an absolute path or a URI, as the cluster's nodes see it.")
            if has_credentials(place):
                raise WrongUse(
                    f"{option} {place}: expected a URI without credentials, since a job's command line is shown to all "
                    "who see the cluster; give them to its nodes (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a "
                    "role)."
                )
        given = [part for pair in places.items() for part in pair]
        words = ["python", "-m", "emofuse", "search", "run", recipe.as_posix(), *given, "--address", "auto"]
        return shlex.join([*words, *self.options])


def inside(root: Path, plugins: Sequence[Path]) -> list[str]:
    """The places of plug-in files below `root`, which travels to the cluster; WrongUse for one that lies elsewhere."""
    top, found = root.resolve(), []
    for path in plugins:
        if not path.resolve().is_relative_to(top):
            raise WrongUse(
                f"{path}: expected a plug-in inside {root}, which is what travels to the cluster; copy it there."
            )
        found.append(path.resolve().relative_to(top).as_posix())
    return found


def tree_root() -> Path:
    """The folder that holds this program's source and travels to the cluster."""
    root = Path(__file__).resolve().parents[2]
    if not (root / "pyproject.toml").exists():
        raise EmofuseError(
            f"{root}: expected a checkout of emofuse to pack for the cluster, but this is an installed copy; "
            "run the command from a checkout installed with `pip install -e .`."
        )
    return root


def package_mb(root: Path) -> float:
    """Megabytes that Ray will upload of `root`: all files but those that .gitignore and .rayignore leave out."""
    from ray._private.runtime_env.packaging import create_package

    quiet = logging.getLogger("emofuse.package")
    quiet.setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "package.zip"
        create_package(str(root), target, include_gitignore=True, logger=quiet)
        return target.stat().st_size / 1e6


def connect(address: str, allow_open: bool = False) -> Jobs:
    """The job server at `address` (http://host:8265); the token comes from RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH.

    EmofuseError where it is out of reach, and unless `allow_open` where it asks nobody for a token.
    """
    os.environ.setdefault("RAY_AUTH_MODE", "token" if has_token() else "disabled")
    from ray.job_submission import JobSubmissionClient

    for name in ("ray.dashboard.modules.job.sdk", "ray.dashboard.modules.dashboard_sdk"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("packaging", "working_dir"):
        logging.getLogger(f"ray._private.runtime_env.{name}").setLevel(logging.ERROR)
    try:
        jobs = cast(Jobs, JobSubmissionClient(address))
    except Exception as error:  # requests' errors, RuntimeError, ConnectionError, Ray's AuthenticationError
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise EmofuseError(
            f"--address {address}: expected the job server of a Ray cluster, but {reason}; give its dashboard's "
            "address (http://HEAD:8265, perhaps through `ray dashboard cluster.yaml`) and set the cluster's "
            "RAY_AUTH_TOKEN_PATH."
        ) from None
    if not allow_open and not page_asks_for_token(f"{address.rstrip('/')}/api/jobs/"):
        raise open_cluster(address, address)
    return jobs


@contextmanager
def obeying(address: str) -> Iterator[None]:
    """What Ray's client raises when the server refuses becomes an EmofuseError."""
    try:
        yield
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise EmofuseError(
            f"{address}: the job server refused ({reason}); a head that has just started needs half a minute: run the "
            "same command again."
        ) from None


def active_job(jobs: Jobs, out: str) -> str | None:
    """The submission id of the job that works on the run `out`, if there is one."""
    for job in jobs.list_jobs():
        if (job.metadata or {}).get("run") == out and str(job.status) in ACTIVE:
            return job.submission_id
    return None


def submit(jobs: Jobs, order: Order, name: str, root: Path) -> str:
    """Pack `root` and submit the search; returns the submission id, which tells recipe, run and time."""
    entrypoint = order.entrypoint(root)
    size = package_mb(root)
    if size > MAX_UPLOAD_MB:
        raise EmofuseError(
            f"{root}: the tree packs to {size:.0f} MB, expected {MAX_UPLOAD_MB} MB at most: {_largest(root)}; move "
            "data out of it, or name it in .rayignore."
        )
    return jobs.submit_job(
        # Ray runs it in a shell. A stop that comes before the shell has a child would end the shell alone.
        entrypoint=f"exec {entrypoint}",
        submission_id=submission_id(name, order.out),
        runtime_env={"working_dir": str(root), "env_vars": job_environment()},
        metadata={
            "run": order.out,
            "recipe": name,
            "emofuse": library_versions().get("emofuse", ""),
            "git_revision": git_revision(),
            "command": entrypoint,
        },
    )


def submission_id(name: str, out: str, now: time.struct_time | None = None) -> str:
    """A readable name for a job: recipe, run and the time to the second."""
    run = PurePosixPath(out.rstrip("/")).name
    parts = ["emofuse", name, *([run] if run != name else []), time.strftime("%Y%m%d-%H%M%S", now or time.gmtime())]
    return "-".join("".join(c if c.isalnum() or c in "-_." else "_" for c in part) for part in parts)


def job_environment() -> dict[str, str]:
    """What the job's driver needs set beside what the head was started with."""
    found = {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S), "PYTHONUNBUFFERED": "1"}
    if revision := git_revision():
        found[REVISION_VARIABLE] = revision
    return found


def follow(jobs: Jobs, job: str, show: Callable[[str], None]) -> str:
    """Show the job's log until it ends; returns SUCCEEDED, FAILED or STOPPED."""

    async def tail() -> None:
        async for text in jobs.tail_job_logs(job):
            show(text)

    asyncio.run(tail())
    return _ended(jobs, job, 10.0)


def stop(jobs: Jobs, job: str) -> str:
    """Stop a job and wait until it has; running trials write their checkpoints first."""
    jobs.stop_job(job)
    return _ended(jobs, job, STOP_WAIT_S + 30.0)


def why(jobs: Jobs, job: str) -> str:
    """What Ray says of a job that failed, in one line."""
    message = str(getattr(jobs.get_job_info(job), "message", "") or "no reason given")
    return " ".join(message.split())[:300].rstrip(".")


def _ended(jobs: Jobs, job: str, patience_s: float) -> str:
    last = time.monotonic() + patience_s
    while (status := str(jobs.get_job_info(job).status)) in ACTIVE and time.monotonic() < last:
        time.sleep(0.5)
    return status


def _largest(root: Path) -> str:
    sizes = {
        path.name: sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())
        for path in root.iterdir()
        if path.name not in (".git", ".venv")
    }
    top = sorted(sizes, key=lambda name: -sizes[name])[:3]
    return "largest are " + ", ".join(f"{name} ({sizes[name] / 1e6:.0f} MB)" for name in top)
