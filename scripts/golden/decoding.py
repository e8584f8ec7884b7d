"""Writes tests/golden/decoding/reference.json: what the beam search of microsoft/LoRA's gpt2_beam.py finds.

    python scripts/golden/decoding.py

A slow and literal transcription of its definition: every step is run, finished beams stay in the beam at
-inf, n-grams are collected anew each time. Run in float32, as the original, and in float64; where the two
differ, two sums are equal within float32's rounding, and the case is listed under "near_ties" and
expected as float64 has it.
Equal scores go to the lower index (torch.topk leaves that open).

A case: [seed, generated tokens without the end token, their checksum, score].
"""

import json
import pathlib
import sys

import numpy as np
from decoding_scores import Toy, checksum, number

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "decoding" / "reference.json"
CASES = 2400


def settings(seed):
    """tests/decoding/reference_test.cpp draws the same."""
    pick = lambda what, values: values[number(seed, what) % len(values)]
    vocab = 20 + number(seed, 1) % 181
    return {
        "vocab": vocab,
        "beams": pick(2, [10, 10, 10, 1, 2, 3, 5, 20]),
        "steps": pick(3, [64, 64, 64, 1, 2, 7, 30]),
        "ngram": pick(4, [4, 4, 2, 3, 0, 1 if vocab > 100 else 2]),
        "penalty": pick(5, [0.8, 0.8, 0.9, 0.0, 1.0, 2.0, -0.5]),
        "end": [[0], [0, 7], [0, 7, 11], []][number(seed, 6) % 4],
        "sharpness": pick(7, [0.25, 0.5, 1.0, 2.0]),
        "end_bonus": -6144 + number(seed, 8) % 8192,
    }


def banned(history, ngram):
    """fairseq's: for each n-gram seen, its last token under its first n-1; look up the last n-1."""
    seen = {}
    for i in range(len(history) - ngram + 1):
        seen.setdefault(tuple(history[i : i + ngram - 1]), []).append(history[i + ngram - 1])
    return seen.get(tuple(history[len(history) - ngram + 1 :]), [])


def search(toy, prompt, beams, steps, ngram, penalty, dtype):
    sums = np.zeros(beams, dtype)
    histories = [[] for _ in range(beams)]
    best, best_score = [], None

    def add_candidates(everyone):
        nonlocal best, best_score
        for i, history in enumerate(histories):
            if everyone or history[-1] in toy.end:
                score = sums[i] / len(history) ** penalty
                if best_score is None or best_score < score:
                    best, best_score = history, score
                sums[i] = -np.inf

    for step in range(steps):
        rows = [toy.logits(prompt + h).astype(dtype) if sums[i] > -np.inf else np.zeros(toy.vocab, dtype)
                for i, h in enumerate(histories)]
        logits = np.stack(rows)
        if ngram > 0 and step > 0:
            for i, history in enumerate(histories):
                if step + 1 >= ngram:
                    logits[i, banned(history, ngram)] = -np.inf
        exp = np.exp(logits - logits.max(axis=1, keepdims=True))
        log_probs = np.log(exp / exp.sum(axis=1, keepdims=True))
        scores = log_probs[0] if step == 0 else (sums[:, None] + log_probs).reshape(-1)
        chosen = np.argsort(-scores, kind="stable")[:beams]  # NaN comes last
        sums = scores[chosen]
        histories = [histories[c // toy.vocab] + [int(c % toy.vocab)] for c in chosen]
        add_candidates(False)
    add_candidates(True)
    for i, token in enumerate(best):
        if token in toy.end:
            return best[:i], float(best_score)
    return best, float(best_score)


def main():
    np.seterr(divide="ignore", invalid="ignore", over="ignore")
    cases, near_ties, ended = [], [], 0
    for seed in range(CASES):
        s = settings(seed)
        toy = Toy(seed, s["vocab"], s["end"], s["sharpness"], s["end_bonus"])
        arguments = [[seed % s["vocab"]], s["beams"], s["steps"], s["ngram"], s["penalty"]]
        tokens, score = search(toy, *arguments, np.float64)
        if search(toy, *arguments, np.float32)[0] != tokens:
            near_ties.append(seed)
        ended += len(tokens) < s["steps"]
        cases.append([seed, len(tokens), checksum(tokens), round(score, 6)])
    OUT.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    OUT.write_text('{"near_ties": %s,\n"cases": [\n%s\n]}\n' % (json.dumps(near_ties), lines))
    print(f"python {sys.version.split()[0]}, numpy {np.__version__}")
    print(f"{len(cases)} cases, {ended} ended before the last step, near ties {near_ties}")


if __name__ == "__main__":
    main()
