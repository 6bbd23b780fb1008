"""The layers that torch doesn't have: on a GPU the same outputs and gradients as on a CPU.

EMOFUSE_GPU=cpu rehearses these tests where there is none.
"""

import copy
import os

import pytest
import torch

from models.blocks.convlstm import ConvLSTM
from models.blocks.peephole import PeepholeLSTM
from models.blocks.relu_rnn import ReLURNN
from models.reproducible import exact_kernels

GPU = os.environ.get("EMOFUSE_GPU", "cuda")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(GPU == "cuda" and not torch.cuda.is_available(), reason="there is no CUDA device"),
]
LAYERS = {
    "convlstm3d": (lambda: ConvLSTM(3, 4, 3), (9, 2, 9, 6, 5)),
    "convlstm": (lambda: ConvLSTM(3, 4), (9, 2, 3, 6, 5)),  # (T, B, C, height, width)
    "peephole": (lambda: PeepholeLSTM(5, 6), (2, 9, 5)),  # (B, T, F)
    "relu_rnn": (lambda: ReLURNN(5, 6), (2, 9, 5)),
}


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("name", sorted(LAYERS))
def test_outputs_and_gradients_are_those_of_the_cpu(name, mixed):
    make, shape = LAYERS[name]
    torch.manual_seed(0)
    layer, x = make(), torch.randn(shape)
    found = {}
    for device in ("cpu", GPU):
        own, given = copy.deepcopy(layer).to(device), x.detach().to(device).requires_grad_()
        with exact_kernels(), torch.autocast(device, torch.bfloat16, enabled=mixed):
            made = own(given)
            h = made[0] if isinstance(made, tuple) else made
        assert h.dtype == torch.float32, "a recurrence stays in full precision"
        (h * torch.arange(h.numel(), device=device).view(h.shape).cos()).sum().backward()
        found[device] = [h, given.grad, *(p.grad for p in own.parameters())]
    for ours, theirs in zip(found["cpu"], found[GPU], strict=True):
        torch.testing.assert_close(theirs.detach().cpu(), ours.detach(), atol=1e-4, rtol=1e-4)
