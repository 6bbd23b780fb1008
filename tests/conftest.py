"""Fixtures of all tests."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# A busy machine makes any example slow for once.
settings.register_profile("emofuse", deadline=None)
settings.load_profile("emofuse")


@pytest.fixture(autouse=True)
def _seeds():
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  libraries under test draw from the global state


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real material; the test skips where it is absent."""
    given = os.environ.get("EMOFUSE_TEST_DATA")
    folder = Path(given) if given else Path(__file__).parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real data absent: set EMOFUSE_TEST_DATA or put it at ../shared/data")
    return folder
