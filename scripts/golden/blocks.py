"""What the bottleneck adapters of Houlsby and of Pfeiffer compute on the small encoders.

Houlsby et al. 2019, arXiv 1902.00751; Pfeiffer et al. 2021, arXiv 2005.00247; both with biases and as MTLoRA's
repository uses them: f(x) = U act(V x + v) + u,
  houlsby   after both sublayers:           out = LayerNorm(h + f(h) + residual), act = swish
  pfeiffer  after the feed-forward's alone: out = LayerNorm(h + f(LayerNorm(h + residual)) + residual), act = ReLU
with h = dropout(dense(x)). Plain torch modules in the place of the forward of transformers' BertSelfOutput and BertOutput.
Writes tests/golden/<model>/{houlsby,pfeiffer}.safetensors; needs what encoders.py wrote.
Run: python scripts/golden/blocks.py
"""
import types

import torch
from torch.nn.functional import relu, silu

import adapters
import recipe

BOTTLENECK = 8


class Bottleneck(torch.nn.Module):
    def __init__(self, width, activation):
        super().__init__()
        self.down = torch.nn.Linear(width, BOTTLENECK)
        self.up = torch.nn.Linear(BOTTLENECK, width)
        self.activation = activation

    def forward(self, x):
        return self.up(self.activation(self.down(x)))


def houlsby_output(self, hidden_states, input_tensor):
    h = self.dropout(self.dense(hidden_states))
    return self.LayerNorm(h + self.adapter(h) + input_tensor)


def pfeiffer_output(self, hidden_states, input_tensor):
    h = self.dropout(self.dense(hidden_states))
    return self.LayerNorm(h + self.adapter(self.LayerNorm(h + input_tensor)) + input_tensor)


def build(name, dtype, forward, activation, places):
    model = adapters.load(name, dtype)
    adapters.train_only(model, lambda path: path.startswith("classifier"))
    g = torch.Generator().manual_seed(adapters.SEED)
    for layer in model.base_model.encoder.layer:
        for output in places(layer):
            block = Bottleneck(output.dense.out_features, activation)
            with torch.no_grad():  # U is not zero, so that every gradient is there
                for p in block.parameters():
                    p.copy_(torch.randn(p.shape, generator=g) * 0.3)
            output.adapter = block.to(dtype)
            output.forward = types.MethodType(forward, output)
    return model, dict(recipe.trained(model))


def houlsby(name, dtype):
    return build(name, dtype, houlsby_output, silu, lambda layer: [layer.attention.output, layer.output])


def pfeiffer(name, dtype):
    return build(name, dtype, pfeiffer_output, relu, lambda layer: [layer.output])


VARIANTS = {"houlsby": houlsby, "pfeiffer": pfeiffer}

if __name__ == "__main__":
    found = recipe.versions()
    torch.set_num_threads(1)
    for model_name in ("bert-tiny-wide", "roberta-tiny"):
        for variant, builder in VARIANTS.items():
            adapters.golden(model_name, variant, builder)
    recipe.record("scripts/golden/blocks.py", {
        "versions": found, "seed": adapters.SEED, "bottleneck": BOTTLENECK, "variants": list(VARIANTS), "dropout": "off",
        "computed in": "float64, stored as float32", "training": recipe.RECIPE, "tolerances": recipe.TOLERANCES})
