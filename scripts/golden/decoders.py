"""Small random GPT-2 and Llama models as Hugging Face folders, with what transformers computes from them: logits, the
loss of the completions with label smoothing, every gradient, ten steps; with LoRA and MTLoRA too.

MTLoRA on GPT-2's c_attn has one core over query, key and value (the authors' MergedLinear): A [3r, in], T [3r, 3r],
and the change of part i is alpha / r * B_i (T A)[i r .. (i+1) r].
Writes tests/golden/<name>/ and its part of manifest.json. Run: python scripts/golden/decoders.py
"""
import peft
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

import recipe

SEED, RANK, ALPHA, SMOOTHING, VOCAB = 69, 4, 8, 0.1, 96
LENGTHS = [2, 3, 9, 14, 40]
CONTEXT = [1, 2, 4, 5, 30]  # tokens that are given; the rest is learned
COMMON = dict(vocab_size=VOCAB, initializer_range=0.2, attn_implementation="eager", bos_token_id=0, eos_token_id=0)
LLAMA = dict(COMMON, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64)
MODELS = {
    "gpt2-tiny": (GPT2LMHeadModel, GPT2Config(**COMMON, n_embd=64, n_layer=2, n_head=2, n_positions=64)),
    "llama-tiny": (LlamaForCausalLM, LlamaConfig(**LLAMA, tie_word_embeddings=True)),
    "llama-tiny-scaled": (LlamaForCausalLM, LlamaConfig(
        **LLAMA, tie_word_embeddings=False, attention_bias=True, mlp_bias=True,
        rope_parameters={"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0,
                         "high_freq_factor": 4.0, "original_max_position_embeddings": 32})),
    "gpt2-tiny-untied": (GPT2LMHeadModel, GPT2Config(
        **COMMON, n_embd=32, n_layer=2, n_head=2, n_positions=64, n_inner=48, tie_word_embeddings=False,
        scale_attn_by_inverse_layer_idx=True)),
    "llama-tiny-linear": (LlamaForCausalLM, LlamaConfig(
        **LLAMA | dict(hidden_size=32, intermediate_size=48, num_attention_heads=2, num_key_value_heads=1),
        head_dim=32, tie_word_embeddings=True,
        rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0})),
}
FINAL = ["wpe.weight", "h.0.attn.c_attn.weight", "h.1.ln_2.bias", "ln_f.weight", "layers.0.self_attn.k_proj.weight",
         "layers.1.post_attention_layernorm.weight", "layers.0.self_attn.o_proj.weight", "layers.1.mlp.up_proj.weight",
         "model.norm.weight"]
STRUCTURES = {"shim": lambda C: C, "icfm": lambda C: C @ C.T, "ctcm": lambda C, D: C @ D, "dtsm": lambda C, D: C + D}


def make(name, dtype):
    kind, config = MODELS[name]
    torch.manual_seed(SEED)
    model = kind(config)
    g = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for path, p in model.named_parameters():
            if p.dim() == 1:
                p.add_(0.1 * torch.randn(p.shape, generator=g))
    return model.eval().to(dtype)  # dropout is off everywhere below, training steps included


def batch():
    g = torch.Generator().manual_seed(SEED)
    ids = torch.randint(1, VOCAB, (sum(LENGTHS),), generator=g)
    marks = torch.cat([(torch.arange(n) >= c).long() for n, c in zip(LENGTHS, CONTEXT)])
    return {"ids": ids, "segments": marks, "lengths": torch.tensor(LENGTHS)}


def forward(model, tokens):
    """Logits [tokens, vocab], and the mean loss of the targets: cross-entropy with label smoothing."""
    logits, losses = [], []
    start = 0
    for n in LENGTHS:
        ids, marks = tokens["ids"][start:start + n], tokens["segments"][start:start + n]
        out = model(input_ids=ids[None]).logits[0]
        logits.append(out)
        wanted = marks[1:] == 1
        losses.append(torch.nn.functional.cross_entropy(
            out[:-1][wanted], ids[1:][wanted], label_smoothing=SMOOTHING, reduction="none"))
        start += n
    return torch.cat(logits), torch.cat(losses).mean()


def ten_steps(model, named, tokens):
    """As recipe.ten_steps: AdamW (lr 1e-3, decay 0.1 but none on biases and norms), warm-up of one step, clip 1."""
    plain = [p for n, p in named.items() if n.endswith("bias") or "norm" in n or ".ln_" in n]
    decayed = [p for n, p in named.items() if not (n.endswith("bias") or "norm" in n or ".ln_" in n)]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}],
                                  lr=1e-3, betas=(0.9, 0.999), eps=1e-8)
    schedule = recipe.transformers.get_linear_schedule_with_warmup(optimizer, recipe.STEPS // 10, recipe.STEPS)
    losses, norms, rates = [], [], []
    for _ in range(recipe.STEPS):
        optimizer.zero_grad()
        loss = forward(model, tokens)[1]
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(list(named.values()), 1.0)))
        rates.append(schedule.get_last_lr()[0])
        losses.append(loss.item())
        optimizer.step()
        schedule.step()
    return {"train.losses": torch.tensor(losses), "train.norms": torch.tensor(norms), "train.rates": torch.tensor(rates)}


def turned(name, tensor):
    """Ours is [out, in] where GPT-2's Conv1D is [in, out]."""
    is_conv = name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight"))
    return tensor.t() if is_conv else tensor


