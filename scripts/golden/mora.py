"""MoRA and ReMoRA from their equations: Jiang et al. 2024, arXiv 2405.12130, equations 6 and 9, and the four operators of
the authors' code kongds/MoRA (peft-mora/src/peft/tuners/lora/layer.py, _apply_mora). Run by structured.py.
"""
import math

import torch

from wide_bert import QV, draws, model_of, targets


def shared(x, r):
    """Equation 6: x goes on with its own first entries, and the chunks of r are summed."""
    if x.shape[-1] % r:
        x = torch.cat([x, x[..., :r - x.shape[-1] % r]], -1)
    return x.view(*x.shape[:-1], -1, r).sum(-2)


def grouped(x, r):
    small = x.shape[-1] // r
    m = x.shape[-1] - r * small
    first, rest = x[..., :m * (small + 1)], x[..., m * (small + 1):]
    parts = [first.reshape(*x.shape[:-1], m, small + 1).sum(-1)] if m else []
    return torch.cat([*parts, rest.reshape(*x.shape[:-1], r - m, small).sum(-1)], -1)


def tiled(y, out):
    return torch.cat([y] * -(-out // y.shape[-1]), -1)[..., :out]


def interleaved(y, out):
    r = y.shape[-1]
    small, m = out // r, out % r
    return torch.cat([y[..., :m].repeat_interleave(small + 1, -1), y[..., m:].repeat_interleave(small, -1)], -1)


def rotation(x, M, out):
    """Equation 9: block k rotated by k theta, each block multiplied by M, the blocks side by side."""
    r = M.shape[0]
    if x.shape[-1] % r:
        x = torch.cat([x, x[..., :r - x.shape[-1] % r]], -1)
    blocks = x.view(*x.shape[:-1], -1, r)
    theta = 1 / 10000 ** (torch.arange(0, r, 2).double() / r)
    angles = torch.outer(torch.arange(blocks.shape[-2]).double(), theta)
    angles = torch.cat([angles, angles], -1)
    turned = torch.cat([-blocks[..., r // 2:], blocks[..., :r // 2]], -1)
    y = (blocks * angles.cos().to(x.dtype) + turned * angles.sin().to(x.dtype)) @ M.T
    return tiled(y.reshape(*x.shape[:-1], -1), out)


OPERATORS = {1: lambda x, M, out: tiled(shared(x, M.shape[0]) @ M.T, out),
             2: lambda x, M, out: interleaved(grouped(x, M.shape[0]) @ M.T, out),
             3: lambda x, M, out: tiled(grouped(x, M.shape[0]) @ M.T, out),
             4: lambda x, M, out: interleaved(shared(x, M.shape[0]) @ M.T, out),
             6: rotation}


class Mora:
    """rank 3, so M is 20 x 20 on 64 -> 64 and 24 x 24 on 128 -> 64."""

    def __init__(self, dtype, types, restart_steps=None):
        self.model, self.types, self.restart_steps, self.warmup = model_of(dtype), types, restart_steps, 2
        self.layers, self.at = targets(self.model, [*QV, "output.dense"]), 0
        random = draws()
        for _, linear in self.layers:
            r = int(math.sqrt((linear.in_features + linear.out_features) * 3) + 0.5)
            r = r // 2 * 2 if types == [6] else r
            linear.M = torch.nn.Parameter(random(r, r, size=0.05).to(dtype))
            linear.register_forward_hook(self.hook)

    def hook(self, linear, inputs, y):
        return y + OPERATORS[self.types[self.at]](inputs[0], linear.M, linear.out_features)

    def factor(self, step):
        if self.restart_steps is None or step < self.restart_steps:
            return 1.0
        return min(1.0, step % self.restart_steps / self.warmup)

    def after(self, step, optimizer):
        """Merges into the dense weights, as the paper does."""
        if self.restart_steps is None or (step + 1) % self.restart_steps:
            return
        with torch.no_grad():
            for _, linear in self.layers:
                unit = torch.eye(linear.in_features, dtype=linear.M.dtype)
                linear.weight += OPERATORS[self.types[self.at]](unit, linear.M, linear.out_features).T
                linear.M.zero_()
                optimizer.state.pop(linear.M, None)
        self.at = (self.at + 1) % len(self.types)
