"""What this machine lacks, in a sentence."""

import pytest

from features.machine import machine_fault

LACKING = "cannot open shared object file"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "libGL.so.1: cannot open shared object file: No such file or directory",
            "libGL.so.1 (Debian: apt install libgl1 libglib2.0-0)",
        ),
        (
            "libgthread-2.0.so.0: cannot open shared object file",
            "libgthread-2.0.so.0 (Debian: apt install libgl1 libglib2.0-0)",
        ),
        ("libxcb.so.1: cannot open shared object file", "libxcb.so.1 (Debian: apt install libgl1 libglib2.0-0)"),
        ("libodd.so.3: cannot open shared object file", "libodd.so.3, and run the same command"),
        ("DLL of another kind", "mend what can't be imported"),
    ],
)
def test_a_library_of_the_system_is_named(said, told):
    fault = str(machine_fault(ImportError(said), "Feature set 'faces'"))
    assert fault.startswith("Feature set 'faces' can't run on") and told in fault
