"""What lies in the working directory when a cluster is joined."""

import pytest

from features.errors import EmofuseError
from features.workers.shadows import refuse_shadows


@pytest.mark.parametrize("place", ["models/__init__.py", "search.py"])
def test_a_package_of_that_name_is_told(tmp_path, place):
    (tmp_path / "models").mkdir()
    refuse_shadows(tmp_path)
    (tmp_path / place).write_text("")
    with pytest.raises(EmofuseError, match=rf"{tmp_path / place} has the name of emofuse's package '(models|search)'"):
        refuse_shadows(tmp_path)
    (tmp_path / "emofuse.py").write_text("")
    refuse_shadows(tmp_path)
