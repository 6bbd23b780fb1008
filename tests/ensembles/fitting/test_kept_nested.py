"""Nested predictions over time are made again only where the set of finished trials is another."""

import numpy as np
import pytest
from tracks import small_run, write

import emofuse
from ensembles.fitting import kept_nested
from ensembles.fitting.fit_over_time import nested_over_time
from ensembles.report.gather import gather
from ensembles.report.sections.over_time import predicted, sections


@pytest.fixture
def made(monkeypatch):
    """What nested predictions were made of, each time: the members."""
    made = []

    def noted(found, ensemble):
        made.append(found.recordings.members)
        return nested_over_time(found, ensemble)

    monkeypatch.setattr(kept_nested, "nested_over_time", noted)
    return made


def test_a_look_without_a_new_trial_fits_nothing_again(tmp_path, made):
    run = small_run(tmp_path / "run")
    emofuse.open_run(run).fit("concordance", name="best", folds=3)
    first = [section.key for section in sections(gather(run))]
    assert [section.key for section in sections(gather(run))] == first and len(made) == 1
    write(run, "new", "fold-0-of-2", (0, 1, 2), 0.1)
    shown, _ = predicted(run)
    assert len(made) == 1, "half a configuration is no member"
    write(run, "new", "fold-1-of-2", (3, 4, 5), 0.1, seed=1)
    again, ensembles = predicted(run)
    assert len(made) == 2 and set(made[1]) - set(made[0]) == {"new/confignew800"}
    np.testing.assert_array_equal(again.fused, nested_over_time(again.found, ensembles[0]))
    assert (again.fused != shown.fused).any()
    with pytest.raises(ValueError, match="read-only"):
        again.fused[0] = 0


def test_an_ensemble_that_was_fitted_otherwise_is_made_anew(tmp_path, made):
    run = small_run(tmp_path / "run")
    for folds in (3, 2):
        emofuse.open_run(run).fit("uniform", name="best", folds=folds)
        shown, ensembles = predicted(run)
        np.testing.assert_array_equal(shown.fused, nested_over_time(shown.found, ensembles[0]))
    assert len(made) == 2
