#!/usr/bin/env python3
"""Times LoRA training and evaluation with Hugging Face transformers + PEFT, as a user writes it.

One process measures one variant and prints one JSON object with the keys of `mtlora bench --json`:
BERT-like classifier, LoRA (rank 8, alpha 16), by default on query and value, the model's own dropout,
AdamW, gradients clipped at 1.0. Reading a batch's rows, padding them and the step are timed together;
tokenising is not. hf_device.py says what is different on CUDA. Run by scripts/bench/compare_hf.
"""

import argparse
import json
import random
import warnings
from pathlib import Path

from hf_device import add_arguments, open_device, process_start_seconds, windows


def read_rows(path, count):
    """The first `count` (text, label) of a GLUE SST-2 file."""
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.rstrip("\n").split("\t") for line in lines[:count]]
    if len(rows) < count:
        raise SystemExit(f"{path}: {len(rows)} rows, but {count} are wanted")
    return [(text, int(label)) for text, label in rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.tsv and dev.tsv of SST-2")
    parser.add_argument("--targets", nargs="+", default=["query", "value"], help="ends of the adapted layers' names")
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--padding", choices=["dynamic", "128"], default="dynamic")
    parser.add_argument("--max-length", type=int, default=128, help="tokens of a text that count")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--windows", type=int, default=6)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--evaluation-batch", type=int, default=64)
    parser.add_argument("--evaluation-rows", type=int, default=832)
    parser.add_argument("--threads", type=int, default=0, help="0: PyTorch's own choice")
    parser.add_argument("--seed", type=int, default=1)
    add_arguments(parser)
    options = parser.parse_args()

    warnings.filterwarnings("ignore", category=FutureWarning)  # transformers' own, of version 6
    import torch
    import transformers
    import peft

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    device = open_device(options)

    tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
    dtype = torch.float32 if options.dtype == "fp32" else torch.bfloat16
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        options.model, num_labels=2, dtype=dtype)
    head = ["classifier", "pooler"] if model.config.model_type == "deberta-v2" else None  # None: PEFT's, the classifier
    model = peft.get_peft_model(model, peft.LoraConfig(
        task_type="SEQ_CLS", r=8, lora_alpha=16, target_modules=options.targets, modules_to_save=head), **device.peft)
    model = device.place(model)
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=5e-4, weight_decay=0.0, **device.adamw)

    padding = {"padding": "max_length", "max_length": 128} if options.padding == "128" else device.padding
    pad = transformers.DataCollatorWithPadding(tokenizer, **padding)

    def collate(batch):
        return dict(pad(batch))

    def encode(rows):
        texts = tokenizer([text for text, _ in rows], truncation=True, max_length=options.max_length)
        return [{"input_ids": ids, "attention_mask": mask, "labels": label}
                for ids, mask, (_, label) in zip(texts["input_ids"], texts["attention_mask"], rows)]

    def batches_of(items, size):
        return [items[i:i + size] for i in range(0, len(items), size)]

    def train(batch):
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    def evaluate(batch):
        with torch.no_grad():
            return model(**batch).logits.argmax(-1)

    items = encode(read_rows(options.data / "train.tsv", options.steps * options.batch))
    random.Random(options.seed).shuffle(items)
    batches = batches_of(items, options.batch)

    warm_up = batches[:options.warmup]
    feed = device.feed(warm_up + batches, collate)
    model.train()
    train(next(feed))
    device.finish()
    startup_seconds = process_start_seconds()
    for _ in warm_up[1:]:
        train(next(feed))
    examples, tokens, steps = windows(device, train, feed, batches, options.windows)
    report = device.report()

    model.eval()
    dev = batches_of(encode(read_rows(options.data / "dev.tsv", options.evaluation_rows)), options.evaluation_batch)
    warm_up, dev = dev[:3], dev * device.evaluations
    feed = device.feed(warm_up + dev, collate)
    for _ in warm_up:
        evaluate(next(feed))
    evaluation = windows(device, evaluate, feed, dev, 3)[0]

    print(json.dumps({
        "steps_per_second": steps,
        "examples_per_second": examples,
        "tokens_per_second": tokens,
        "startup_seconds": startup_seconds,
        "evaluation_examples_per_second": evaluation,
        "trainable_parameters": sum(p.numel() for p in trainable),
        "threads": torch.get_num_threads(),
        "attention": model.config._attn_implementation,
        "versions": {m.__name__: m.__version__ for m in (torch, transformers, peft)},
        **report,
    }))


if __name__ == "__main__":
    main()
