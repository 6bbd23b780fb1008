"""An LSTM layer whose gates see the cell, which torch does not have (Zheng, equation 1)."""

import torch
import torch.nn.functional as F  # noqa: N812  the name that every torch text uses
from torch import Tensor, nn

from models.blocks.exported import peephole_states


class PeepholeLSTM(nn.Module):
    """One layer, from zero states: (B, T, F) -> h (B, T, H).

        i_t = sigmoid(W_xi x_t + W_hi h_{t-1} + w_ci * c_{t-1} + b_i)
        f_t = sigmoid(W_xf x_t + W_hf h_{t-1} + w_cf * c_{t-1} + b_f)
        c_t = f_t * c_{t-1} + i_t * tanh(W_xc x_t + W_hc h_{t-1} + b_c)
        o_t = sigmoid(W_xo x_t + W_ho h_{t-1} + w_co * c_t + b_o)
        h_t = o_t * tanh(c_t)

    Each cell is seen by its own gates alone, as in Graves' LSTM. The paper's c_t adds W_ci h_{t-1} to W_hc h_{t-1},
    two matrices on the same vector; here they are one.
    """

    def __init__(self, features: int, hidden: int):
        super().__init__()
        # Rows: i, f, c, o, as in nn.LSTM.
        self.weight_x = nn.Parameter(torch.empty(4 * hidden, features))
        self.weight_h = nn.Parameter(torch.empty(4 * hidden, hidden))
        self.bias = nn.Parameter(torch.empty(4 * hidden))
        self.peepholes = nn.Parameter(torch.empty(3, hidden))  # of i, f, o
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(hidden**-0.5), hidden**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        # In full precision: rounding errors of a long recurrence add up, and casts would be most of a step's work.
        with torch.autocast(x.device.type, enabled=False):
            return self._states(x.to(self.bias.dtype))

    def _states(self, x: Tensor) -> Tensor:
        # One product for the inputs of all steps: the loop does only what needs the step before.
        steps = F.linear(x.transpose(0, 1), self.weight_x, self.bias)  # (T, B, 4H)
        if torch.onnx.is_in_onnx_export():
            return peephole_states(steps, self.weight_h, self.peepholes)
        weight_h = self.weight_h.t()
        w_ci, w_cf, w_co = self.peepholes
        h = c = x.new_zeros(len(x), len(w_ci))  # (B, H)
        states = []
        for step in steps.unbind():
            i, f, g, o = torch.addmm(step, h, weight_h).chunk(4, dim=1)  # (B, H) each
            i, f = torch.sigmoid(i + w_ci * c), torch.sigmoid(f + w_cf * c)
            c = f * c + i * torch.tanh(g)
            h = torch.sigmoid(o + w_co * c) * torch.tanh(c)
            states.append(h)
        return torch.stack(states, dim=1)
