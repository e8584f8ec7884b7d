"""What MoRA, ReMoRA, XGBLoRA, LoRTA and Deep LoRA compute, from their equations in float64.

MoRA, ReMoRA: Jiang et al. 2024, arXiv 2405.12130, equations 6 and 9, and the four operators of the authors' code
kongds/MoRA (peft-mora/src/peft/tuners/lora/layer.py, _apply_mora). XGBLoRA: arXiv 2410.19694. LoRTA: arXiv 2410.04060,
the dense slices of its tensor. Deep LoRA: Yaras et al. 2024, arXiv 2406.04112, and the null-space construction of
cjyaras/deep-lora-transformers (dlt/train.py, get_left_right_factors).
Writes tests/golden/bert-tiny-wide/<variant>.safetensors and tests/golden/deep_lora_start.safetensors; needs what
encoders.py wrote. Run: python scripts/golden/structured.py
"""
import math

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForSequenceClassification

import recipe

SEED, NAME = 69, "bert-tiny-wide"
QV = ["attention.self.query", "attention.self.value"]
ATTENTION = [*QV, "attention.self.key", "attention.output.dense"]
LAYERS, HEADS, WIDTH = 2, 2, 64


def model_of(dtype):
    model = AutoModelForSequenceClassification.from_pretrained(recipe.GOLDEN / NAME, attn_implementation="eager")
    for name, p in model.named_parameters():
        p.requires_grad_(name.startswith("classifier"))
    return model.eval().to(dtype)


def targets(model, ends):
    """"layer.N.output.dense" is the feed-forward one: "attention.output.dense" ends in the same words."""
    def wanted(path):
        return any(path.endswith(e) and (e != "output.dense" or "attention" not in path) for e in ends)
    return [(p, m) for p, m in model.named_modules() if isinstance(m, torch.nn.Linear) and wanted(p)]


def draws(seed=SEED):
    g = torch.Generator().manual_seed(seed)
    return lambda *shape, size=1.0: size * torch.randn(shape, generator=g)


# MoRA ------------------------------------------------------------------------------------------------------------

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


# XGBLoRA ---------------------------------------------------------------------------------------------------------

class Xgblora:
    """Three boosters of four steps on all layers, rank 2: merged into the dense weights, then fresh factors."""
    steps = 4

    def __init__(self, dtype):
        self.model, self.drawn, self.random = model_of(dtype), {}, draws()
        self.layers = targets(self.model, QV)
        for path, linear in self.layers:
            linear.A = torch.nn.Parameter(self.random(2, linear.in_features, size=0.125).to(dtype))
            linear.B = torch.nn.Parameter(self.random(linear.out_features, 2, size=0.1).to(dtype))
            linear.register_forward_hook(lambda m, inputs, y: y + inputs[0] @ m.A.T @ m.B.T)

    def factor(self, step):
        return 1.0

    def after(self, step, optimizer):
        if (step + 1) % self.steps:
            return
        with torch.no_grad():
            for path, linear in self.layers:
                linear.weight += linear.B @ linear.A
                fresh = self.random(2, linear.in_features, size=0.125)
                self.drawn[f"draw/{(step + 1) // self.steps}/{path}.A"] = fresh
                linear.A.copy_(fresh)
                linear.B.zero_()
                for p in (linear.A, linear.B):
                    optimizer.state.pop(p, None)


# LoRTA -----------------------------------------------------------------------------------------------------------

