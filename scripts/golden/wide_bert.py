"""The model of tests/golden/bert-tiny-wide with a frozen encoder, its linears by name, and seeded draws."""
import torch
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
