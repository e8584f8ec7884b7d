#!/usr/bin/env python3
"""Makes a model of a known shape with random weights as a Hugging Face folder, to measure speed with.

  scripts/bench/random_model.py deberta-v3-base --out models/deberta-random --dtype bf16

What the weights are does not change the speed, and bf16 halves the file. Texts should have the lengths in tokens that
they really have, so the tokenizer is the model's own where ../shared has it; --tokenizer names another folder. Needs
torch and transformers; downloads nothing.
"""

import argparse
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared/tokenizers"
TOKENIZER = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json",
             "merges.txt", "spm.model"]

# name: (class in transformers, its configuration, the tokenizer's files, folders that may have them)
SHAPES = {
    "roberta-base": ("RobertaForSequenceClassification", dict(
        vocab_size=50265, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5, num_labels=2,
        bos_token_id=0, pad_token_id=1, eos_token_id=2),
        ["vocab.json", "merges.txt"], [SHARED / "roberta_DERIVED", SHARED / "roberta"]),
    "deberta-v3-base": ("DebertaV2ForSequenceClassification", dict(
        hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072, vocab_size=128100,
        max_position_embeddings=512, type_vocab_size=0, relative_attention=True, position_buckets=256,
        norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type="p2c|c2p", position_biased_input=False,
        num_labels=2),
        ["spm.model"], [SHARED / "deberta-v3"]),
    "gpt2-medium": ("GPT2LMHeadModel", dict(n_embd=1024, n_layer=24, n_head=16),
                    ["vocab.json", "merges.txt"], [SHARED / "gpt2"]),
}


def tokenizer_folder(shape, given):
    """The folder with the tokenizer's files; ends the program where there is none."""
    _, _, wanted, folders = SHAPES[shape]
    if given:
        if not any((given / name).exists() for name in TOKENIZER):
            sys.exit(f"error: {given} has none of {', '.join(TOKENIZER)}")
        return given
    for folder in folders:
        if all((folder / name).exists() for name in wanted):
            return folder
    sys.exit(f"error: no tokenizer of {shape} here: --tokenizer FOLDER names one with {' and '.join(wanted)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("--out", type=Path, required=True, help="the model's folder")
    parser.add_argument("--tokenizer", type=Path, help="folder whose tokenizer is copied, e.g. models/minilm")
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32", help="of the weights file (%(default)s)")
    options = parser.parse_args()
    tokenizer = tokenizer_folder(options.shape, options.tokenizer)

    import torch
    import transformers
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(1)
    name, settings, _, _ = SHAPES[options.shape]
    model = getattr(transformers, name)
    model = model(model.config_class(**settings)).to(torch.float32 if options.dtype == "fp32" else torch.bfloat16)
    model.save_pretrained(options.out)
    for file in TOKENIZER:
        if (tokenizer / file).exists():
            shutil.copyfile(tokenizer / file, options.out / file)


if __name__ == "__main__":
    main()
