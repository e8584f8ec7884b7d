"""Writes tests/golden/decoding/huggingface.json: what transformers' generate() and warpers do with toy logits.

    python scripts/golden/decoding_hf.py

"beam" and "greedy" cases: [seed, generated tokens without the end token, their checksum, score (0 for
greedy)]. Where the two best beams have equal scores torch.topk leaves open which comes first: such seeds
are listed under "ties". "warp" cases: [seed, tokens kept, checksum of their ids, probability of the most
likely one].
"""

import json
import pathlib
import sys

from decoding_scores import Toy, checksum, number

# A file beside this one is named like a package that transformers needs.
sys.path.pop(0)

import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel  # noqa: E402
from transformers.generation import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper  # noqa: E402
from transformers.modeling_outputs import CausalLMOutput  # noqa: E402

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "decoding" / "huggingface.json"
BEAM_CASES, GREEDY_CASES, WARP_CASES = 600, 60, 300


def settings(seed):
    """tests/decoding/huggingface_test.cpp draws the same."""
    pick = lambda what, values: values[number(seed, what) % len(values)]
    vocab = 40 + number(seed, 1) % 161
    return {
        "vocab": vocab,
        "beams": pick(2, [10, 2, 3, 5]),
        "steps": pick(3, [24, 24, 12, 1, 2]),
        "ngram": pick(4, [0, 2, 3, 4, 2]),
        "penalty": pick(5, [1.0, 0.8, 0.0, 2.0, -0.5]),
        "end": [[0], [0, 7], [0, 7, 11]][number(seed, 6) % 3],
        "sharpness": pick(7, [0.25, 0.5, 1.0, 2.0]),
        "end_bonus": -3072 + number(seed, 8) % 5120,
        "early_stopping": pick(9, [False, True, "never"]),
        "prompt": [number(seed, 200 + i) % (4 if i % 2 else vocab) for i in range(1 + number(seed, 10) % 9)],
        "temperature": pick(11, [1.0, 0.7, 1.5, 0.1]),
        "top_k": pick(12, [0, 1, 5, 50, 1000]),
        "top_p": pick(13, [1.0, 0.9, 0.5, 0.99, 0.05]),
    }


def toy(seed, s):
    return Toy(seed, s["vocab"], s["end"], s["sharpness"], s["end_bonus"])


class ToyModel(PreTrainedModel, GenerationMixin):
    config_class = PretrainedConfig
    main_input_name = "input_ids"
    _supports_cache_class = False

    def __init__(self, config):
        super().__init__(config)
        self.unused = torch.nn.Parameter(torch.zeros(1))
        self.toy = None
        self.post_init()

    def forward(self, input_ids, **_):
        rows = [self.toy.logits(row.tolist()) for row in input_ids]
        return CausalLMOutput(logits=torch.from_numpy(np.stack(rows))[:, None, :])


def generated(model, seed, greedy, ties):
    s = settings(seed)
    model.toy = toy(seed, s)
    model.config.vocab_size = s["vocab"]
    more = {} if greedy else {"length_penalty": s["penalty"], "early_stopping": s["early_stopping"],
                              "num_return_sequences": 2}
    config = GenerationConfig(do_sample=False, num_beams=1 if greedy else s["beams"], use_cache=False,
                              max_new_tokens=s["steps"], no_repeat_ngram_size=s["ngram"],
                              eos_token_id=s["end"], pad_token_id=s["end"][0],
                              return_dict_in_generate=True, output_scores=True, **more)
    ids = torch.tensor([s["prompt"]])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)
    tokens = out.sequences[0, len(s["prompt"]):].tolist()
    for i, token in enumerate(tokens):
        if token in s["end"]:
            tokens = tokens[:i]
            break
    score = 0.0 if greedy else out.sequences_scores[0].item()
    if not greedy and out.sequences_scores[1].item() == score:
        ties.append(seed)
    return [seed, len(tokens), checksum(tokens), round(score, 5)]


def warped(seed):
    s = settings(seed)
    scores = torch.from_numpy(toy(seed, s).logits(s["prompt"]))[None]
    warpers = []
    if s["temperature"] != 1.0:
        warpers.append(TemperatureLogitsWarper(s["temperature"]))
    if s["top_k"]:
        warpers.append(TopKLogitsWarper(s["top_k"]))
    if s["top_p"] < 1:
        warpers.append(TopPLogitsWarper(s["top_p"]))
    for warper in warpers:
        scores = warper(None, scores)
    kept = (scores[0] > -torch.inf).nonzero()[:, 0].tolist()
    return [seed, len(kept), checksum(kept), round(scores.softmax(-1).max().item(), 6)]


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    model = ToyModel(PretrainedConfig(vocab_size=200)).eval()
    ties = []
    cases = {"beam": [generated(model, seed, False, ties) for seed in range(BEAM_CASES)],
             "greedy": [generated(model, seed, True, ties) for seed in range(GREEDY_CASES)],
             "warp": [warped(seed) for seed in range(WARP_CASES)]}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    texts = ['"%s": [\n%s\n]' % (name, ",\n".join(json.dumps(c, separators=(",", ":")) for c in rows))
             for name, rows in cases.items()]
    OUT.write_text('{"ties": %s,\n%s}\n' % (json.dumps(ties), ",\n".join(texts)))
    print(f"python {sys.version.split()[0]}, torch {torch.__version__}, transformers {transformers.__version__}")
    print({name: len(rows) for name, rows in cases.items()}, "ties", ties)


if __name__ == "__main__":
    main()
