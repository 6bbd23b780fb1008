"""The search through torch: the same numbers, the same accepted draws; on a GPU where there is one."""

import pytest
import torch

from ensembles.fusion import DecisionFusion
from ensembles.fusion.base import Problem
from ensembles.fusion.solvers.noise import Noise
from ensembles.fusion.solvers.screen import Incumbent
from ensembles.fusion.solvers.torch_screen import TorchScreen
from features.errors import EmofuseError

NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NEEDS_GPU])]


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["uniform", "gaussian", "symmetric"])
def test_the_same_numbers(simulate, device, kind):
    s = simulate(M=5, N=30, C=3)
    problem, noise = Problem(s.P, s.y, s.valid, "accuracy", "share"), Noise(4, 5, 3)
    numbers = TorchScreen(problem, Incumbent(problem), noise, device)._numbers(kind, 7, 10**6, 2000)
    plain = noise.draws(kind, 7, 10**6, 2000).transpose(2, 0, 1)
    assert (numbers.cpu().numpy() == plain).all()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("lacking", "missing", "metric", "local"),
    [
        (0.0, "share", "accuracy", "gaussian"),
        (0.4, "share", "unweighted_accuracy", "uniform"),
        (0.4, "uniform", "accuracy", "gaussian"),
    ],
)
def test_the_same_draws_are_accepted(simulate, device, lacking, missing, metric, local):
    s = simulate(M=3, N=60, C=4, lacking=lacking, skill=(0.0, 0.6))
    how = {"draws": 3000, "decay": 0.6, "sigma_min": 0.01, "missing": missing, "metric": metric, "local": local}
    one, other = (DecisionFusion(**how, device=d).fit(s.P, s.y, s.valid) for d in (None, device))
    assert one.trace_ == other.trace_ and len(one.trace_) > 3
    assert (one.weights_ == other.weights_).all()


def test_a_device_that_is_not_there_is_told(simulate):
    s = simulate()
    with pytest.raises(EmofuseError, match=r"can't use device='npu':.*leave it out for the CPU"):
        DecisionFusion(device="npu").fit(s.P, s.y)
