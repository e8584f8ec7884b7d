"""What Hugging Face `tokenizers` makes of every code point: classes, lower case, normal forms, clusters.

Writes tests/golden/tokenizers/code_points.json, hashes of blocks. Run: python scripts/golden/code_points.py
"""
import io
import tempfile
import zlib

import sentencepiece
from tokenizers import normalizers, pre_tokenizers
from transformers.convert_slow_tokenizer import import_protobuf

from token_ids import GOLDEN, VERSIONS, write


def cluster_finder():
    """A normalizer that shows whether "A" and a character behind it are one grapheme cluster: then "a" is all that is left."""
    made = io.BytesIO()
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        rules.write("41\t61\n")
        rules.flush()
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(["a b c"]), model_writer=made, vocab_size=7,
                                                 normalization_rule_tsv=rules.name, minloglevel=2)
    model = import_protobuf().ModelProto.FromString(made.getvalue())
    return normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap).normalize_str


def blocks():
    """A CRC for each block of 0x1000 code points (surrogates left out)."""
    def bert(**on):
        off = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
        return normalizers.BertNormalizer(**{**off, **on}).normalize_str

    clean, cjk, strip, lower = (bert(**{k: True}) for k in ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"))
    nfd = normalizers.NFD().normalize_str
    bert_pre, level = pre_tokenizers.BertPreTokenizer(), pre_tokenizers.ByteLevel(add_prefix_space=False)
    words = lambda pre, text: len(pre.pre_tokenize_str(text))

    def classes(c):
        flags = [clean(f"a{c}b") == "ab", words(bert_pre, f"a{c}b") == 2, cjk(c) != c, words(bert_pre, f"a{c}b") == 3,
                 strip(c) == "", words(level, "a" + c) == 1, words(level, "1" + c) == 1]
        return bytes([sum(flag << i for i, flag in enumerate(flags))])

    nfc, nfkc, nfkd = (form().normalize_str for form in (normalizers.NFC, normalizers.NFKC, normalizers.NFKD))
    clusters = cluster_finder()
    kinds = {"classes": classes, "lower": lambda c: lower(c).encode(),
             "nfd": lambda c: nfd(f"\u0302{c}\u0317\u0334").encode(),
             "nfc": lambda c: nfc(f"{nfd(c)}\u0302{c}\u0317\u0334a{c}\u0301").encode(),
             "nfkc": lambda c: nfkc(f"{c}\u0301\u0327").encode(), "nfkd": lambda c: nfkd(f"\u0302{c}\u0317").encode(),
             "clusters": lambda c: bytes([clusters(f"A{c}") == "a"])}
    hashes = {kind: [] for kind in kinds}
    for begin in range(0, 0x110000, 0x1000):
        for kind, function in kinds.items():
            characters = (chr(c) for c in range(begin, begin + 0x1000) if not 0xD800 <= c < 0xE000)
            hashes[kind].append(f"{zlib.crc32(b''.join(map(function, characters))):08x}")
    write(GOLDEN / "code_points.json", {"versions": VERSIONS, **{kind: " ".join(crcs) for kind, crcs in hashes.items()}})


if __name__ == "__main__":
    print(VERSIONS)
    blocks()
