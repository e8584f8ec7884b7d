"""Small random BERT and RoBERTa classifiers as Hugging Face folders, with what transformers computes from them.

Writes tests/golden/<name>/{config.json, model.safetensors, golden.safetensors} and its part of manifest.json.
Needs torch, transformers, safetensors. Run: python scripts/golden/encoders.py
"""
import torch
from transformers import BertConfig, BertForSequenceClassification, RobertaConfig, RobertaForSequenceClassification

import recipe

SEED = 69
COMMON = dict(vocab_size=100, num_hidden_layers=2, initializer_range=0.2, attn_implementation="eager")
BERT = dict(COMMON, max_position_embeddings=64, type_vocab_size=2)
SMALL = dict(hidden_size=32, num_attention_heads=4, intermediate_size=64)
WIDE = dict(hidden_size=64, num_attention_heads=2, intermediate_size=128)
ROBERTA = dict(COMMON, max_position_embeddings=66, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2,
               layer_norm_eps=1e-5)
MODELS = {
    "bert-tiny": (BertForSequenceClassification, BertConfig(**BERT, **SMALL, num_labels=3)),
    "bert-tiny-wide": (BertForSequenceClassification, BertConfig(**BERT, **WIDE, num_labels=3)),
    "bert-tiny-regression": (BertForSequenceClassification, BertConfig(**BERT, **SMALL, num_labels=1)),
    "roberta-tiny": (RobertaForSequenceClassification, RobertaConfig(**ROBERTA, **WIDE, num_labels=2)),
}
FINAL = ["embeddings.word_embeddings.weight", "encoder.layer.0.attention.self.query.weight",
         "encoder.layer.1.output.LayerNorm.bias", "classifier.weight", "classifier.out_proj.weight"]


def make(name):
    """The model, seeded; biases and LayerNorms, which start at 0 and 1, moved away so that a mix-up shows."""
    kind, config = MODELS[name]
    torch.manual_seed(SEED)
    model = kind(config)
    g = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for path, p in model.named_parameters():
            if path.endswith("bias") or "LayerNorm" in path:
                p.add_(0.1 * torch.randn(p.shape, generator=g))
    return model.eval()  # dropout is off everywhere below, training steps included


def compute(model, tokens):
    out = recipe.run(model, tokens)
    out.loss.backward()
    result = {f"hidden.{i}": recipe.real_tokens(h, tokens["lengths"]) for i, h in enumerate(out.hidden_states)}
    result |= {"logits": out.logits, "loss": out.loss.detach()}
    result |= {f"grad/{n}": p.grad.clone() for n, p in model.named_parameters()}
    result |= recipe.ten_steps(model, tokens)
    result |= {f"final/{n}": p for n, p in model.named_parameters() if n.endswith(tuple(FINAL))}
    return {name: t.detach().clone() for name, t in result.items()}


def golden(name):
    folder = recipe.GOLDEN / name
    model = make(name)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "model.safetensors").chmod(0o644)
    tokens = recipe.batch(model.config, SEED)
    exact = compute(make(name).double(), tokens)
    recipe.save(f"{name}/golden.safetensors", tokens | exact)
    recipe.check(name, exact, compute(make(name), tokens))


if __name__ == "__main__":
    found = recipe.versions()
    torch.set_num_threads(1)
    for each in MODELS:
        golden(each)
    recipe.record("scripts/golden/encoders.py", {
        "versions": found, "seed": SEED, "models": list(MODELS), "dropout": "off, though config.json says 0.1",
        "computed in": "float64, stored as float32", "training": recipe.RECIPE, "tolerances": recipe.TOLERANCES})
