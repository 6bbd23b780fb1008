"""How much faster the training loop is than a DataLoader with padding and packing, at the same network and optimiser.

    python benchmarks/training.py

Prints clips per second of CPU time of both and their ratio, for the shapes of the clip families, on one core.
"""

import argparse
import time
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader

from models.examples import Examples
from models.families.audio_lstm import AudioLSTM
from models.families.cnn_irnn import IRNN
from models.family import Input
from models.training.batches import pack
from models.training.loop import train
from models.training.network import ClipNetwork
from models.training.settings import Settings

CLASSES = 7


def collate(clips):
    """What most code does: a list of tensors of different lengths, padded for every batch."""
    xs = [torch.from_numpy(x) for x, _ in clips]
    return pad_sequence(xs, batch_first=True), torch.tensor([len(x) for x in xs]), torch.tensor([y for _, y in clips])


def reference_epoch(network: ClipNetwork, rnn: nn.Module, loader: DataLoader, optimiser: torch.optim.Optimizer) -> None:
    """One epoch in the usual manner."""
    for x, length, y in loader:
        packed = pack_padded_sequence(x, length, batch_first=True, enforce_sorted=False)
        _, state = rnn(packed)
        h = state[0] if isinstance(state, tuple) else state
        loss = nn.functional.cross_entropy(network.head(h[-1]), y)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        if not torch.isfinite(loss):
            raise FloatingPointError(f"loss {loss}")


def torchs(own: nn.RNN) -> nn.RNN:
    """torch's layer with the parameters of `own`, which are then trained in it."""
    layer = nn.RNN(own.input_size, own.hidden_size, nonlinearity="relu", batch_first=True)
    for name, parameter in own.named_parameters():
        setattr(layer, name, parameter)
    return layer


def compare(name: str, make, slot: str, features: int, batch_size: int, clips: int, epochs: int) -> None:
    """Print both speeds for one network; the two take turns, so that a busy machine slows both."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(t, features)).astype(np.float32) for t in rng.integers(20, 81, clips)]
    y = rng.integers(0, CLASSES, clips)
    names = tuple("abcdefg")
    examples = Examples(tuple(map(str, range(clips))), {slot: arrays}, names, y)
    rows = pack(examples, (Input(slot, "frame", 1, "short_term"),), {slot: (features,)}, "cpu")
    settings = Settings("sgd", 0.005, batch_size, epochs, epochs, clip=1.0)
    ours, reference = make(), make()
    rnn = reference.lstm if isinstance(reference, AudioLSTM) else torchs(reference.rnn)
    loader = DataLoader(list(zip(arrays, y, strict=True)), batch_size, shuffle=True, collate_fn=collate)
    optimiser = torch.optim.SGD(reference.parameters(), lr=0.005)
    seconds = {"ours": 0.0, "reference": 0.0}
    for turn in range(epochs + 1):
        started = time.process_time()
        reference_epoch(reference.train(), rnn, loader, optimiser)
        between = time.process_time()
        train(ours, rows, None, settings, epochs=1)
        if turn:  # the first turn warms up
            seconds["reference"] += between - started
            seconds["ours"] += time.process_time() - between
    speed = {who: clips * epochs / spent for who, spent in seconds.items()}
    print(
        f"{name:34} ours {speed['ours']:7.0f} clips/s   reference {speed['reference']:7.0f} clips/s   "
        f"ratio {speed['ours'] / speed['reference']:.2f}"
    )


def main() -> None:
    """Compare the shapes of the clip families."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--epochs", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    run = partial(compare, clips=given.clips, epochs=given.epochs)
    run("audio_lstm, 34 features, 64 units", lambda: AudioLSTM(34, 64, CLASSES, 0.0), "audio", 34, 16)
    run("audio_lstm, 34 features, 512 units", lambda: AudioLSTM(34, 512, CLASSES, 0.0), "audio", 34, 16)
    run("cnn_irnn, 800 features, 200 units", lambda: IRNN(800, 200, CLASSES, 1.0), "frames", 800, 64)
    run("cnn_irnn, 7 features, 50 units", lambda: IRNN(7, 50, CLASSES, 1.0), "frames", 7, 16)


if __name__ == "__main__":
    main()
