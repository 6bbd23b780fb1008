import numpy as np
import pytest
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from models.svm import RbfSVM, svm_pipeline


def blobs(n, features=6, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    return rng.normal(size=(classes, features))[y] + rng.normal(size=(n, features)), y


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_rbf_machine_equals_scikit_learns_one_against_the_rest(class_weight):
    (X, y), (Z, _) = blobs(60), blobs(20, seed=1)
    y[:8] = 0
    ours = RbfSVM(C=3.0, gamma=0.2, class_weight=class_weight).fit(X, y)
    theirs = OneVsRestClassifier(SVC(C=3.0, gamma=0.2, class_weight=class_weight)).fit(X, y)
    np.testing.assert_allclose(ours.decision_function(Z), theirs.decision_function(Z), atol=1e-6)
    np.testing.assert_array_equal(ours.predict(Z), theirs.predict(Z))
    assert len(ours.support_vectors_) <= len(X)


def test_linear_machine_sees_features_divided_by_the_root_of_their_number():
    X, y = blobs(50, features=9)
    rows = StandardScaler().fit_transform(X)
    expected = LinearSVC(C=0.8, random_state=0, tol=1e-6).fit(rows / 3, y).decision_function(rows / 3)
    found = svm_pipeline(9, kernel="linear", C=0.8).set_params(svm__tol=1e-6).fit(X, y).decision_function(X)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_feature_that_hardly_varied_in_training_does_not_drown_the_others():
    X, y = blobs(60)
    X[:, 0] = 1e-6 * np.arange(60)
    pipeline = svm_pipeline(6, kernel="linear", C=1.0).fit(X, y)
    off = X.copy()
    off[:, 0] = 1000.0
    assert (pipeline.predict(off) == pipeline.predict(X)).mean() > 0.6
    assert np.abs(pipeline[:-1].transform(off)).max() == 5.0


@pytest.mark.parametrize(("share", "kept"), [(0.5, 1), (0.99, 3), (1.0, 6)])
def test_pca_keeps_a_share_of_the_variance(share, kept):
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(40, 3)), 2, axis=1)
    X[:, 1::2] += 0.01 * rng.normal(size=(40, 3))
    X[:, :2] += 2 * X[:, 2:4]
    pipeline = svm_pipeline(6, kernel="rbf", C=1.0, pca=share).fit(X, np.arange(40) % 2)
    assert pipeline[:-1].transform(X).shape == (40, kept)