class Lorta:
    """Rank 3, alpha 6; the dense slices of the tensor."""

    def __init__(self, dtype, ends, official=False):
        self.model = model_of(dtype)
        random, shapes = draws(), {"A": (WIDTH, 3), "B": (3, WIDTH // HEADS), "C_h": (HEADS, 3), "C_l": (LAYERS, 3),
                                   "C_m": (4, 3)}
        self.tensor = self.model.lorta = torch.nn.Module()
        for name, shape in shapes.items():
            self.tensor.register_parameter(name, torch.nn.Parameter(random(*shape, size=0.5).to(dtype)))
        for path, linear in targets(self.model, ends):
            m = next(i for i, n in enumerate(("query", "key", "value", "dense")) if path.endswith(n))
            layer = int(path.split(".layer.")[1].split(".")[0])
            transposed = m < 3 and not official
            linear.register_forward_hook(lambda _, inputs, y, l=layer, m=m, t=transposed:
                                         y + 2.0 * inputs[0] @ (self.slice(l, m).T if t else self.slice(l, m)).T)

    def slice(self, layer, m):
        t = self.tensor
        heads = [t.A @ torch.diag(t.C_h[h] * t.C_m[m] * t.C_l[layer]) @ t.B for h in range(HEADS)]
        return torch.cat(heads, 1)

    def factor(self, step):
        return 1.0

    def after(self, step, optimizer):
        pass


# Deep LoRA -------------------------------------------------------------------------------------------------------

class Deep:
    """The kernels of the authors' code are [in, out]: K = W3 W2 W1, or left W3 W2 W1 right^T. Factors of some size, so
    that the change is felt; width 4, and for the compressed form gamma 0.1. Named as ours: our W1 is their W3^T."""

    def __init__(self, dtype, compressed):
        self.model, random = model_of(dtype), draws()
        for _, linear in targets(self.model, [*QV, "output.dense"]):
            into, out = linear.in_features, linear.out_features
            shapes = {"W1": (4, 4), "W2": (4, 4), "W3": (4, 4), "left": (into, 4), "right": (out, 4)} if compressed \
                else {"W1": (4, into), "W2": (4, 4), "W3": (out, 4)}
            for name, shape in shapes.items():
                value = torch.linalg.qr(random(*shape)).Q if shape[0] >= shape[1] else \
                    torch.linalg.qr(random(*shape).T).Q.T
                value = value if name in ("left", "right") else (0.7 if compressed else 0.5) * value
                linear.register_parameter(name, torch.nn.Parameter(value.contiguous().to(dtype)))

            def hook(m, inputs, y):
                kernel = torch.linalg.multi_dot([m.W1.T, m.W2.T, m.W3.T])
                return y + inputs[0] @ (m.left @ kernel @ m.right.T if compressed else kernel)
            linear.register_forward_hook(hook)

    def scale(self, name):
        return 0.1 if name.endswith((".left", ".right")) else 1.0

    def factor(self, step):
        return 1.0

    def after(self, step, optimizer):
        pass


def null_space_factors(W1, gradient, product, rank, sizes):
    """get_left_right_factors for a square W1: what the top of the gradient leaves alone is the intersection of Va and
    Vb, found as the null space of [Va, -Vb]; right is its complement."""
    def svd(A):
        U, s, VT = np.linalg.svd(A, full_matrices=True)
        return U, s, VT.T
    n, half = W1.shape[1], rank // 2
    U, _, V = svd(gradient)
    Va, Vb = W1.T @ U[:, half:] / sizes, V[:, half:]
    V0 = Va @ svd(np.concatenate([Va, -Vb], 1))[2][:n - half, n:]
    right = svd(V0)[0][:, ::-1][:, :rank]
    return product @ right / sizes ** 3, right


def deep_start(into, out, rank, g):
    """The full-width net of one kernel [in, out]; on the transposed one where W1 would not be square."""
    sizes, width, swap = 1e-3, max(into, out), into > out
    rows, columns = (out, into) if swap else (into, out)
    orthogonal = [torch.linalg.qr(torch.randn(width, width, generator=g, dtype=torch.float64)).Q for _ in range(3)]
    W = [sizes * q for q in orthogonal]
    W[2] = W[2][:rows]
    W[0].requires_grad_()
    K0, X = (torch.randn(s, generator=g, dtype=torch.float64) for s in ((into, out), (40, into)))
    Y = torch.randn((40, out), generator=g, dtype=torch.float64)
    change = W[2] @ W[1] @ W[0]
    kernel = K0 + (change.T if swap else change)
    kernel.retain_grad()
    (torch.tanh(X @ kernel) * Y).mean().backward()
    left, right = null_space_factors(W[0].detach().numpy(), W[0].grad.numpy(), change.detach().numpy(), rank, sizes)
    if swap:
        left, right = right, left
    product = (change.T if swap else change).detach() / sizes ** 3
    case = f"{into}-{out}/"
    left, right = torch.tensor(left), torch.tensor(right)
    return {case + "gradient": kernel.grad.T, case + "product": product.T, case + "right": right @ right.T,
            case + "left": left @ left.T, case + "change": right @ left.T}


def deep_starts():
    g, out = torch.Generator().manual_seed(SEED), {}
    for into, width in ((12, 12), (8, 14), (14, 8)):
        out |= deep_start(into, width, 4, g)
    path = recipe.GOLDEN / "deep_lora_start.safetensors"
    save_file({n: t.contiguous() for n, t in out.items()}, path)
    path.chmod(0o644)
    print(f"{path.name}: {len(out)} tensors of float64, {path.stat().st_size} bytes")


# ------------------------------------------------------------------------------------------------------------------

def ten_steps(method, tokens):
    """recipe.ten_steps with what a method does after a step, to the learning rate, and to that of a tensor."""
    params = recipe.trained(method.model)
    scale = getattr(method, "scale", lambda name: 1.0)
    groups = [{"params": [p], "weight_decay": 0.0 if n.endswith("bias") else 0.1, "lr": 1e-3 * scale(n)}
              for n, p in params]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8)
    factors = [0.0, *((recipe.STEPS - i) / (recipe.STEPS - 1) for i in range(1, recipe.STEPS))]
    losses, norms = [], []
    for step, factor in enumerate(factors):
        optimizer.zero_grad()
        loss = recipe.run(method.model, tokens).loss
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_([p for _, p in params], 1.0)))
        losses.append(loss.item())
        for group, (n, _) in zip(optimizer.param_groups, params):
            group["lr"] = 1e-3 * scale(n) * factor * method.factor(step)
        optimizer.step()
        method.after(step, optimizer)
    return {"train.losses": torch.tensor(losses), "train.norms": torch.tensor(norms),
            "train.rates": 1e-3 * torch.tensor(factors)}


