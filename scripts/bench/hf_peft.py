#!/usr/bin/env python3
"""Times LoRA training and evaluation with Hugging Face transformers + PEFT, as a user writes it.

One process measures one variant and prints one JSON object with the keys of `mtlora bench --json`:
BERT-like classifier, LoRA (rank 8, alpha 16), by default on query and value, the model's own dropout,
AdamW, gradients clipped at 1.0. Reading a batch's rows, padding them and the step are timed together;
tokenising is not. Run by scripts/bench/compare_hf.
"""

import argparse
import json
import random
import resource
import statistics
import time
import warnings
from pathlib import Path


def process_start_seconds():
    """Seconds since this process began, imports and all."""
    fields = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()
    ticks_a_second = 100  # USER_HZ on Linux
    started = int(fields[19]) / ticks_a_second
    return float(Path("/proc/uptime").read_text().split()[0]) - started


def read_rows(path, count):
    """The first `count` (text, label) of a GLUE SST-2 file."""
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.rstrip("\n").split("\t") for line in lines[:count]]
    if len(rows) < count:
        raise SystemExit(f"{path}: {len(rows)} rows, but {count} are wanted")
    return [(text, int(label)) for text, label in rows]


def windows(run_batch, batches, count):
    """Median examples, tokens and steps a second over `count` equal windows of `batches`."""
    size = len(batches) // count
    rates = []
    for window in range(count):
        examples = tokens = 0
        begin = time.perf_counter()
        for batch in batches[window * size:(window + 1) * size]:
            run_batch(batch)
            examples += len(batch)
            tokens += sum(len(item["input_ids"]) for item in batch)
        seconds = time.perf_counter() - begin
        rates.append((examples / seconds, tokens / seconds, size / seconds))
    return [statistics.median(column) for column in zip(*rates)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.tsv and dev.tsv of SST-2")
    parser.add_argument("--targets", nargs="+", default=["query", "value"], help="ends of the adapted layers' names")
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--padding", choices=["dynamic", "128"], default="dynamic")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--windows", type=int, default=6)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--evaluation-batch", type=int, default=64)
    parser.add_argument("--evaluation-rows", type=int, default=832)
    parser.add_argument("--threads", type=int, default=0, help="0: PyTorch's own choice")
    parser.add_argument("--seed", type=int, default=1)
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

    tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
    dtype = torch.float32 if options.dtype == "fp32" else torch.bfloat16
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        options.model, num_labels=2, dtype=dtype)
    model = peft.get_peft_model(model, peft.LoraConfig(
        task_type="SEQ_CLS", r=8, lora_alpha=16, target_modules=options.targets))
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=5e-4, weight_decay=0.0)

    padding = {"padding": "max_length", "max_length": 128} if options.padding == "128" else {}
    collate = transformers.DataCollatorWithPadding(tokenizer, **padding)

    def encode(rows):
        texts = tokenizer([text for text, _ in rows], truncation=True, max_length=128)
        return [{"input_ids": ids, "attention_mask": mask, "labels": label}
                for ids, mask, (_, label) in zip(texts["input_ids"], texts["attention_mask"], rows)]

    def batches_of(items, size):
        return [items[i:i + size] for i in range(0, len(items), size)]

    def train(batch):
        loss = model(**collate(batch)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    def evaluate(batch):
        with torch.no_grad():
            return model(**collate(batch)).logits.argmax(-1)

    trainable = [p for p in model.parameters() if p.requires_grad]
    items = encode(read_rows(options.data / "train.tsv", options.steps * options.batch))
    random.Random(options.seed).shuffle(items)
    batches = batches_of(items, options.batch)

    model.train()
    train(batches[0])
    startup_seconds = process_start_seconds()
    for batch in batches[1:options.warmup]:
        train(batch)
    examples, tokens, steps = windows(train, batches, options.windows)
    peak_training = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    model.eval()
    dev = batches_of(encode(read_rows(options.data / "dev.tsv", options.evaluation_rows)), options.evaluation_batch)
    for batch in dev[:3]:
        evaluate(batch)
    evaluation = windows(evaluate, dev * 3, 3)[0]

    print(json.dumps({
        "steps_per_second": steps,
        "examples_per_second": examples,
        "tokens_per_second": tokens,
        "peak_memory_bytes": peak_training,
        "startup_seconds": startup_seconds,
        "evaluation_examples_per_second": evaluation,
        "trainable_parameters": sum(p.numel() for p in trainable),
        "threads": torch.get_num_threads(),
        "versions": {m.__name__: m.__version__ for m in (torch, transformers, peft)},
    }))


if __name__ == "__main__":
    main()