def compute(built, tokens, with_adapter):
    model, named = built
    values = {f"adapter/{n}": p.detach().clone() for n, p in named.items()} if with_adapter else {}
    logits, loss = forward(model, tokens)
    loss.backward()
    result = values | {"logits": logits, "loss": loss}
    result |= {f"grad/{n}": turned(n, p.grad) for n, p in named.items()}
    result |= ten_steps(model, named, tokens)
    result |= {f"final/{n}": turned(n, p) for n, p in named.items() if with_adapter or n.endswith(tuple(FINAL))}
    return {n: t.detach().clone() for n, t in result.items()}


def full(name, dtype):
    model = make(name, dtype)
    return model, dict(model.named_parameters())


def values_of(generator, shapes):
    """Seeded values; B is not zero, so that every gradient is there."""
    sizes = {"A": lambda s: s[1] ** -0.5, "B": lambda s: 0.1, "C": lambda s: 0.5, "D": lambda s: 0.5}
    return {n: sizes[n[-1]](s) * torch.randn(s, generator=generator) for n, s in shapes.items()}


def peft_lora(name, dtype):
    """PEFT's LoRA on q_proj and v_proj of Llama, on the whole of c_attn of GPT-2 (PEFT knows no parts)."""
    is_gpt2 = name.startswith("gpt2")
    model = peft.get_peft_model(make(name, dtype), peft.LoraConfig(
        task_type="CAUSAL_LM", r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, fan_in_fan_out=is_gpt2,
        target_modules=["c_fc"] if is_gpt2 else ["q_proj", "v_proj", "down_proj"])).eval().to(dtype)
    g = torch.Generator().manual_seed(SEED)
    named = {}
    for full_name, p in recipe.trained(model):
        path = full_name.removeprefix("base_model.model.").replace(".default", "")
        path = path.replace(".lora_A.weight", ".A").replace(".lora_B.weight", ".B")
        with torch.no_grad():
            p.copy_(values_of(g, {path: tuple(p.shape)})[path])
        named[path] = p
    return model, named


def mtlora(name, dtype, structure):
    """GPT-2: one core over the parts of c_attn, and a plain one on c_fc. Hooks on the Conv1D layers."""
    model = make(name, dtype)
    for p in model.parameters():
        p.requires_grad_(False)
    core, matrices = STRUCTURES[structure], "CD" if structure in ("ctcm", "dtsm") else "C"
    g = torch.Generator().manual_seed(SEED)
    named = {}
    for path, layer in model.named_modules():
        if not path.endswith((".c_attn", ".c_fc")):
            continue
        width_in, width_out = layer.weight.shape
        parts = ["query", "key", "value"] if path.endswith(".c_attn") else [""]
        n = RANK * len(parts)
        shapes = {"A": (n, width_in)} | {m: (n, n) for m in matrices}
        shapes |= {(f"{part}." if part else "") + "B": (width_out // len(parts), RANK) for part in parts}
        own = {k: torch.nn.Parameter(v.to(dtype)) for k, v in values_of(g, shapes).items()}
        named |= {f"{path}.{k}": p for k, p in own.items()}

        def hook(module, inputs, y, own=own, parts=parts):
            T = core(*(own[m] for m in matrices))
            low = inputs[0] @ (T @ own["A"]).T
            change = [low[..., i * RANK:(i + 1) * RANK] @ own[(f"{part}." if part else "") + "B"].T
                      for i, part in enumerate(parts)]
            return y + (ALPHA / RANK) * torch.cat(change, -1)
        layer.register_forward_hook(hook)
    return model, named


def golden(name, file, build, with_adapter):
    tokens = batch()
    exact = compute(build(name, torch.float64), tokens, with_adapter)
    single = compute(build(name, torch.float32), tokens, with_adapter)
    # AdamW divides by the root of the gradient's square: where that is nearly zero it turns rounding into a step. A
    # tensor that PyTorch's own float32 misses for that reason says nothing about another program.
    vague = [n for n in exact if n.startswith("final/") and
             (single[n].double() - exact[n].double()).abs().max() > 1e-5 * exact[n].abs().max()]
    exact = {n: t for n, t in exact.items() if n not in vague}
    print(f"  left out: {', '.join(vague) or 'nothing'}")
    recipe.save(f"{name}/{file}.safetensors", exact if with_adapter else tokens | exact)
    recipe.check(file, exact, single)


if __name__ == "__main__":
    found = recipe.versions(peft=peft.__version__)
    torch.set_num_threads(1)
    for each in MODELS:
        make(each, torch.float32).save_pretrained(recipe.GOLDEN / each)
        (recipe.GOLDEN / each / "generation_config.json").unlink(missing_ok=True)
        (recipe.GOLDEN / each / "model.safetensors").chmod(0o644)
        golden(each, "golden", full, False)
    golden("llama-tiny", "lora", peft_lora, True)
    golden("gpt2-tiny", "lora-fc", peft_lora, True)
    for each in STRUCTURES:
        golden("gpt2-tiny", each, lambda n, d, s=each: mtlora(n, d, s), True)
    recipe.record("scripts/golden/decoders.py", {
        "versions": found, "seed": SEED, "rank": RANK, "alpha": ALPHA, "label_smoothing": SMOOTHING, "dropout": "off",
        "models": list(MODELS), "computed in": "float64, stored as float32", "training": recipe.RECIPE,
        "tolerances": recipe.TOLERANCES})
