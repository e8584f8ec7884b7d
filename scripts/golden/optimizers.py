#!/usr/bin/env python3
"""tests/golden/lora_rite.safetensors: pairs moved by LoRA-RITE, from its equations.

    python scripts/golden/optimizers.py

Yen et al. 2024, arXiv:2410.20625, algorithm 1, with the rules that only the published code has (skipping, clipping,
the division by rows), written down equation by equation for one pair after another, in float64, stored as float64.

The loss of a pair is 1/2 |B A - T|^2 + <noise_t, B A> of step t: its gradient by Z = B A is G = B A - T + noise_t, so
dA = B^T G and dB = G A^T. `<case>/<pair>/A.0` and `B.0` are the starts, `T` the target, `noise` [steps, out, in], and
`A.5`, `B.5`, `A.10`, `B.10` the factors after so many steps; the options of a case stand in the file's metadata.
"""
import json

import torch
from recipe import GOLDEN, record, versions
from safetensors.torch import save_file

SEED, STEPS = 69, 10
SHAPES = {"one": (9, 7, 3), "two": (4, 11, 3)}  # out, in, rank
BASE = {"lr": 0.02, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-6, "weight_decay": 0.0, "update_skipping": 1.0, "clip": 1.0,
        "escaped_mass": False, "divide_by_rows": True, "balance": False}
CASES = {"code": {}, "bare": {"update_skipping": 0.0, "clip": 0.0}, "skipping": {"clip": 0.0, "update_skipping": 0.55},
         "clipping": {"update_skipping": 0.0, "clip": 2.5}, "escaped": {"update_skipping": 0.0, "escaped_mass": True},
         "sum": {"update_skipping": 0.0, "divide_by_rows": False, "beta1": 0.8, "beta2": 0.99},
         "decay": {"update_skipping": 0.0, "weight_decay": 0.1}, "balance": {"update_skipping": 0.0, "balance": True}}


def start(seed):
    """A as LoRA starts it; B is 0 in the first pair, anything in the second."""
    g = torch.Generator().manual_seed(seed)
    pairs = {}
    for name, (out, columns, rank) in SHAPES.items():
        def draw(*sizes):
            return torch.randn(*sizes, generator=g, dtype=torch.float64)
        pairs[name] = {"A": draw(rank, columns) / columns ** 0.5,
                       "B": torch.zeros(out, rank, dtype=torch.float64) if name == "one" else 0.3 * draw(out, rank),
                       "T": 0.5 * draw(out, columns), "noise": 0.3 * draw(STEPS, out, columns)}
    return pairs


def inverse_root(v, rho, epsilon):
    values, vectors = torch.linalg.eigh((v + v.T) / 2)
    return vectors @ torch.diag(1 / (torch.sqrt(values.clamp(min=0) + rho) + epsilon)) @ vectors.T


