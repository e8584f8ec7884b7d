"""What AdaLoRA and RM-LoRA do over some steps on bert-tiny-wide, all linear layers of the encoder adapted.

AdaLoRA: Zhang et al. 2023, arXiv 2303.10512, as the authors' loralib: regulariser, importance, budget, masks are written
down below, and where PEFT's own allocator masks at the same steps the two must agree. RM-LoRA: arXiv 2407.12074, as the
authors' code, but only the adapters' gradients are masked; the directions are drawn as lib/core/random.h says.
Writes tests/golden/bert-tiny-wide/rank_methods.safetensors. Run: python scripts/golden/rank_methods.py
"""
import peft
import torch
import transformers
from transformers import AutoModelForSequenceClassification

import draws
import recipe

MODEL, SEED, RANK, ALPHA, WEIGHT = "bert-tiny-wide", 69, 4, 8, 0.1
LR, DECAY, BETA1, BETA2 = 5e-3, 0.1, 0.85, 0.7
TARGET_RANK, RANDOM_RANK, DRAW_SEED = 2, 2, 1
# total, initial and final steps, interval. PEFT masks at T - t_f in any case, loralib only where the interval divides it.
BUDGETS = {"adalora": (17, 3, 5, 3), "adalora-late": (17, 2, 6, 4)}
MASKS = {"rm_lora-v1": ("v1", "moments"), "rm_lora-v2": ("v2", "moments"), "rm_lora-frozen": ("v2", "frozen")}
MASK_STEPS = 12


def load(dtype):
    model = AutoModelForSequenceClassification.from_pretrained(recipe.GOLDEN / MODEL, attn_implementation="eager")
    return model.eval().to(dtype)


def targets(model):
    return [(path, m) for path, m in model.named_modules()
            if isinstance(m, torch.nn.Linear) and ".encoder." in path]


def start_values():
    """No matrix is zero, so that every gradient is there from the first step on."""
    g = torch.Generator().manual_seed(SEED)
    return {path: {"lora_A": m.in_features ** -0.5 * torch.randn(RANK, m.in_features, generator=g),
                   "lora_B": 0.1 * torch.randn(m.out_features, RANK, generator=g),
                   "lora_E": 0.5 * torch.randn(RANK, 1, generator=g)} for path, m in targets(load(torch.float32))}


def hooked(dtype, scale, matrices):
    """Plain hooks on the encoder's linears: y + s x A^T (diag E) B^T."""
    model = load(dtype)
    for name, p in model.named_parameters():
        p.requires_grad_(name.startswith("classifier"))
    values = start_values()
    for path, linear in targets(model):
        for name in matrices:
            linear.register_parameter(name, torch.nn.Parameter(values[path][name].to(dtype)))

        def hook(module, inputs, y):
            low = inputs[0] @ module.lora_A.T
            if "lora_E" in matrices:
                low = low * module.lora_E.T
            return y + scale * low @ module.lora_B.T
        linear.register_forward_hook(hook)
    return model


def penalty(model):
    """Mean over all A and B of the norms, not squared, of A A^T - I and B^T B - I."""
    norms = []
    for name, p in model.named_parameters():
        if name.endswith(("lora_A", "lora_B")):
            square = p @ p.T if name.endswith("lora_A") else p.T @ p
            norms.append(torch.linalg.norm(square - torch.eye(RANK, dtype=p.dtype)))
    return sum(norms) / len(norms)


