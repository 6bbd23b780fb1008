import numpy as np

from ensembles.fitting.arrays import held_out_of_arrays


def test_names_of_arrays_have_one_spelling(capsys):
    P = np.full((1, 4, 2), 0.5)
    found = held_out_of_arrays(P, ["happy", "Happy ", "sad", "happy"], groups=["s1", "S1", "s2", "s1 "])
    assert found.classes == ("happy", "sad") and found.y.tolist() == [0, 0, 1, 0]
    assert found.groups == ("s1", "s1", "s2", "s1")
    assert "groups: each group has one spelling" in capsys.readouterr().err
    found = held_out_of_arrays(P, ["HAPPY", "sad", "sad", "sad"], classes=["Sad", "Happy"])
    assert found.classes == ("Sad", "Happy") and found.y.tolist() == [1, 0, 0, 0]
