"""What a bundle knows of its training clips, and which clips it calls unlike them."""

from dataclasses import replace

import numpy as np
import pytest
from spoiling import digested, edited

from ensembles.bundle import seen as module
from ensembles.bundle.bundle import open_bundle
from ensembles.bundle.predict import Predictor
from ensembles.bundle.seen import BundleSeen, as_arrays, described, distribution, from_arrays
from ensembles.bundle.seen_of_run import seen_of_run
from features.errors import EmofuseError

GROUPS = [f"g{n % 10}" for n in range(200)]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_new_groups_are_rarely_unlike_and_others_are(rng):
    shift = rng.normal(size=(11, 30))  # each speaker is a little different
    X = rng.normal(size=(200, 30)) + np.array([shift[n % 10] for n in range(200)])
    known = distribution(X, GROUPS)
    fresh = rng.normal(size=(500, 30)) + shift[10]
    assert np.mean([known.times_limit(x) > 1 for x in fresh]) < 0.05
    assert all(known.times_limit(x) > 1 for x in fresh + 6)
    assert all(known.times_limit(x) > 1 for x in 8 * rng.normal(size=(20, 30)))


def test_one_speakers_clips_in_a_fold_keep_the_limit_honest(rng):
    shift = 3 * rng.normal(size=(10, 30))
    X = rng.normal(size=(200, 30)) + np.array([shift[n % 10] for n in range(200)])
    assert distribution(X, GROUPS).limit > 1.3 * distribution(X, [str(n) for n in range(200)]).limit


def test_clips_are_described_by_what_they_show():
    assert described(np.arange(3.0)).tolist() == [0, 1, 2]
    assert described(np.array([[1.0, 4.0], [3.0, 4.0]])).tolist() == [2, 4, 1, 0]
    flat, striped = np.full((2, 48, 48), 90, np.uint8), np.zeros((2, 48, 48), np.uint8)
    striped[:, :, ::2] = 255
    assert described(flat).tolist() == [0] * 64 and described(striped).min() > 4
    lighter = described(striped // 2 + 100)
    assert np.abs(lighter - described(striped)).max() < 0.75, "half the contrast is little beside none"
    colour = np.repeat(striped[..., None], 3, axis=3)
    assert described(colour) == pytest.approx(described(striped))


def test_too_few_clips_or_speakers_tell_nothing(rng):
    assert distribution(rng.normal(size=(19, 3)), GROUPS[:19]) is None
    assert distribution(rng.normal(size=(50, 3)), ["a", "b"] * 25) is None


def test_numbers_that_never_change_and_huge_ones_are_told(rng):
    X = rng.normal(size=(200, 4))
    X[:, 1] = 5.0
    known = distribution(X, GROUPS)
    assert known.times_limit(np.array([0, 5.0, 0, 0])) < 1
    assert np.isfinite(known.times_limit(np.array([0, 1e30, 0, 0]))) and known.times_limit([0, 50.0, 0, 0]) > 1
    with pytest.raises(EmofuseError, match="expected a vector of 4 numbers"):
        known.times_limit(np.zeros(5))


def test_a_run_whose_features_are_gone_gives_none(exported, capsys):
    assert seen_of_run(exported[0], {"functionals": "functionals"}) == {}
    assert "The bundle can't tell clips that are unlike its training clips" in capsys.readouterr().err


def told(bundle, seen):
    """Write distributions into a bundle, as the export does."""
    from safetensors.numpy import save

    (bundle / "seen.safetensors").write_bytes(save(as_arrays(seen)))
    fields = {spec: {name: getattr(one, name) for name in module.SEEN_FIELDS} for spec, one in seen.items()}
    edited(bundle / "bundle.json", lambda data: data.update(seen=fields))
    digested(bundle)


def test_a_bundle_tells_unlike_clips(bundle, features, rng, tmp_path):
    assert Predictor(bundle).predict(tmp_path / "a.wav").distance is None, "older bundles don't know"
    told(bundle, {"functionals": distribution(rng.normal(size=(200, 921)), GROUPS)})
    predictor = Predictor(bundle)
    like = predictor.predict(tmp_path / "a.wav")
    assert 0 < like.distance < 1 and like.unlike == {}
    features["functionals"] = np.full((1, 921), 9.0, np.float32)
    other = predictor.predict(tmp_path / "a.wav")
    assert list(other.unlike) == ["functionals"] and other.distance > 1 and other.label in ("angry", "happy")


def test_distributions_that_do_not_fit_are_refused(bundle, features, rng, tmp_path):
    known = distribution(rng.normal(size=(200, 8)), GROUPS)
    told(bundle, {"functionals": known})
    with pytest.raises(EmofuseError, match=r"seen\.safetensors, 'functionals': expected a vector of 8 numbers"):
        Predictor(bundle).predict(tmp_path / "a.wav")
    for changed in ({"mean": known.mean[:3]}, {"components": known.components[0]}, {"scale": -known.scale}):
        told(bundle, {"functionals": replace(known, **changed)})
        with pytest.raises(EmofuseError, match=r"expected (the distribution of|scales above 0 for) 'functionals'"):
            open_bundle(bundle)


def test_arrays_come_back(rng):
    known = distribution(rng.normal(size=(200, 8)), GROUPS)
    said = BundleSeen(known.rest, known.limit, known.clips, known.groups)
    again = from_arrays({"x": said}, as_arrays({"x": known}), "here")["x"]
    x = rng.normal(size=8)
    assert again.times_limit(x) == pytest.approx(known.times_limit(x), rel=1e-4)
