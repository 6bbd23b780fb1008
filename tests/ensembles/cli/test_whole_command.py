import subprocess
import sys

FAILS = """
import sys
from ensembles.cli import command

def run(arguments):
    raise ArithmeticError("s3://KEY:SECRET@bucket/run")

command.run = run
sys.exit(command.main([]))
"""


def test_a_traceback_is_masked():
    done = subprocess.run([sys.executable, "-c", FAILS], capture_output=True, text=True)
    assert done.returncode == 1 and "SECRET" not in done.stderr
    assert done.stderr.startswith("Traceback") and done.stderr.endswith("ArithmeticError: s3://***@bucket/run\n")
