#!/usr/bin/env python3
"""Trains one epoch of SST-2 with Hugging Face transformers + PEFT as configs/glue_sst2.json does, LoRA for MTLoRA.

The four adapted modules, rank 8, alpha 16, AdamW with lr 5e-4 and decay 0.1 (none on biases), linear schedule with 6 %
warm-up, batches of 32, clip 1. Prints accuracy and loss on the dev set. Needs torch, transformers and peft.
"""

import argparse
import json
import random
import time
from pathlib import Path

TARGETS = r".*(attention\.self\.(query|value)|layer\.\d+\.intermediate\.dense|layer\.\d+\.output\.dense)"


def rows(file):
    """(text, label) of every row below the header."""
    lines = file.read_text(encoding="utf-8").split("\n")[1:]
    return [(text, int(label)) for text, label in (line.split("\t") for line in lines if line)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.tsv and dev.tsv of SST-2")
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--seed", type=int, default=69)
    parser.add_argument("--steps", type=int, help="fewer than the epoch has, to try it out")
    options = parser.parse_args()

    import peft
    import torch
    import transformers
    transformers.utils.logging.set_verbosity_error()
    torch.manual_seed(options.seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
    dtype = torch.float32 if options.dtype == "fp32" else torch.bfloat16
    model = transformers.AutoModelForSequenceClassification.from_pretrained(options.model, num_labels=2, dtype=dtype)
    model = peft.get_peft_model(model, peft.LoraConfig(
        task_type="SEQ_CLS", r=8, lora_alpha=16, target_modules=TARGETS)).train()

    def encoded(data):
        texts = tokenizer([text for text, _ in data], truncation=True, max_length=512)
        return [{"input_ids": ids, "attention_mask": mask, "labels": label}
                for ids, mask, (_, label) in zip(texts["input_ids"], texts["attention_mask"], data)]

    train, dev = encoded(rows(options.data / "train.tsv")), encoded(rows(options.data / "dev.tsv"))
    random.Random(options.seed).shuffle(train)
    batches = [train[i:i + 32] for i in range(0, len(train), 32)][:options.steps]
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    trained = [p for _, p in named]
    optimizer = torch.optim.AdamW([
        {"params": [p for name, p in named if not name.endswith("bias")], "weight_decay": 0.1},
        {"params": [p for name, p in named if name.endswith("bias")], "weight_decay": 0.0}], lr=5e-4)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, int(0.06 * len(batches)), len(batches))
    collate = transformers.DataCollatorWithPadding(tokenizer)
    begin = time.perf_counter()
    for batch in batches:
        model(**collate(batch)).loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    seconds = time.perf_counter() - begin

    model.eval()
    right, loss = 0, 0.0
    with torch.no_grad():
        for i in range(0, len(dev), 64):
            batch = collate(dev[i:i + 64])
            logits = model(**batch).logits.float()
            right += int((logits.argmax(-1) == batch["labels"]).sum())
            loss += float(torch.nn.functional.cross_entropy(logits, batch["labels"], reduction="sum"))
    print(json.dumps({"accuracy": right / len(dev), "loss": loss / len(dev), "seconds": seconds, "steps": len(batches),
                      "seed": options.seed, "dtype": options.dtype}))


if __name__ == "__main__":
    main()
