"""Loads what `mtlora export --format peft` writes with PEFT, and compares what it computes with ours.

MiniLM (a folder; scripts/fetch_minilm) is trained for a few steps with every method that PEFT can hold; PEFT's logits are
compared with `mtlora predict` and with the merged export in transformers. tests/golden/gpt2-tiny the same, by the dev loss
that our run reported and the merged export. Prints the largest differences, fails where they are more than fp32 rounding.
Nothing is stored. Run: python scripts/golden/check_peft_export.py build/mtlora models/minilm
"""
import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import peft
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

import recipe

sys.path.append(str(recipe.GOLDEN.parent / "end_to_end"))
import support  # noqa: E402

# Of the largest logit, or of the loss: fp32 rounding of six layers (predict computes in another order).
BOUND = 1e-5
LETTERS = "<|endoftext|>", "Ġ", "Ċ", *(chr(c) for c in range(33, 126))  # the 96 tokens of gpt2-tiny
UNLIKE = {"rank_pattern": {"value": 3}, "alpha_pattern": {"query": 5}}
METHODS = {"lora": {"name": "lora", "rank": 8}, "rslora": {"name": "lora", "rank": 8, "rslora": True},
           "lora, its biases": {"name": "lora", "rank": 4, "bias": "lora_only"},
           "lora, all biases": {"name": "lora", "rank": 4, "bias": "all"},
           "dora": {"name": "dora", "rank": 8}, "lora_mini": {"name": "lora_mini", "rank": 8},
           **{s: {"name": "mtlora", "structure": s, "rank": 8} for s in ("shim", "icfm", "ctcm", "dtsm")},
           "lora, unlike": {"name": "lora", "rank": 8, **UNLIKE}, "rslora, unlike": {"name": "lora", "rslora": True, **UNLIKE},
           "dora, unlike": {"name": "dora", "rank": 8, **UNLIKE}, "icfm, unlike": {"name": "mtlora", "rank": 8, **UNLIKE}}
ENCODER = {"query, value": ["query", "value"],
           "six": ["query", "key", "value", "**.attention.output.dense", "**.intermediate.dense", "**.layer.*.output.dense"]}
DECODER = {"c_attn": ["c_attn"], "query, value, c_fc": ["query", "value", "c_fc"]}


class Check:
    def __init__(self, program, place):
        self.program, self.place, self.failed, self.worst = program, place, 0, 0.0

    def mtlora(self, *arguments, stdin=""):
        done = subprocess.run([self.program, *map(str, arguments)], input=stdin, text=True, capture_output=True)
        if done.returncode:
            raise SystemExit(f"{arguments}: {done.stderr}")
        return done.stdout

    def exported(self, settings):
        """A run of these settings: its checkpoint, its merged folder, its folder for PEFT."""
        base = Path(tempfile.mkdtemp(dir=self.place))
        self.mtlora("train", "--config", support.write_json(base / "config.json", settings), "--out", base / "run")
        for form in ("merged", "peft"):
            self.mtlora("export", "--checkpoint", base / "run" / "best", "--format", form, "--out", base / form)
        return base / "run" / "best", base / "merged", base / "peft"

    def report(self, name, **differences):
        bad = {k: v for k, v in differences.items() if not v <= BOUND}
        self.failed += bool(bad)
        self.worst = max(self.worst, *differences.values())
        print(f"{name:<50}" + "  ".join(f"{k} {v:.1e}" for k, v in differences.items()) + (" BAD" if bad else ""))


def away(got, want):
    return float((got - want).abs().max() / want.abs().max())


def with_peft(base, folder):
    """PEFT's model; every tensor of the file has found its place, and none is left as it began."""
    model = peft.PeftModel.from_pretrained(base, folder).eval()
    saved = peft.get_peft_model_state_dict(model)
    file = peft.utils.load_peft_weights(str(folder), device="cpu")
    # with all biases PEFT lists those of its wrapped head under their inner names as well
    missing = {name for name in set(file) ^ set(saved) if ".modules_to_save." not in name and ".original_module." not in name}
    differ = [name for name in set(file) & set(saved) if not torch.equal(file[name], saved[name])]
    if missing or differ:
        raise SystemExit(f"{folder}: not in both {sorted(missing)}; not equal {sorted(differ)}")
    return model


