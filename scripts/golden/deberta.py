"""Small random DeBERTa-v2 and -v3 classifiers as Hugging Face folders, with what transformers computes from them; with
LoRA and MTLoRA too; and the rows of relative positions.

`deberta-v3-tiny` has v3's settings: log buckets, positions projected by the content's layers, a normalised table, no
absolute positions. `deberta-v2-tiny` has v2's: a convolution, layers of its own for positions, words of another width;
its sequences are longer than max_relative_positions. The other two have one of the two terms each.
Writes tests/golden/<name>/, tests/golden/relative_rows.safetensors and its part of manifest.json.
Needs torch, transformers, peft, safetensors. Run: python scripts/golden/deberta.py
"""
import peft
import torch
from transformers import DebertaV2Config, DebertaV2ForSequenceClassification
from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position

import adapters
import encoders
import recipe

COMMON = dict(hidden_size=32, num_attention_heads=2, num_hidden_layers=2, initializer_range=0.2, relative_attention=True,
              max_position_embeddings=64, attn_implementation="eager")
MODELS = {
    "deberta-v3-tiny": dict(
        COMMON, vocab_size=100, intermediate_size=64, num_labels=3, position_buckets=8, pos_att_type="p2c|c2p",
        share_att_key=True, norm_rel_ebd="layer_norm", position_biased_input=False),
    "deberta-v2-tiny": dict(
        COMMON, vocab_size=100, intermediate_size=64, num_labels=2, position_buckets=6, max_relative_positions=12,
        pos_att_type=["p2c", "c2p"], share_att_key=False, norm_rel_ebd="layer_norm", type_vocab_size=2, embedding_size=24,
        conv_kernel_size=3, conv_act="gelu"),
    "deberta-v2-c2p-tiny": dict(  # heads of 8, which the kernels leave to the plain path
        COMMON | dict(hidden_size=16), vocab_size=60, intermediate_size=32, max_relative_positions=12, num_labels=1,
        problem_type="regression",  # without it transformers drops a dimension of the logits
        pos_att_type="c2p", share_att_key=True, conv_kernel_size=5, conv_act="tanh", pooler_hidden_act="tanh"),
    "deberta-v2-p2c-tiny": dict(
        COMMON | dict(hidden_size=16, num_attention_heads=1), vocab_size=60, intermediate_size=32, num_labels=2,
        position_buckets=-1, pos_att_type="p2c",
        position_biased_input=False, hidden_act="gelu_new", pooler_hidden_act="relu"),
}
encoders.MODELS = {name: (DebertaV2ForSequenceClassification, DebertaV2Config(**c)) for name, c in MODELS.items()}
encoders.FINAL = ["word_embeddings.weight", "embed_proj.weight", "rel_embeddings.weight", "encoder.LayerNorm.weight",
                  "encoder.conv.conv.weight", "layer.0.attention.self.query_proj.weight", "self.pos_query_proj.weight",
                  "layer.1.output.LayerNorm.bias", "pooler.dense.weight", "classifier.weight"]
# Their gradients are zero: a constant added to all scores of a query.
recipe.ROUNDING_ONLY = ("self.pos_key_proj.bias", "self.key_proj.bias")  # the latter with c2p alone
ADAPTED = ["query_proj", "value_proj"]
ATTENTION = [f"attention.self.{layer}" for layer in ADAPTED]
VARIANTS = {"lora": lambda n, d: adapters.peft_lora(n, d, layers=ADAPTED, modules_to_save=list(adapters.HEAD)),
            "icfm": lambda n, d: adapters.mtlora(n, d, "icfm", ATTENTION)}
# buckets, max_relative_positions: v3-base's, v2-xlarge's (the same), and others; without buckets
SPANS = [(256, 512), (8, 64), (6, 12), (32, 128), (64, 4096), (-1, 12), (-1, 512)]


def relative_rows():
    """The row of the table for distances -600 .. 600, clamped as in disentangled_attention_bias."""
    rows = {}
    places = torch.empty(1, 601, 1)
    for buckets, most in SPANS:
        between = build_relative_position(places, places, bucket_size=buckets, max_position=most)[0]
        by_distance = torch.cat([between[0].flip(0)[:-1], between[:, 0]])
        span = buckets if buckets > 0 else most
        rows[f"{buckets}.{most}"] = (by_distance + span).clamp(0, 2 * span - 1).int()
    recipe.save("relative_rows.safetensors", rows)


if __name__ == "__main__":
    found = recipe.versions(peft=peft.__version__)
    torch.set_num_threads(1)
    for model in MODELS:
        encoders.golden(model)
    for variant, build in VARIANTS.items():
        adapters.golden("deberta-v3-tiny", variant, build)
    relative_rows()
    recipe.record("scripts/golden/deberta.py", {
        "versions": found, "seed": encoders.SEED, "models": list(MODELS), "rank": adapters.RANK, "alpha": adapters.ALPHA,
        "variants of deberta-v3-tiny": list(VARIANTS), "dropout": "off, though config.json says 0.1",
        "computed in": "float64, stored as float32; the buckets of distances in float32", "training": recipe.RECIPE,
        "tolerances": {key: list(recipe.ROUNDING_ONLY) if key.startswith("rounding") else value
                       for key, value in recipe.TOLERANCES.items()}})
