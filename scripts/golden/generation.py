"""What transformers' generate() continues with: greedily and by beam search, by stories260K of ../shared/weights; and
the logits and greedy tokens of SmolLM2-135M-Instruct from its GGUF file (models/smollm2, see scripts/fetch_smollm2).
Token ids and numbers only, no text. Everything is float32; what float64 gives is compared and printed.

Writes tests/golden/generation.json. Run from the repository's root: python scripts/golden/generation.py
"""
import json
import sys
from pathlib import Path

# Files beside this one are named like packages that transformers needs.
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]

import torch  # noqa: E402
import transformers  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "tests/golden/generation.json"
STORIES = ROOT.parent / "shared/weights/stories260K"
SMOLLM2, FILE = ROOT / "models/smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
STARTS = ["Once upon a time", "", "Tom and Lily went to the", "The dog was sad. One day, a big bird said: \"Why", "A",
          "It rained all week. Mia wanted to play, but her mum had hidden the red ball in the kitchen, so she"]
BEAM = dict(num_beams=4, length_penalty=0.8, no_repeat_ngram_size=3, max_new_tokens=40, early_stopping=False)
TEXTS = ["The capital of France is", "def add(a, b):", "In 1969, two people"]
TOP = 8


def generated(model, ids, end, **more):
    config = GenerationConfig(do_sample=False, eos_token_id=end, pad_token_id=0, bos_token_id=1, **more)
    model.generation_config = GenerationConfig()  # what is None above would be taken from the model's own
    given = torch.tensor([ids])
    out = model.generate(given, attention_mask=torch.ones_like(given), generation_config=config)
    found = out[0, len(ids):].tolist()
    return found[:found.index(end)] if end in found else found


def closest_choice(model, ids, chosen):
    """The smallest lead of a greedy choice over the second best token."""
    best = model(torch.tensor([ids + chosen])).logits[0, len(ids) - 1:-1].float().topk(2).values
    return float((best[:, 0] - best[:, 1]).min())


def both(name, model, compute):
    """In float32; says whether float64 gives the same."""
    found = compute(model)
    exact = compute(model.double())
    torch.nn.Module.float(model)  # its own refuses what a GGUF file holds
    print(f"{name}: {len(found)} cases, float64 gives {'the same' if found == exact else 'SOMETHING ELSE'}")
    return found


def stories():
    tokenizer = AutoTokenizer.from_pretrained(STORIES)
    model = AutoModelForCausalLM.from_pretrained(STORIES, dtype=torch.float32).eval()
    prompts = [tokenizer(text).input_ids or [1] for text in STARTS]
    prompts = [ids if ids[0] == 1 else [1, *ids] for ids in prompts]
    greedy = both("greedy", model, lambda m: [generated(m, ids, None, max_new_tokens=200) for ids in prompts])
    # It never writes its end token so early: a full stop as the end lets beams end at unlike steps.
    full_stop = tokenizer.convert_tokens_to_ids(".")
    assert full_stop not in (None, tokenizer.unk_token_id)
    beams = [{"end": end, "ids": both("beam", model, lambda m: [generated(m, ids, end, **BEAM) for ids in prompts])}
             for end in (2, full_stop)]
    print("tokens of prompts", [len(p) for p in prompts], "greedy", [len(i) for i in greedy], "beams",
          [[len(i) for i in beam["ids"]] for beam in beams])
    print("closest greedy choice", min(closest_choice(model, p, i) for p, i in zip(prompts, greedy)))
    return {"prompts": prompts, "greedy": greedy, "beams": beams}


def smollm2():
    tokenizer = AutoTokenizer.from_pretrained(SMOLLM2, gguf_file=FILE)
    model = AutoModelForCausalLM.from_pretrained(SMOLLM2, gguf_file=FILE, dtype=torch.float32).eval()
    cases, worst, lead = [], 0.0, float("inf")
    for text in TEXTS:
        ids = tokenizer(text).input_ids
        greedy = generated(model, ids, None, max_new_tokens=40)
        lead = min(lead, closest_choice(model, ids, greedy))
        logits = model(torch.tensor([ids])).logits[0]
        exact = torch.nn.Module.double(model)(torch.tensor([ids])).logits[0]
        torch.nn.Module.float(model)  # its own refuses what a GGUF file holds
        worst = max(worst, float((logits - exact).abs().max()))
        top = exact.topk(TOP)
        cases.append({"ids": ids, "greedy": greedy, "top_ids": top.indices.tolist(),
                      "top_logits": [[round(x, 5) for x in row] for row in top.values.tolist()],
                      "log_sum": [round(x, 5) for x in exact.logsumexp(-1).tolist()]})
    print(f"smollm2: float32 logits away by at most {worst:.1e}; closest greedy choice {lead:.4f}",
          [len(c["ids"]) for c in cases])
    return {"file": FILE, "cases": cases}


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    versions = {"python": sys.version.split()[0], "torch": torch.__version__, "transformers": transformers.__version__}
    print(" ".join(f"{name} {version}" for name, version in versions.items()))
    golden = {"versions": versions, "beam_options": BEAM, "stories260K": stories(), "smollm2": smollm2()}
    # A list of numbers stands on one line.
    lists = []

    def kept(value):
        if isinstance(value, dict):
            return {k: kept(v) for k, v in value.items()}
        if isinstance(value, list) and not isinstance(value[0], (list, dict)):
            lists.append(json.dumps(value, separators=(",", ":")))
            return f"@{len(lists) - 1}@"
        return [kept(v) for v in value] if isinstance(value, list) else value
    text = json.dumps(kept(golden), indent=1)
    for i, line in enumerate(lists):
        text = text.replace(f'"@{i}@"', line)
    OUT.write_text(text + "\n")
    print(OUT.name, OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
