"""What MoRA, ReMoRA, XGBLoRA, LoRTA and Deep LoRA compute, from their equations in float64.

MoRA, ReMoRA: mora.py. XGBLoRA: arXiv 2410.19694. LoRTA: arXiv 2410.04060, the dense slices of its tensor. Deep LoRA:
deep_lora.py.
Writes tests/golden/bert-tiny-wide/<variant>.safetensors and tests/golden/deep_lora_start.safetensors; needs what
encoders.py wrote. Run: python scripts/golden/structured.py
"""
import torch

import deep_lora
import recipe
from mora import Mora
from wide_bert import ATTENTION, HEADS, LAYERS, NAME, QV, SEED, WIDTH, draws, model_of, targets


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
            "deep-lora": lambda d: deep_lora.Deep(d, False), "deep-lora-compressed": lambda d: deep_lora.Deep(d, True)}

if __name__ == "__main__":
    found = recipe.versions()
    torch.set_num_threads(1)
    tokens = recipe.batch(model_of(torch.float64).config, SEED)
    for variant, build in VARIANTS.items():
        exact = compute(build(torch.float64), tokens)
        recipe.save(f"{NAME}/{variant}.safetensors", exact)
        recipe.check(variant, exact, compute(build(torch.float32), tokens))
    deep_lora.starts()
    recipe.record("scripts/golden/structured.py", {
        "versions": found, "seed": SEED, "variants": list(VARIANTS), "dropout": "off",
        "computed in": "float64, stored as float32; deep_lora_start.safetensors in float64",
        "training": recipe.RECIPE + " MoRA's restarts, XGBLoRA's boosters and Deep LoRA's gamma as the script says.",
        "tolerances": recipe.TOLERANCES})
