"""Outputs that are not finite are told with their clip."""

import numpy as np
import pytest

from features.errors import Diverged
from models.finite import finite


def test_the_clip_is_named():
    rows = np.zeros((3, 2))
    assert [clip_id for clip_id, _ in finite("scores", "abc", rows)] == ["a", "b", "c"]
    rows[1, 1] = np.inf
    with pytest.raises(Diverged) as caught:
        list(finite("scores", "abc", rows))
    assert str(caught.value).startswith(
        "The trained model's scores of clip 'b' are not finite (inf); expected finite numbers: "
    )
