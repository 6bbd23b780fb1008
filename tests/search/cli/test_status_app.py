import json
import subprocess
import sys
import threading

import emofuse
from features.files import read_json, write_json
from search.run.layout import Outcome


def _fail_all(run):
    for key in ("k1", "k2"):
        run.write_outcome(Outcome(key, "c", "failed", "because", "centroid", "centroid", "train"))


def test_watching_ends_with_the_search(small_run, capsys):
    run = small_run(partitions=["train"])
    timer = threading.Timer(0.3, _fail_all, [run])
    timer.start()
    assert emofuse.main(["search", "status", str(run.path), "--watch", "--every", "0.1"]) == 0
    text = capsys.readouterr().out
    assert "2 trials are left: run the same command again." in text and "Nothing is left. No trial has finished" in text
    assert emofuse.main(["search", "status", str(run.path), "--watch", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["entries"][0]["failed"] == 2


def test_a_status_loads_no_family(small_run):
    run = small_run()
    code = (
        "import sys, emofuse\n"
        f"assert emofuse.main(['search', 'status', {str(run.path)!r}]) == 0\n"
        "print({'torch', 'ray', 'optuna', 'sklearn', 'search.recipe.recipe'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_a_folder_of_another_release_is_told(small_run, capsys):
    run = small_run()
    path = run.path / "run.json"
    data = read_json(path, "")
    del data["plan"]
    write_json(path, data)
    assert emofuse.main(["search", "status", str(run.path)]) == 1
    text = "run.json: plan: this key is required, but it is missing; run the same `emofuse search run` again"
    assert text in capsys.readouterr().err
