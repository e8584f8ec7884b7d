#!/usr/bin/env python3
"""Times LoRA training of a language model with Hugging Face transformers + PEFT on WebNLG, dynamic padding.

LoRA on q_proj and v_proj (rank 8, alpha 16), AdamW, clip 1, batches of 8; the loss is on the completions. Tokens are
those of the texts, padding left out, as `mtlora bench` counts them. Needs torch, transformers, peft and, for a GGUF
model, gguf. Beside it: mtlora bench --config webnlg_smollm2.json with
--set 'adapter={"targets": ["q_proj", "v_proj"], "method": {"name": "lora", "rank": 8, "alpha": 16}}'
"""

import argparse
import json
import random
import time
from pathlib import Path


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
    options = parser.parse_args()

    import peft
    import torch
    import transformers
    transformers.utils.logging.set_verbosity_error()
    folder, file = options.model, {}
    if options.model.suffix == ".gguf":
        folder, file = options.model.parent, {"gguf_file": options.model.name}
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **file)
    dtype = torch.float32 if options.dtype == "fp32" else torch.bfloat16
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **file)
    model = peft.get_peft_model(model, peft.LoraConfig(
        task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"])).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3)
    end = tokenizer.eos_token_id

    def encoded(context, text):
        given = tokenizer(context)["input_ids"] + [end]
        learned = tokenizer(" " + text)["input_ids"] + [end]
        return given + learned, [-100] * len(given) + learned

    def step(batch):
        longest = max(len(ids) for ids, _ in batch)
        rows = [(ids + [end] * (longest - len(ids)), labels + [-100] * (longest - len(labels)),
                 [1] * len(ids) + [0] * (longest - len(ids))) for ids, labels in batch]
        ids, labels, mask = (torch.tensor(column) for column in zip(*rows))
        model(input_ids=ids, labels=labels, attention_mask=mask).loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return sum(len(ids) for ids, _ in batch)

    texts = list(pairs(options.data))
    random.Random(1).shuffle(texts)
    items = [encoded(*pair) for pair in texts[:options.batch * (options.warmup + options.steps)]]
    batches = [items[i:i + options.batch] for i in range(0, len(items), options.batch)]
    for batch in batches[:options.warmup]:
        step(batch)
    begin = time.perf_counter()
    tokens = sum(step(batch) for batch in batches[options.warmup:])
    print(json.dumps({"tokens_per_second": tokens / (time.perf_counter() - begin), "dtype": options.dtype,
                      "versions": {m.__name__: m.__version__ for m in (torch, transformers, peft)}}))


if __name__ == "__main__":
    main()
