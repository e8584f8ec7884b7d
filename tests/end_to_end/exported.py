"""What the tests of export share: what a merged model and PEFT's folder of the same run hold."""

import array
import json

from support import SharedCase, read_safetensors

PREFIX = "base_model.model."


def matrices(file):
    """{name: list of rows, or a flat list of a vector}"""
    out = {}
    for name, (dtype, shape, content) in read_safetensors(file)[0].items():
        assert dtype == "F32", name
        flat = array.array("f", content).tolist()
        out[name] = flat if len(shape) == 1 else [flat[i:i + shape[1]] for i in range(0, len(flat), shape[1])]
    return out


def turned(matrix):
    return [list(row) for row in zip(*matrix)]


def product(a, b):
    columns = turned(b)
    return [[sum(x * y for x, y in zip(row, column)) for column in columns] for row in a]


def length(row):
    return sum(x * x for x in row) ** 0.5


class ExportCase(SharedCase):
    def exported(self, run, form):
        out = self.place / f"{run}.{form}"
        if not out.exists():
            result = self.succeeds("export", "--checkpoint", self.place / run / "best", "--format", form, "--out", out)
            self.assertEqual(result.out, f"{out}\n")
            if form == "merged":
                self.assertIn("the logits move by at most", result.err)
        return out

    def changes(self, run, base, stored_turned=False):
        """{layer: (merged weight, what PEFT's folder says it is)}, as out x in."""
        merged = matrices(self.exported(run, "merged") / "model.safetensors")
        peft = matrices(self.exported(run, "peft") / "adapter_model.safetensors")
        settings = json.loads((self.exported(run, "peft") / "adapter_config.json").read_text())
        before = matrices(self.place / base / "model.safetensors")
        turn = turned if stored_turned else (lambda matrix: matrix)
        found = {}
        for layer in settings["target_modules"]:
            down, up = peft[f"{PREFIX}{layer}.lora_A.weight"], peft[f"{PREFIX}{layer}.lora_B.weight"]
            rank = settings["rank_pattern"].get(layer, settings["r"])
            scale = settings["alpha_pattern"].get(layer, settings["lora_alpha"]) / rank
            self.assertEqual({len(down)} | {len(row) for row in up}, {rank})
            rows = [[w + scale * c for w, c in zip(row, change)]
                    for row, change in zip(turn(before[layer + ".weight"]), product(up, down))]
            if settings["use_dora"]:
                lengths = peft[f"{PREFIX}{layer}.lora_magnitude_vector"]
                rows = [[m / length(row) * w for w in row] for m, row in zip(lengths, rows)]
            found[layer] = (turn(merged[layer + ".weight"]), rows, turn(before[layer + ".weight"]))
        return found

    def check_changes(self, found):
        for layer, (merged, told, before) in found.items():
            moved = 0.0
            for row, want, old in zip(merged, told, before):
                for a, b, c in zip(row, want, old):
                    self.assertAlmostEqual(a, b, delta=1e-6, msg=layer)
                    moved = max(moved, abs(a - c))
            self.assertGreater(moved, 1e-4, layer)
