from pathlib import Path

import pytest

from features.errors import WrongUse
from features.sets import get_set, parse_spec, set_names

DOCS = Path(__file__).parents[2] / "docs" / "features.md"


@pytest.mark.parametrize("name", set_names())
def test_every_set_describes_itself(name):
    feature_set, spec = get_set(name), parse_spec(name)
    assert feature_set.name == name and feature_set.summary and str(spec) == name
    (row,) = [line for line in DOCS.read_text().splitlines() if line.startswith(f"| `{name}` |")]
    if "model" in spec.params:
        assert "| clip or frame" in row
        with pytest.raises(WrongUse, match=f"Feature set '{name}' needs its model: write {name}:model="):
            feature_set.shape(spec.params)
    else:
        assert f"| {feature_set.level}" in row and str(feature_set.shape(spec.params)) in row
    if feature_set.extra:
        assert row.endswith(f"| `{feature_set.extra}` |")
