#!/usr/bin/env python3
"""Times beam search with Hugging Face `generate`, one prompt after another, as a user writes it.

Reads lines of contexts, puts the end token behind each, and writes a JSON line {"text"} for each, and at the end one
with "tokens", "seconds" and "tokens_per_second". Run by scripts/bench/compare_generate.
"""

import argparse
import json
import sys
import time
from pathlib import Path


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="a Hugging Face folder")
    parser.add_argument("--dtype", choices=["fp32", "bf16"], required=True)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--beams", type=int, default=10)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--length-penalty", type=float, default=0.8)
    parser.add_argument("--no-repeat-ngram", type=int, default=4)
    options = parser.parse_args()

    import torch
    import transformers
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
    dtype = torch.float32 if options.dtype == "fp32" else torch.bfloat16
    model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=dtype).eval().to(options.device)
    end = tokenizer.eos_token_id
    if options.device == "cuda":  # the first call pays for what is made once
        model.generate(torch.tensor([[end]], device="cuda"), max_new_tokens=2, num_beams=2, pad_token_id=end)
    tokens = seconds = 0
    for line in sys.stdin.read().splitlines():
        ids = torch.tensor([tokenizer(line)["input_ids"] + [end]], device=options.device)
        begin = time.perf_counter()
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, num_beams=options.beams, pad_token_id=end,
            max_new_tokens=options.max_new_tokens, length_penalty=options.length_penalty,
            no_repeat_ngram_size=options.no_repeat_ngram, early_stopping=False)[0, ids.shape[1]:]
        seconds += time.perf_counter() - begin
        tokens += len(out)
        text = tokenizer.decode([i for i in out.tolist() if i != end]).split("\n\n")[0].strip()
        print(json.dumps({"text": text}), flush=True)
    print(json.dumps({"tokens": tokens, "seconds": seconds, "tokens_per_second": tokens / seconds,
                      "versions": {m.__name__: m.__version__ for m in (torch, transformers)}}))


if __name__ == "__main__":
    main()
