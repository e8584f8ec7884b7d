"""Small weight files as Python writes them, and hostile ones: what lib/weights must read, and must refuse.

Writes tests/golden/formats/. Needs torch, safetensors. Run: python scripts/golden/formats.py
"""
import collections
import json
import os
import pickle
import shutil
import zipfile

import torch
from safetensors.torch import save_file

import recipe

FOLDER = recipe.GOLDEN / "formats"


def values():
    """Every type, and every way a tensor can lie in its storage."""
    g = torch.Generator().manual_seed(69)
    grid = torch.randn(6, 8, generator=g)
    types = {"f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    whole = {"i64": torch.int64, "i32": torch.int32, "i16": torch.int16, "i8": torch.int8}
    out = {name: torch.randn(3, 5, generator=g).to(t) for name, t in types.items()}
    out |= {name: torch.randint(-100, 100, (4,), generator=g).to(t) for name, t in whole.items()}
    out |= {"u8": torch.arange(7, dtype=torch.uint8), "bool": torch.tensor([True, False, True]),
            "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 4), "grid": grid, "row": grid[2],
            "transposed": grid.t(), "strided": grid[1::2, 1::3], "broadcast": torch.tensor([1.5, -2.0]).expand(3, 2)}
    return out


class Asks:
    """Pickles to a call of `function`."""
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def deflated(name, source):
    """The same archive, compressed, as zip tools make one."""
    with zipfile.ZipFile(FOLDER / source) as old, zipfile.ZipFile(FOLDER / name, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.namelist():
            new.writestr(zipfile.ZipInfo(entry), old.read(entry), zipfile.ZIP_DEFLATED)


def archive(name, data, **entries):
    """A zip like torch.save's around a pickle of our own."""
    with zipfile.ZipFile(FOLDER / name, "w", zipfile.ZIP_STORED) as out:
        for entry, content in {"data.pkl": data, "version": b"3\n", **entries}.items():
            out.writestr(zipfile.ZipInfo("archive/" + entry), content)


def shards(tensors):
    folder = FOLDER / "sharded"
    folder.mkdir()
    files = {"model-00001-of-00002.safetensors": ["f32", "i64"], "model-00002-of-00002.safetensors": ["bf16", "scalar"]}
    for file, names in files.items():
        save_file({n: tensors[n] for n in names}, folder / file)
    index = {"metadata": {"total_size": sum(tensors[n].nbytes for names in files.values() for n in names)},
             "weight_map": {n: file for file, names in files.items() for n in names}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    found = recipe.versions()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    tensors = values()
    save_file({n: t.contiguous().clone() for n, t in tensors.items()}, FOLDER / "plain.safetensors", {"format": "pt"})
    torch.save(collections.OrderedDict(tensors), FOLDER / "ordered.bin")
    deflated("deflated.bin", "ordered.bin")
    torch.save({n: torch.nn.Parameter(t) if t.is_floating_point() else t for n, t in tensors.items()}, FOLDER / "parameters.bin")
    torch.save(tensors, FOLDER / "protocol4.bin", pickle_protocol=4)
    # How torch.save's files began before version 1.6; the rest of one holds memory addresses, other in each run.
    (FOLDER / "old.bin").write_bytes(b"".join(pickle.dumps(n, protocol=2) for n in (0x1950a86a20f9469cfc6c, 1001)))
    torch.save({"state_dict": {"f32": tensors["f32"]}, "epoch": 3}, FOLDER / "nested.bin")
    module = torch.nn.Linear(2, 2)
    with torch.no_grad():
        module.weight.copy_(torch.eye(2))
        module.bias.zero_()
    torch.save(module.state_dict(), FOLDER / "module.bin")
    archive("system.bin", pickle.dumps({"weight": Asks(os.system, "echo hostile")}, protocol=2))
    archive("eval.bin", pickle.dumps({"weight": Asks(eval, "1 + 1")}, protocol=4))
    shards(tensors)
    for file in FOLDER.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)
    print(sorted(str(f.relative_to(FOLDER)) for f in FOLDER.rglob("*")))
    recipe.record("scripts/golden/formats.py", {"versions": found, "seed": 69, "tolerances": "none: equal bit for bit"})
