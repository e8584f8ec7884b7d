#!/usr/bin/env python3
"""Makes a model of DeBERTa-v3-base's shape with random weights as a Hugging Face folder, to measure speed with.

12 layers of width 768, 12 heads, 128100 words, 256 position buckets. The tokenizer is that of another model
(MiniLM's): speed does not depend on which words the tokens stand for. Needs torch and transformers.
"""

import argparse
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOKENIZER = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "models/deberta-random")
    parser.add_argument("--tokenizer", type=Path, default=ROOT / "models/minilm", help="from scripts/fetch_minilm")
    options = parser.parse_args()

    import torch
    from transformers import DebertaV2Config, DebertaV2ForSequenceClassification
    torch.manual_seed(1)
    DebertaV2ForSequenceClassification(DebertaV2Config(
        hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072, vocab_size=128100,
        max_position_embeddings=512, type_vocab_size=0, relative_attention=True, position_buckets=256,
        norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type="p2c|c2p", position_biased_input=False,
        num_labels=2)).save_pretrained(options.out)
    for name in TOKENIZER:
        shutil.copyfile(options.tokenizer / name, options.out / name)


if __name__ == "__main__":
    main()
