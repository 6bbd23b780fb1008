from ensembles.api.arrays import fit as fit
from ensembles.api.bundle import Bundle as Bundle
from ensembles.api.bundle import load as load
from ensembles.api.data import clips as clips
from ensembles.api.data import extract as extract
from ensembles.api.ensemble import Ensemble as Ensemble
from ensembles.api.run import Run as Run
from ensembles.api.run import open_run as open_run
from ensembles.api.search import search as search
from features.errors import EmofuseError as EmofuseError
from features.errors import WrongUse as WrongUse

__version__: str

def main(arguments: list[str] | None = None) -> int: ...