class Allocator:
    """loralib's RankAllocator in equations: importance, cubic budget, threshold."""

    def __init__(self, model, total, initial, final, interval):
        self.named = {n: p for n, p in model.named_parameters() if "lora_" in n}
        self.paths = [n.removesuffix(".lora_E") for n in self.named if n.endswith("lora_E")]
        self.times, self.gaps = (total, initial, final, interval), []
        self.mean = {n: torch.zeros_like(p) for n, p in self.named.items()}
        self.doubt = {n: torch.zeros_like(p) for n, p in self.named.items()}

    def budget(self, t):
        total, initial, final, interval = self.times
        b0, bT = RANK * len(self.paths), TARGET_RANK * len(self.paths)
        if t <= initial:
            return b0, False
        if t > total - final:
            return bT, True
        left = 1 - (t - initial) / (total - final - initial)
        return int(bT + (b0 - bT) * left ** 3), t % interval == 0

    def after_step(self, t):
        if t < self.times[0] - self.times[2]:
            for n, p in self.named.items():
                now = (p * p.grad).abs().detach()
                self.mean[n] = BETA1 * self.mean[n] + (1 - BETA1) * now
                self.doubt[n] = BETA2 * self.doubt[n] + (1 - BETA2) * (now - self.mean[n]).abs()
        budget, masks = self.budget(t)
        k = RANK * len(self.paths) - budget
        if not masks or k == 0:
            return
        s = {n: self.mean[n] * self.doubt[n] for n in self.named}
        S = {path: s[path + ".lora_E"][:, 0] + s[path + ".lora_A"].mean(1) + s[path + ".lora_B"].mean(0)
             for path in self.paths}
        ordered = torch.cat(list(S.values())).sort().values
        self.gaps.append(float(ordered[k] / ordered[k - 1] - 1))
        with torch.no_grad():
            for path in self.paths:
                self.named[path + ".lora_E"][S[path] <= ordered[k - 1]] = 0


class Masker:
    """From the second step on, k rows of the gradient of A and k columns of that of B; `frozen` undoes the others' moves."""

    def __init__(self, model, variant, masked):
        self.named = dict(model.named_parameters())
        self.variant, self.masked, self.held = variant, masked, []

    @staticmethod
    def key(path):
        layer, _, part = path.rpartition(".")
        fused = part in ("query", "key", "value")  # parts of one layer, named by the first
        return draws.key(DRAW_SEED, layer + ".query" if fused else path, part if fused else "")

    def before_step(self, t):
        self.held = []
        for path in [n.removesuffix(".lora_A") for n in self.named if n.endswith("lora_A")]:
            if t == 0:
                break
            order = {m: draws.permutation(RANK, draws.key(self.key(path), m, t)) for m in ("lora_A", "lora_B")}
            if self.variant == "v1":
                order["lora_B"] = order["lora_A"]
            for m, chosen in order.items():
                p = self.named[f"{path}.{m}"]
                mask = torch.zeros_like(p)
                (mask if m == "lora_A" else mask.T)[chosen[:RANDOM_RANK]] = 1
                p.grad *= mask
                self.held.append((p, mask, p.detach().clone()))

    def after_step(self, t):
        with torch.no_grad():
            for p, mask, before in self.held if self.masked == "frozen" else []:
                p.copy_(torch.where(mask == 1, p, before))


def steps(model, tokens, count, loss_of, before_step, after_step):
    """As recipe.ten_steps, with a penalty in the loss and something around the update; E's kept entries of each step."""
    params = recipe.trained(model)
    plain = [p for n, p in params if n.endswith("bias")]
    decayed = [p for n, p in params if not n.endswith("bias")]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": DECAY}, {"params": plain, "weight_decay": 0.0}],
                                  lr=LR, betas=(0.9, 0.999), eps=1e-8)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, 1, count)
    losses, norms, kept = [], [], []
    for t in range(count):
        optimizer.zero_grad()
        loss = loss_of(model, tokens)
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_([p for _, p in params], 1.0)))
        losses.append(loss.item())
        before_step(t)
        optimizer.step()
        schedule.step()
        after_step(t)
        kept.append(torch.cat([(p != 0).flatten() for n, p in params if "lora_E" in n] or [torch.tensor([])]))
    return {"train.losses": torch.tensor(losses, dtype=torch.float64), "train.norms": torch.tensor(norms, dtype=torch.float64),
            "kept": torch.stack(kept).double()}


def own_loss(model, tokens):
    return recipe.run(model, tokens).loss + WEIGHT * penalty(model)


def finals(named):
    shown = ("layer.0.attention.self.query.lora_A", "layer.1.output.dense.lora_B", "lora_E", "classifier.bias")
    return {f"final/{n}": p.detach().clone() for n, p in named if n.endswith(shown)}


def first_gradients(model, tokens):
    own_loss(model, tokens).backward()
    return {f"grad/{n}": p.grad.clone() for n, p in recipe.trained(model)}