def steps(pairs, o, told):
    """Yields {pair: (A, B)} after every step; counts in `told` how often each rule had a part."""
    L = {n: p["A"].T.clone() for n, p in pairs.items()}
    R = {n: p["B"].clone() for n, p in pairs.items()}
    state = {n: {side: {"V": torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64), "M": torch.zeros_like(x),
                        "U": torch.zeros_like(x), "rho": torch.tensor(0.0, dtype=torch.float64)}
                 for side, x in (("L", L[n]), ("R", R[n]))} for n in pairs}
    for t in range(1, STEPS + 1):
        basis, inverse, unmagnified = {}, {}, {}
        for n, p in pairs.items():
            # 1. L = U_L K_L, R = U_R K_R
            (U_L, K_L), (U_R, K_R) = torch.linalg.qr(L[n]), torch.linalg.qr(R[n])
            basis[n] = {"L": U_L, "R": U_R}
            inverse[n] = {"L": torch.linalg.pinv(K_L), "R": torch.linalg.pinv(K_R)}
            # 2. unmagnified gradients
            G = R[n] @ L[n].T - p["T"] + p["noise"][t - 1]
            g_L, g_R = G.T @ R[n], G @ L[n]
            g = {"L": g_L @ inverse[n]["R"], "R": g_R @ inverse[n]["L"]}
            # 3. skipping, a side by itself
            for side in g:
                if o["update_skipping"] > 0 and g[side].square().mean().sqrt() > o["update_skipping"]:
                    g[side] = torch.zeros_like(g[side])
                    told["skipped"] += 1
            unmagnified[n] = g
        # ... and clipping, all together
        norm = sum(g[side].square().sum() for g in unmagnified.values() for side in g).sqrt()
        if o["clip"] > 0 and norm > o["clip"]:
            told["clipped"] += 1
            unmagnified = {n: {side: g[side] * o["clip"] / norm for side in g} for n, g in unmagnified.items()}
        # 5. decays with bias correction
        b1, b2 = (b * (1 - b ** (t - 1)) / (1 - b ** t) for b in (o["beta1"], o["beta2"]))
        for n in pairs:
            moved = {}
            for side, other in (("L", "R"), ("R", "L")):
                s, g = state[n][side], unmagnified[n][side]
                P = basis[n][other].T @ state[n][other]["U"]  # 4. from the other's old basis to its new one
                V = P @ s["V"] @ P.T  # 6.
                V = (V + V.T) / 2
                if o["escaped_mass"]:  # 7.
                    lost = (torch.linalg.eigvalsh(s["V"]) - torch.linalg.eigvalsh(V)).max().clamp(min=0)
                    d = torch.minimum(lost, (s["V"].trace() - V.trace()).clamp(min=0))
                    told["escaped"] = max(told["escaped"], float(d))
                    s["rho"] = b2 * (s["rho"] + d)
                rows = g.shape[0] if o["divide_by_rows"] else 1
                V = b2 * V + (1 - b2) * g.T @ g / rows  # 8.
                S = g @ inverse_root(V, s["rho"], o["epsilon"])  # 9.
                M = b1 * s["M"] @ P.T + (1 - b1) * S  # 10.
                X = L[n] if side == "L" else R[n]
                moved[side] = X - o["lr"] * (M @ inverse[n][other].T + o["weight_decay"] * X)  # 11.
                s["new"] = {"V": V, "M": M}
            if o["balance"]:
                l, r = moved["L"].norm() + 1e-6, moved["R"].norm() + 1e-6
                moved = {"L": moved["L"] * (l * r).sqrt() / l, "R": moved["R"] * (l * r).sqrt() / r}
            for side in ("L", "R"):  # 12.
                state[n][side].update(state[n][side].pop("new"), U=basis[n][side])
            L[n], R[n] = moved["L"], moved["R"]
        told["condition"] = max(told["condition"], *(float(torch.linalg.cond(X[n])) for X in (L, R) for n in pairs))
        yield {n: (L[n].T, R[n]) for n in pairs}


def main():
    found, tensors, options = versions(), {}, {}
    for case, changes in CASES.items():
        options[case] = BASE | changes
        pairs = start(SEED)
        told = {"skipped": 0, "clipped": 0, "escaped": 0.0, "condition": 0.0}
        for t, factors in enumerate(steps(pairs, options[case], told), 1):
            for name, (a, b) in factors.items():
                if t in (5, STEPS):
                    tensors |= {f"{case}/{name}/A.{t}": a, f"{case}/{name}/B.{t}": b}
        print(case, told)
    for name, p in start(SEED).items():
        tensors |= {f"{name}/A.0": p["A"], f"{name}/B.0": p["B"], f"{name}/T": p["T"], f"{name}/noise": p["noise"]}
    path = GOLDEN / "lora_rite.safetensors"
    save_file({k: v.contiguous().clone() for k, v in sorted(tensors.items())}, path,
              metadata={"options": json.dumps(options)})
    path.chmod(0o644)
    print(f"{path.name}: {len(tensors)} tensors, {path.stat().st_size} bytes")
    record("scripts/golden/optimizers.py", {"versions": found, "seed": SEED, "steps": STEPS, "cases": options,
                                            "computed in": "float64, stored as float64"})


if __name__ == "__main__":
    main()
