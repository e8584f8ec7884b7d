"""What the golden scripts of encoders and adapters share: the batch, the ten training steps, the files.

Everything is computed in float64 and stored rounded to float32: the golden is the exact answer as far as
float32 can say, and a float32 program's whole distance from it is that program's own rounding. `check`
runs the same in float32 and prints how far PyTorch itself is away.
"""
import json
import platform
from pathlib import Path

import numpy
import torch
import transformers
from safetensors.torch import save_file

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"
LENGTHS = [2, 3, 7, 12, 20]
STEPS = 10
# Softmax does not feel a constant added to all scores, so the gradient of a key's bias is zero and what is computed is
# rounding: it is not compared with its own size.
ROUNDING_ONLY = "attention.self.key.bias"


def versions(**more):
    found = {"python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__,
             "numpy": numpy.__version__, **more}
    print(" ".join(f"{name} {version}" for name, version in found.items()))
    return found


def batch(config, seed):
    """Five sequences of unequal length; no token is the padding id (its embedding has no gradient in PyTorch)."""
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(4, config.vocab_size, (sum(LENGTHS),), generator=g)
    segments = torch.cat([(torch.arange(n) >= (n + 1) // 2).long() for n in LENGTHS])
    if config.type_vocab_size == 1:
        segments.zero_()
    if config.num_labels == 1:
        labels = torch.randn(len(LENGTHS), generator=g) * 2
    else:
        labels = torch.arange(len(LENGTHS)) % config.num_labels
    first = config.pad_token_id + 1 if config.model_type == "roberta" else 0
    positions = torch.cat([torch.arange(n) + first for n in LENGTHS])
    return {"ids": ids, "segments": segments, "positions": positions,
            "lengths": torch.tensor(LENGTHS), "labels": labels}


def padded(flat, lengths, fill):
    rows = torch.full((len(lengths), max(lengths)), fill, dtype=flat.dtype)
    start = 0
    for i, n in enumerate(lengths):
        rows[i, :n] = flat[start:start + n]
        start += n
    return rows


def run(model, tokens):
    """Forward of the padded batch, positions left to the model."""
    lengths = tokens["lengths"].tolist()
    labels = tokens["labels"]
    dtype = next(model.parameters()).dtype
    return model(input_ids=padded(tokens["ids"], lengths, model.config.pad_token_id),
                 attention_mask=padded(torch.ones_like(tokens["ids"]), lengths, 0),
                 token_type_ids=padded(tokens["segments"], lengths, 0),
                 labels=labels.to(dtype) if labels.is_floating_point() else labels, output_hidden_states=True)


def real_tokens(hidden, lengths):
    """[sequences, longest, width] → [tokens, width]."""
    return torch.cat([hidden[i, :n] for i, n in enumerate(lengths.tolist())])


def trained(model):
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]


def ten_steps(model, tokens, lr_scale=lambda name: 1.0):
    """AdamW (lr 1e-3, betas 0.9 0.999, eps 1e-8, decay 0.1 but none on biases and LayerNorm), linear schedule with one
    step of warm-up (so the first step has lr 0), gradient norm clipped to 1; the same batch ten times."""
    params = trained(model)
    groups = {}
    for n, p in params:
        decay = 0.0 if n.endswith("bias") or "LayerNorm" in n else 0.1
        groups.setdefault((decay, 1e-3 * lr_scale(n)), []).append(p)
    optimizer = torch.optim.AdamW([{"params": ps, "weight_decay": decay, "lr": lr} for (decay, lr), ps in groups.items()],
                                  lr=1e-3, betas=(0.9, 0.999), eps=1e-8)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, STEPS // 10, STEPS)
    losses, norms, rates = [], [], []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = run(model, tokens).loss
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_([p for _, p in params], 1.0)))
        rates.append(schedule.get_last_lr()[0])
        losses.append(loss.item())
        optimizer.step()
        schedule.step()
    return {"train.losses": torch.tensor(losses), "train.norms": torch.tensor(norms), "train.rates": torch.tensor(rates)}


def save(file, tensors, named=None):
    """Floats as float32, the rest as it is; in a file of sorted names."""
    out = {name: (t.detach().float() if t.is_floating_point() else t.detach()).contiguous().clone()
           for name, t in sorted(tensors.items())}
    path = GOLDEN / file
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(out, path, metadata=named)
    path.chmod(0o644)
    print(f"{file}: {len(out)} tensors, {path.stat().st_size} bytes")


def check(file, exact, single):
    """Prints how far the same computation in float32 is from the golden, relative to each tensor's largest value."""
    worst = {}
    for name, want in exact.items():
        if not want.is_floating_point() or name.endswith(ROUNDING_ONLY):
            continue
        want = want.detach().double()
        error = float((single[name].detach().double() - want).abs().max() / want.abs().max().clamp_min(1e-30))
        kind = "losses" if name == "train.losses" else name.split("/")[0].split(".")[0]
        if error > worst.get(kind, (-1.0, ""))[0]:
            worst[kind] = (error, name)
    print(f"  float32 away by at most: " + ", ".join(f"{kind} {error:.1e}" for kind, (error, _) in sorted(worst.items())))
    return worst


def record(script, entry):
    """This script's part of tests/golden/manifest.json."""
    path = GOLDEN / "manifest.json"
    manifest = json.loads(path.read_text()) if path.exists() else {}
    manifest[script] = entry
    path.write_text(json.dumps(dict(sorted(manifest.items())), indent=1, ensure_ascii=False) + "\n")


TOLERANCES = {"how": "largest |got - want| / largest |want| of the tensor", "outputs and gradients in float32": 1e-5,
              "losses and norms of ten steps in float32": 1e-4,
              "rounding only (true value 0, not compared)": "grad/*." + ROUNDING_ONLY}
RECIPE = " ".join(ten_steps.__doc__.split())