def adalora(dtype, tokens, variant):
    model = hooked(dtype, ALPHA / (RANK + 1e-5), ("lora_A", "lora_B", "lora_E"))
    with torch.no_grad():
        outputs = {"logits": recipe.run(model, tokens).logits, "penalty": penalty(model)}
    outputs |= first_gradients(model, tokens)
    allocator = Allocator(model, *BUDGETS[variant])
    outputs |= steps(model, tokens, BUDGETS[variant][0], own_loss, lambda t: None, allocator.after_step)
    return outputs | finals(recipe.trained(model)), allocator.gaps


def peft_adalora(tokens, variant):
    """The same by PEFT: its layer, its penalty, its allocator."""
    total, initial, final, interval = BUDGETS[variant]
    model = peft.get_peft_model(load(torch.float64), peft.AdaLoraConfig(
        task_type="SEQ_CLS", init_r=RANK, target_r=TARGET_RANK, lora_alpha=ALPHA, lora_dropout=0.0, tinit=initial,
        tfinal=final, deltaT=interval, beta1=BETA1, beta2=BETA2, orth_reg_weight=WEIGHT, total_step=total,
        target_modules=[path for path, _ in targets(load(torch.float64))])).eval().double()
    values, named = start_values(), []
    for full, p in recipe.trained(model):
        if "ranknum" in full:  # PEFT 0.21 lets the rank in the scale be trained, which loralib does not
            p.requires_grad_(False)
            continue
        name = full.removeprefix("base_model.model.").replace(".modules_to_save", "").replace(".default", "")
        path, _, matrix = name.rpartition(".")
        if matrix.startswith("lora_"):
            with torch.no_grad():
                p.copy_(values[path][matrix])
        named.append((name, p))
    with torch.no_grad():
        logits = recipe.run(model, tokens).logits
    found = steps(model, tokens, total, lambda m, batch: recipe.run(m, batch).loss, lambda t: None,
                  model.base_model.update_and_allocate)
    return {"logits": logits} | found | finals(named)


def rm_lora(dtype, tokens, variant):
    model = hooked(dtype, ALPHA / RANK, ("lora_A", "lora_B"))
    with torch.no_grad():
        outputs = {"logits": recipe.run(model, tokens).logits}
    masker = Masker(model, *MASKS[variant])
    found = steps(model, tokens, MASK_STEPS, own_loss, masker.before_step, masker.after_step)
    found.pop("kept")
    return outputs | found | finals(recipe.trained(model))


def main():
    versions = recipe.versions(peft=peft.__version__)
    torch.set_num_threads(1)
    tokens = recipe.batch(load(torch.float64).config, SEED)
    result = {f"adapter/{path}.{m}": value for path, values in start_values().items() for m, value in values.items()}
    for variant in BUDGETS:
        exact, gaps = adalora(torch.float64, tokens, variant)
        print(f"{variant}: kept {exact['kept'].sum(1).int().tolist()}, least gap at a threshold {min(gaps):.1e}")
        assert min(gaps) > 1e-3, "float32 might choose otherwise: take another seed"
        recipe.check(variant, exact, adalora(torch.float32, tokens, variant)[0])
        if variant == "adalora":
            reference = peft_adalora(tokens, variant)
            worst = max(float((exact[n] - v).abs().max()) for n, v in reference.items())
            print(f"  PEFT's is away by {worst:.1e} at most, in {len(reference)} tensors")
            assert worst < 1e-10
        else:
            exact = {n: v for n, v in exact.items() if not n.startswith("grad/")}
        result |= {f"{variant}/{n}": v for n, v in exact.items()}
    for variant in MASKS:
        exact = rm_lora(torch.float64, tokens, variant)
        recipe.check(variant, exact, rm_lora(torch.float32, tokens, variant))
        result |= {f"{variant}/{n}": v for n, v in exact.items()}
    recipe.save(f"{MODEL}/rank_methods.safetensors", result)
    recipe.record("scripts/golden/rank_methods.py", {
        "versions": versions, "seed": SEED, "rank": RANK, "alpha": ALPHA, "orthogonality": WEIGHT, "lr": LR,
        "target_rank": TARGET_RANK, "random_rank": RANDOM_RANK, "betas": [BETA1, BETA2], "budgets": BUDGETS,
        "masks": MASKS, "seed of the masks": DRAW_SEED, "computed in": "float64, stored as float32",
        "tolerances": recipe.TOLERANCES})


if __name__ == "__main__":
    main()