def encoder(check, minilm):
    data = support.sentiment(check.place / "sentiment", 128, 32)
    texts = [line for line, _ in (row.split("\t") for row in (data / "dev.tsv").read_text().splitlines()[1:])]
    texts += ["Rain again, and nobody brought a coat!", "A café in the old harbour sells lemon cakes for €3.50 each."]
    tokens = AutoTokenizer.from_pretrained(minilm)(texts, padding=True, return_tensors="pt")
    for target, targets in ENCODER.items():
        for name, method in METHODS.items():
            settings = support.config(minilm, data, adapter={"targets": targets, "method": method},
                                      optimizer={"lr": 2e-3}, train={"max_steps": 24, "epochs": 9})
            best, merged, folder = check.exported(settings)
            with torch.no_grad():
                base = AutoModelForSequenceClassification.from_pretrained(minilm, num_labels=2)
                got = with_peft(base, folder)(**tokens).logits
                want = AutoModelForSequenceClassification.from_pretrained(merged).eval()(**tokens).logits
            lines = check.mtlora("predict", "--checkpoint", best, "--set", "train.dtype=fp32", stdin="\n".join(texts) + "\n")
            ours = torch.tensor([json.loads(line)["probabilities"] for line in lines.splitlines()], dtype=torch.float64)
            difference = ours.log().diff(dim=1) - got.double().diff(dim=1)  # of the two logits
            check.report(f"minilm, {name} on {target}", merged=away(got, want),
                         predict=float(difference.abs().max() / want.abs().max()))


def tiny_gpt2(folder):
    """The golden's model, with a token for each letter that can be seen and the end of a text."""
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(recipe.GOLDEN / "gpt2-tiny" / name, folder / name)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(LETTERS)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder


def loss_of(model, rows):
    """The mean loss of the completions' tokens, each text by itself: context, end, space and completion, end."""
    total = count = 0
    for row in rows:
        def ids(text):
            return [LETTERS.index("Ġ" if c == " " else c) for c in text]
        given = ids(row["prompt"]) + [0]
        learned = ids(" " + row["completion"]) + [0]
        logits = model(input_ids=torch.tensor([given + learned])).logits[0, len(given) - 1:-1].double()
        total += float(torch.nn.functional.cross_entropy(logits, torch.tensor(learned), reduction="sum"))
        count += len(learned)
    return total / count


def decoder(check):
    model = tiny_gpt2(check.place / "gpt2-tiny")
    data = check.place / "words"
    data.mkdir()
    rows = [{"prompt": f"what : {word}", "completion": f"it is {word}."} for word in ("sun", "moon", "a star")]
    for split in ("train", "dev", "test"):
        (data / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ids = torch.randint(len(LETTERS), (4, 40), generator=torch.Generator().manual_seed(1))
    for target, targets in DECODER.items():
        for name, method in METHODS.items():
            settings = support.config(model, data, task={"name": "data_to_text"}, adapter={"targets": targets, "method": method},
                                      train={"max_steps": 12, "epochs": 12, "batch_size": 2, "max_length": 60},
                                      generate={"beams": 1, "max_new_tokens": 4})
            best, merged, folder = check.exported(settings)
            with torch.no_grad():
                adapted = with_peft(AutoModelForCausalLM.from_pretrained(model), folder)
                got, loss = adapted(input_ids=ids).logits, loss_of(adapted, rows)
                want = AutoModelForCausalLM.from_pretrained(merged).eval()(input_ids=ids).logits
            step = json.loads((best.parent / "result.json").read_text())["best"]["step"]
            ours = next(e["loss"] for e in support.events(best.parent, "eval") if e["step"] == step)
            check.report(f"gpt2-tiny, {name} on {target}", merged=away(got, want), loss=abs(loss / ours - 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=Path)
    parser.add_argument("minilm", type=Path, nargs="?", help="without it only gpt2-tiny is checked")
    arguments = parser.parse_args()
    recipe.versions(peft=peft.__version__)
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory(prefix="mtlora-peft-") as place:
        check = Check(arguments.program.resolve(), Path(place))
        if arguments.minilm:
            encoder(check, arguments.minilm.resolve())
        decoder(check)
    print(f"worst {check.worst:.1e}, bound {BOUND:.0e}, {check.failed} failed")
    sys.exit(1 if check.failed else 0)


if __name__ == "__main__":
    main()
