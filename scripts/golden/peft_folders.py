"""Adapters as PEFT saves them, and what they make of the model: LoRA, rsLoRA and DoRA with patterns, biases and saved modules.

Writes tests/golden/peft/<case>/: adapter_config.json and adapter_model.safetensors (or .bin), every number of them random, as
save_pretrained leaves them; and expected.safetensors, computed in float64: of encoders `logits` [texts, labels] for the texts in
its metadata, tokenized by the vocabulary that tests/end_to_end/support.py puts beside the model; of decoders every fourth row
of the tensors that merge_and_unload changes. Needs what encoders.py and decoders.py wrote. Run: python scripts/golden/peft_folders.py
"""
import json
import shutil
import sys
import tempfile
from pathlib import Path

import peft
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

import recipe

sys.path.append(str(recipe.GOLDEN.parent / "end_to_end"))
import support  # noqa: E402

SEED = 69
TEXTS = ["a good film", "bad bad night", "the plot was good and long"]
FOLDERS = {"bert-tiny-wide": support.bert_model, "roberta-tiny": support.roberta_model}
# base, LoraConfig's options, further ones of the case
CASES = {
    "bert-rslora": ("bert-tiny-wide", {
        "r": 4, "lora_alpha": 8, "use_rslora": True, "bias": "lora_only", "target_modules": ["query", "value"],
        "rank_pattern": {"layer.0.attention.self.value": 2, "value": 6},
        "alpha_pattern": {r"encoder\.layer\.[1-9]\d*\..*(query|value)": 3.5}, "modules_to_save": ["pooler"]}, {"safe": False}),
    "bert-all-biases": ("bert-tiny-wide", {"r": 2, "lora_alpha": 6, "bias": "all", "target_modules": "all-linear"},
                        {"dtype": torch.bfloat16}),
    "bert-dora": ("bert-tiny-wide", {"r": 3, "lora_alpha": 5, "use_dora": True, "use_rslora": True,
                                     "target_modules": r".*\.(query|output\.dense)"}, {"labels": 4}),
    "roberta-lora": ("roberta-tiny", {"r": 4, "lora_alpha": 4, "lora_dropout": 0.1, "target_modules": ["key", "dense"],
                                      "exclude_modules": ["classifier.dense"]}, {}),
    "roberta-all-biases": ("roberta-tiny", {"r": 2, "lora_alpha": 6, "bias": "all", "target_modules": ["query"]}, {}),
    "gpt2-lora": ("gpt2-tiny", {"r": 4, "lora_alpha": 8, "fan_in_fan_out": True, "target_modules": ["c_attn", "c_fc"],
                                "rank_pattern": {"c_fc": 2}, "modules_to_save": ["ln_f", "h.1.mlp.c_proj"]}, {}),
    "gpt2-dora": ("gpt2-tiny", {"r": 2, "lora_alpha": 8, "fan_in_fan_out": True, "use_dora": True, "bias": "all",
                                "target_modules": ["c_attn"]}, {}),
    "llama-lora": ("llama-tiny", {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}, {}),
}


def base_model(name, labels):
    place = recipe.GOLDEN / name
    if name in FOLDERS:
        more = {"num_labels": labels, "ignore_mismatched_sizes": True} if labels else {}
        return AutoModelForSequenceClassification.from_pretrained(place, **more)
    return AutoModelForCausalLM.from_pretrained(place)


def move(model, generator, dtype):
    """Every trained number moved at random, and kept as exactly as the file will hold it."""
    with torch.no_grad():
        for name, p in recipe.trained(model):
            step = 0.2 * torch.randn(p.shape, generator=generator)
            p.copy_((p * (1 + step) if "magnitude" in name else p + step).to(dtype))


def save(folder, model, base, safe, dtype):
    """As PEFT does, without what differs from run to run and machine to machine."""
    shutil.rmtree(folder, ignore_errors=True)
    model.to(dtype).save_pretrained(folder, safe_serialization=safe)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = base
    for key in ("target_modules", "modules_to_save", "exclude_modules"):
        if isinstance(config[key], list):
            config[key] = sorted(config[key])
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    for file in folder.glob("adapter_model.*"):
        file.chmod(0o644)
        print(f"{file.relative_to(recipe.GOLDEN)}: {file.stat().st_size} bytes")


def logits(model, name):
    with tempfile.TemporaryDirectory() as place:
        folder = FOLDERS[name](Path(place) / "model")
        batch = AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        return {"logits": model(**batch).logits}


def changed_rows(model, before):
    after = model.merge_and_unload().state_dict()
    return {name: t[::4] for name, t in after.items() if not torch.equal(t, before[name])}


def golden(case, name, options, safe=True, dtype=torch.float32, labels=None):
    torch.manual_seed(SEED)
    task = "SEQ_CLS" if name in FOLDERS else "CAUSAL_LM"
    model = peft.get_peft_model(base_model(name, labels), peft.LoraConfig(task_type=task, **options)).eval()
    move(model, torch.Generator().manual_seed(SEED), dtype)
    folder = recipe.GOLDEN / "peft" / case
    save(folder, model, name, safe, dtype)
    base = base_model(name, labels).double()
    before = {n: t.clone() for n, t in base.state_dict().items()}
    loaded = peft.PeftModel.from_pretrained(base, folder).double().eval()
    results = logits(loaded, name) if name in FOLDERS else changed_rows(loaded, before)
    recipe.save(f"peft/{case}/expected.safetensors", results, {"texts": json.dumps(TEXTS)})


def main():
    recipe.record("peft_folders.py", {"versions": recipe.versions(peft=peft.__version__), "seed": SEED})
    torch.set_num_threads(1)
    for case, (name, options, more) in CASES.items():
        golden(case, name, options, **more)


if __name__ == "__main__":
    main()
