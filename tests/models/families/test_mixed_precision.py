"""What mixed precision leaves in full precision."""

import numpy as np
import pytest
import torch
from torch import nn

from models.examples import Examples
from models.family import Context
from models.registry import get_family

CLASSES = ("a", "b")
RECURRENT = {"attention_lstm": "lstm", "audio_lstm": "lstm", "cnn_irnn": "rnn", "lstm_encoder": "lstm"}


@pytest.mark.parametrize("name", sorted(RECURRENT))
def test_recurrent_layers_compute_in_full_precision(name):
    family = get_family(name)
    (slot,) = [slot.slot for slot in family.inputs]
    model = family.build(family.published[0], Context(CLASSES, {slot: (7,)}))
    model.fit(Examples(("x", "y"), {slot: [np.ones((3, 7), np.float32)] * 2}, CLASSES, np.arange(2)), None, epochs=1)
    seen = []
    layer = getattr(model.network, RECURRENT[name])
    layer.register_forward_hook(lambda layer, given, made: seen.append(made[0] if isinstance(made, tuple) else made))
    model.network.head.register_forward_hook(lambda layer, given, made: seen.append(made))
    with torch.autocast("cpu", torch.bfloat16):
        model.network({slot: torch.ones(2, 3, 7)}, {slot: torch.tensor([3, 2])})
    assert [states.dtype for states in seen] == [torch.float32, torch.bfloat16]
    assert isinstance(layer, nn.Module)
