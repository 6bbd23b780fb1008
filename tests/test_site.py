"""The documentation site: built strictly, complete in itself, refused with a broken link or an undocumented name."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocstrings", reason="the site needs the extra docs")
ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


def _build(folder, out):
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_is_built_and_fetches_nothing(tmp_path):
    done = _build(ROOT, tmp_path)
    assert done.returncode == 0, done.stderr
    reference = (tmp_path / "reference.html").read_text()
    for name in ("open_run", "Run.leaderboard", "Ensemble.refit", "Bundle.predict"):
        assert f'id="emofuse.{name}"' in reference
    for page in tmp_path.rglob("*.html"):
        assert not re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="https?://', page.read_text()), page
    assert not (tmp_path / "_check_names.py").exists()


def test_a_broken_link_and_a_name_without_docstring_fail(tmp_path):
    for name in ("docs", "features", "models", "search", "ensembles"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("mkdocs.yml", "emofuse.py"):
        shutil.copy(ROOT / name, tmp_path)
    run = tmp_path / "ensembles" / "api" / "run.py"
    run.write_text(re.sub(r'(def ensembles\(self\)[^\n]*\n)        """.*?"""\n', r"\1", run.read_text(), flags=re.S))
    (tmp_path / "docs" / "index.md").write_text("# Start\n\n[gone](nowhere.md)\n")
    done = _build(tmp_path, tmp_path / "site")
    assert done.returncode == 1
    assert "emofuse.Run.ensembles has no docstring" in done.stderr
    assert "contains a link 'nowhere.md'" in done.stderr
