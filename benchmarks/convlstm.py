"""How much faster the ConvLSTM layer is than a loop over the steps that calls two convolutions in each.

    python benchmarks/convlstm.py

Prints the processor's seconds of both, forward and backward, and their ratio, on one core; the sizes are those of
`convlstm` as published. The two take turns, and the best of each counts.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from models.blocks.convlstm import ConvLSTM


def reference(layer: ConvLSTM, x: Tensor) -> Tensor:
    """One step after the other, as the formula reads."""
    h = c = x.new_zeros(x.shape[1], layer.hidden, *x.shape[3:])
    states = []
    for x_t in x:
        i, f, o, g = (layer.inputs(x_t) + layer.states(h)).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        states.append(h)
    return torch.stack(states)


def seconds(layer: ConvLSTM, x: Tensor, run: Callable[[], Tensor]) -> float:
    """The processor time of one pass forward and back."""
    layer.zero_grad()
    x.grad = None
    started = time.process_time()
    run().square().mean().backward()
    return time.process_time() - started


def compare(clips: int, steps: int, width: int, side: int, turns: int) -> None:
    """Print both for one size."""
    torch.manual_seed(0)
    layer = ConvLSTM(width, width)
    x = torch.randn(steps, clips, width, side, side, requires_grad=True)
    ours, theirs = [], []
    for _ in range(turns):
        ours.append(seconds(layer, x, lambda: layer(x)[0]))
        theirs.append(seconds(layer, x, lambda: reference(layer, x)))
    print(
        f"{clips} x {steps} steps of {width} maps of {side}x{side}: ours {min(ours):6.3f} s   "
        f"loop {min(theirs):6.3f} s   ratio {min(theirs) / min(ours):.2f}"
    )


def main() -> None:
    """Compare the published size, smaller ones, and more than one clip at once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for clips, steps, width, side in ((1, 213, 64, 14), (1, 213, 32, 14), (1, 50, 64, 14), (4, 50, 64, 14)):
        compare(clips, steps, width, side, given.turns)


if __name__ == "__main__":
    main()