def compute(method, tokens):
    named = dict(recipe.trained(method.model))
    result = {f"adapter/{n}": p.detach().clone() for n, p in named.items()}
    out = recipe.run(method.model, tokens)
    out.loss.backward()
    result |= {"logits": out.logits, "loss": out.loss} | {f"grad/{n}": p.grad.clone() for n, p in named.items()}
    result |= ten_steps(method, tokens) | getattr(method, "drawn", {})
    result["final.logits"] = recipe.run(method.model, tokens).logits
    result |= {f"final/{n}": p for n, p in named.items()}
    return {n: t.detach().clone() for n, t in result.items()}


VARIANTS = {"mora-1": lambda d: Mora(d, [1]), "mora-6": lambda d: Mora(d, [6]),
            "remora": lambda d: Mora(d, [1, 2, 3, 4], restart_steps=2), "xgblora": Xgblora,
            "lorta": lambda d: Lorta(d, QV), "lorta-4": lambda d: Lorta(d, ATTENTION),
            "lorta-official": lambda d: Lorta(d, ATTENTION, official=True),
            "deep-lora": lambda d: Deep(d, False), "deep-lora-compressed": lambda d: Deep(d, True)}

if __name__ == "__main__":
    found = recipe.versions()
    torch.set_num_threads(1)
    tokens = recipe.batch(model_of(torch.float64).config, SEED)
    for variant, build in VARIANTS.items():
        exact = compute(build(torch.float64), tokens)
        recipe.save(f"{NAME}/{variant}.safetensors", exact)
        recipe.check(variant, exact, compute(build(torch.float32), tokens))
    deep_starts()
    recipe.record("scripts/golden/structured.py", {
        "versions": found, "seed": SEED, "variants": list(VARIANTS), "dropout": "off",
        "computed in": "float64, stored as float32; deep_lora_start.safetensors in float64",
        "training": recipe.RECIPE + " MoRA's restarts, XGBLoRA's boosters and Deep LoRA's gamma as the script says.",
        "tolerances": recipe.TOLERANCES})
