"""DoRA by PEFT, LoRA+ by torch's parameter groups, LoRA-Mini and HTA by their equations with dense matrices.

DoRA: Liu et al. 2024, arXiv 2402.09353. LoRA+: Hayou et al. 2024, arXiv 2402.12354. LoRA-Mini: arXiv 2411.15804,
delta = (alpha / r) B_aux B_train A_train A_aux. HTA: arXiv 2410.22952, M = H_R D H_L + W_up W_down with
H = I - v v^T (literal) or I - 2 v v^T / |v|^2 (strict): y + M x (form lora), M y (form adapter).
Writes tests/golden/bert-tiny-wide/{dora,dora-patterns,lora-plus,lora-mini,hta,hta-strict,hta-adapter}.safetensors; needs
what encoders.py wrote. Run: python scripts/golden/dora.py
"""
import peft
import torch

import adapters
import recipe

MODEL, RATIO, OUTER_A, OUTER_B = "bert-tiny-wide", 16.0, 12, 10
ENDS_OF_SUBLAYERS = ["attention.output.dense", *(f"layer.{i}.output.dense" for i in range(2))]
HTA = {"hta": ("literal", "lora", adapters.ATTENTION + ["intermediate.dense"]),
       "hta-strict": ("strict", "lora", adapters.ATTENTION + ["layer.0.output.dense"]),
       "hta-adapter": ("strict", "adapter", ENDS_OF_SUBLAYERS)}


def dora(dtype, **more):
    """PEFT's; the magnitudes are moved away from the norms they start from, which are kept as "start/"."""
    model, named = adapters.peft_lora(MODEL, dtype, use_dora=True, **more)
    suffix, g = ".lora_magnitude_vector.weight", torch.Generator().manual_seed(adapters.SEED + 1)
    for name in [n for n in named if n.endswith(suffix)]:
        magnitude = named.pop(name)
        named[name.removesuffix(".weight")] = magnitude
        with torch.no_grad():
            magnitude.mul_(1 + 0.1 * torch.randn(magnitude.shape, generator=g).to(dtype))
    return model, named


def starts():
    """The rows' norms: what PEFT's magnitudes are before anything is trained."""
    model = peft.get_peft_model(adapters.load(MODEL, torch.float64), peft.LoraConfig(
        r=1, target_modules=["query", "value"], use_dora=True)).double()
    return {"start/" + n.removeprefix("base_model.model.").removesuffix(".default.weight"): p
            for n, p in model.named_parameters() if "lora_magnitude_vector" in n}


def hooked(ends, tensors, frozen, change, dtype):
    """The model with `change(layer, x, y)` in the place of y behind every linear whose name ends so."""
    model = adapters.load(MODEL, dtype)
    adapters.train_only(model, lambda path: path.startswith("classifier"))
    g = torch.Generator().manual_seed(adapters.SEED)
    fixed = {}
    for path, linear in adapters.targets(model, ends):
        for key, value in tensors(linear, g).items():
            parameter = torch.nn.Parameter(value.to(dtype), requires_grad=key not in frozen)
            linear.register_parameter(key, parameter)
            if key in frozen:
                fixed[f"{path}.{key}"] = parameter
        linear.register_forward_hook(lambda module, inputs, y: change(module, inputs[0], y))
    return (model, dict(recipe.trained(model))), fixed


def lora_mini(dtype):
    def tensors(linear, g):
        shapes = {"A_aux": (OUTER_A, linear.in_features), "A_train": (adapters.RANK, OUTER_A),
                  "B_train": (OUTER_B, adapters.RANK), "B_aux": (linear.out_features, OUTER_B)}
        return {key: torch.randn(shape, generator=g) * shape[1] ** -0.5 for key, shape in shapes.items()}

    def change(m, x, y):
        return y + adapters.ALPHA / adapters.RANK * x @ (m.B_aux @ m.B_train @ m.A_train @ m.A_aux).T
    return hooked(adapters.ATTENTION, tensors, ("A_aux", "B_aux"), change, dtype)


def hta(dtype, householder, form, ends):
    def tensors(linear, g):
        rows, columns = linear.out_features, linear.in_features if form == "lora" else linear.out_features
        def normal(*shape):
            return torch.randn(shape, generator=g)
        return {"v_L": normal(columns) * columns ** -0.5, "v_R": normal(rows) * rows ** -0.5,
                "d": (1.0 if form == "adapter" else 0.0) + 0.3 * normal(min(rows, columns)),
                "W_down": normal(1, columns) * columns ** -0.5, "W_up": 0.3 * normal(rows, 1)}

    def householder_of(v):
        eye = torch.eye(len(v), dtype=v.dtype)
        return eye - torch.outer(v, v) * (1.0 if householder == "literal" else 2.0 / (v @ v))

    def change(m, x, y):
        diagonal = torch.zeros(len(m.v_R), len(m.v_L), dtype=m.d.dtype)
        diagonal[range(len(m.d)), range(len(m.d))] = m.d
        whole = householder_of(m.v_R) @ diagonal @ householder_of(m.v_L) + m.W_up @ m.W_down
        return y + x @ whole.T if form == "lora" else y @ whole.T
    return hooked(ends, tensors, (), change, dtype)


def golden(variant, build, more=lambda: {}, **training):
    tokens = recipe.batch(adapters.load(MODEL, torch.float64).config, adapters.SEED)
    results = []
    for dtype in (torch.float64, torch.float32):
        built, fixed = build(dtype)
        results.append(adapters.compute(built, tokens, **training))
        results[-1] |= {f"adapter/{name}": p for name, p in fixed.items()}
    recipe.save(f"{MODEL}/{variant}.safetensors", results[0] | more())
    recipe.check(variant, *results)


if __name__ == "__main__":
    found = recipe.versions(peft=peft.__version__)
    torch.set_num_threads(1)
    golden("dora", lambda dtype: (dora(dtype), {}), starts)
    golden("dora-patterns", lambda dtype: (dora(dtype, **adapters.PATTERNS), {}))
    golden("lora-plus", lambda dtype: (adapters.peft_lora(MODEL, dtype), {}),
           lr_scale=lambda name: RATIO if "lora_B" in name else 1.0)
    golden("lora-mini", lora_mini)
    for variant_name, parts in HTA.items():
        golden(variant_name, lambda dtype, parts=parts: hta(dtype, *parts))
    recipe.record("scripts/golden/dora.py", {
        "versions": found, "seed": adapters.SEED, "rank": adapters.RANK, "alpha": adapters.ALPHA,
        "patterns": adapters.PATTERNS, "lr_ratio": RATIO, "a": OUTER_A, "b": OUTER_B,
        "hta": {k: [h, f] for k, (h, f, _) in HTA.items()}, "dropout": "off",
        "computed in": "float64, stored as float32", "training": recipe.RECIPE, "tolerances": recipe.TOLERANCES})
