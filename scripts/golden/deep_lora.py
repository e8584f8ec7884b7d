"""Deep LoRA: Yaras et al. 2024, arXiv 2406.04112, and the null-space construction of cjyaras/deep-lora-transformers
(dlt/train.py, get_left_right_factors). Run by structured.py.
"""
import numpy as np
import torch
from safetensors.torch import save_file

import recipe
from wide_bert import QV, SEED, draws, model_of, targets


class Deep:
    """The kernels of the authors' code are [in, out]: K = W3 W2 W1, or left W3 W2 W1 right^T. Factors of some size, so
    that the change is felt; width 4, and for the compressed form gamma 0.1. Named as ours: our W1 is their W3^T."""

    def __init__(self, dtype, compressed):
        self.model, random = model_of(dtype), draws()
        for _, linear in targets(self.model, [*QV, "output.dense"]):
            into, out = linear.in_features, linear.out_features
            shapes = {"W1": (4, 4), "W2": (4, 4), "W3": (4, 4), "left": (into, 4), "right": (out, 4)} if compressed \
                else {"W1": (4, into), "W2": (4, 4), "W3": (out, 4)}
            for name, shape in shapes.items():
                value = torch.linalg.qr(random(*shape)).Q if shape[0] >= shape[1] else \
                    torch.linalg.qr(random(*shape).T).Q.T
                value = value if name in ("left", "right") else (0.7 if compressed else 0.5) * value
                linear.register_parameter(name, torch.nn.Parameter(value.contiguous().to(dtype)))

            def hook(m, inputs, y):
                kernel = torch.linalg.multi_dot([m.W1.T, m.W2.T, m.W3.T])
                return y + inputs[0] @ (m.left @ kernel @ m.right.T if compressed else kernel)
            linear.register_forward_hook(hook)

    def scale(self, name):
        return 0.1 if name.endswith((".left", ".right")) else 1.0

    def factor(self, step):
        return 1.0

    def after(self, step, optimizer):
        pass


def null_space_factors(W1, gradient, product, rank, sizes):
    """get_left_right_factors for a square W1: what the top of the gradient leaves alone is the intersection of Va and
    Vb, found as the null space of [Va, -Vb]; right is its complement."""
    def svd(A):
        U, s, VT = np.linalg.svd(A, full_matrices=True)
        return U, s, VT.T
    n, half = W1.shape[1], rank // 2
    U, _, V = svd(gradient)
    Va, Vb = W1.T @ U[:, half:] / sizes, V[:, half:]
    V0 = Va @ svd(np.concatenate([Va, -Vb], 1))[2][:n - half, n:]
    right = svd(V0)[0][:, ::-1][:, :rank]
    return product @ right / sizes ** 3, right


def start(into, out, rank, g):
    """The full-width net of one kernel [in, out]; on the transposed one where W1 would not be square."""
    sizes, width, swap = 1e-3, max(into, out), into > out
    rows, columns = (out, into) if swap else (into, out)
    orthogonal = [torch.linalg.qr(torch.randn(width, width, generator=g, dtype=torch.float64)).Q for _ in range(3)]
    W = [sizes * q for q in orthogonal]
    W[2] = W[2][:rows]
    W[0].requires_grad_()
    K0, X = (torch.randn(s, generator=g, dtype=torch.float64) for s in ((into, out), (40, into)))
    Y = torch.randn((40, out), generator=g, dtype=torch.float64)
    change = W[2] @ W[1] @ W[0]
    kernel = K0 + (change.T if swap else change)
    kernel.retain_grad()
    (torch.tanh(X @ kernel) * Y).mean().backward()
    left, right = null_space_factors(W[0].detach().numpy(), W[0].grad.numpy(), change.detach().numpy(), rank, sizes)
    if swap:
        left, right = right, left
    product = (change.T if swap else change).detach() / sizes ** 3
    case = f"{into}-{out}/"
    left, right = (torch.from_numpy(np.ascontiguousarray(a)) for a in (left, right))
    return {case + "gradient": kernel.grad.T, case + "product": product.T, case + "right": right @ right.T,
            case + "left": left @ left.T, case + "change": right @ left.T}


def starts():
    g, out = torch.Generator().manual_seed(SEED), {}
    for into, width in ((12, 12), (8, 14), (14, 8)):
        out |= start(into, width, 4, g)
    path = recipe.GOLDEN / "deep_lora_start.safetensors"
    save_file({n: t.contiguous() for n, t in out.items()}, path)
    path.chmod(0o644)
    print(f"{path.name}: {len(out)} tensors of float64, {path.stat().st_size} bytes")
