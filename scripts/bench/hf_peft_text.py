#!/usr/bin/env python3
"""Times LoRA training of a language model with Hugging Face transformers + PEFT on WebNLG, dynamic padding.

LoRA (rank 8, alpha 16), by default on q_proj and v_proj, AdamW, clip 1, batches of 8; the loss is on the completions.
Tokens are those of the texts, padding left out, as `mtlora bench` counts them. hf_device.py says what is different on
CUDA. Needs torch, transformers, peft and, for a GGUF model, gguf. Beside it: mtlora bench --config webnlg_smollm2.json
with --set 'adapter={"targets": ["q_proj", "v_proj"], "method": {"name": "lora", "rank": 8, "alpha": 16}}'; of a folder
scripts/bench/compare_hf runs both.
"""

import argparse
import json
import random
import warnings
from pathlib import Path

from hf_device import add_arguments, open_device, process_start_seconds, windows


def pairs(file):
    """(context, text) of every good lexicalisation of microsoft/LoRA's WebNLG JSON."""
    for entry in json.loads(file.read_text(encoding="utf-8"))["entries"]:
        (entry,) = entry.values()
        triples = (f"{t['subject']} : {t['property']} : {t['object']}" for t in entry["modifiedtripleset"])
        context = " | ".join(triples)
        for text in entry["lexicalisations"]:
            if text["comment"] == "good":
                yield context, text["lex"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="a Hugging Face folder, or a GGUF file")
    parser.add_argument("--data", type=Path, required=True, help="train.json of WebNLG as microsoft/LoRA has it")
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=4)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--targets", nargs="+", default=["q_proj", "v_proj"], help="ends of the adapted layers' names")
    parser.add_argument("--threads", type=int, default=0, help="0: PyTorch's own choice")
    add_arguments(parser)
    options = parser.parse_args()

    warnings.filterwarnings("ignore", category=FutureWarning)  # transformers' own, of version 6
    warnings.filterwarnings("ignore", message="fan_in_fan_out")  # PEFT sets it right for GPT-2 by itself
    import peft
    import torch
    import transformers
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if options.threads:
        torch.set_num_threads(options.threads)
    device = open_device(options)
    folder, file = options.model, {}
    if options.model.suffix == ".gguf":
        folder, file = options.model.parent, {"gguf_file": options.model.name}
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **file)
    dtype = torch.float32 if options.dtype == "fp32" else torch.bfloat16
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **file)
    model = peft.get_peft_model(model, peft.LoraConfig(
        task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules=options.targets), **device.peft)
    model = device.place(model).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3, **device.adamw)
    end, multiple = tokenizer.eos_token_id, device.padding.get("pad_to_multiple_of", 1)

    def encoded(context, text):
        given = tokenizer(context)["input_ids"] + [end]
        learned = tokenizer(" " + text)["input_ids"] + [end]
        return {"input_ids": given + learned, "labels": [-100] * len(given) + learned}

    def collate(batch):
        longest = -(-max(len(item["input_ids"]) for item in batch) // multiple) * multiple

        def padded(rows, value):
            return torch.tensor([row + [value] * (longest - len(row)) for row in rows])
        ids = [item["input_ids"] for item in batch]
        return {"input_ids": padded(ids, end), "labels": padded([item["labels"] for item in batch], -100),
                "attention_mask": padded([[1] * len(row) for row in ids], 0)}

    def step(batch):
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    texts = list(pairs(options.data))
    random.Random(1).shuffle(texts)
    items = [encoded(*pair) for pair in texts[:options.batch * (options.warmup + options.steps)]]
    batches = [items[i:i + options.batch] for i in range(0, len(items), options.batch)]
    if len(batches) <= options.warmup:
        raise SystemExit(f"error: {options.data} has too few texts for {options.warmup + options.steps} steps")
    feed = device.feed(batches, collate)
    step(next(feed))
    device.finish()
    startup_seconds = process_start_seconds()
    for _ in range(1, options.warmup):
        step(next(feed))
    examples, tokens, steps = windows(device, step, feed, batches[options.warmup:], 1)
    print(json.dumps({
        "steps_per_second": steps, "examples_per_second": examples, "tokens_per_second": tokens, "dtype": options.dtype,
        "startup_seconds": startup_seconds, "trainable_parameters": sum(p.numel() for p in trained),
        "attention": model.config._attn_implementation,
        "versions": {m.__name__: m.__version__ for m in (torch, transformers, peft)}, **device.report()}))


if __name__ == "__main__":
    main()
