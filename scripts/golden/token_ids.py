"""What Hugging Face `tokenizers` makes of every text of the GLUE files in ../shared, and of hard texts.

Only hashes of real texts are written. Run from the repository's root, with ../shared beside it:
    python scripts/golden/token_ids.py
It writes
  tests/golden/tokenizers/glue.json         hashes of ids, see `read_texts` for how files are read
  tests/golden/tokenizers/code_points.json  hashes over all code points: classes, lower case, NFD
  tests/cases/tokenizers/expected.json      ids of tests/cases/tokenizers/texts.json
  tests/cases/tokenizers/small/             small tokenizers (only where they are absent), made of this text
"""

import json
import zlib
from pathlib import Path

import numpy
import tokenizers
import transformers
from tokenizers import normalizers, pre_tokenizers, trainers

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
GOLDEN, CASES = ROOT / "tests/golden/tokenizers", ROOT / "tests/cases/tokenizers"
TEXTS_PER_HASH = 2000
FOLDERS = ["cola", "sst2", "mrpc", "stsb", "rte", "rte/official_layout_derived", "qnli", "qqp", "mnli"]
# File, columns of the pair, maximum lengths.
PAIRS = [("mrpc/train.tsv", 3, 4), ("mrpc/dev.tsv", 3, 4), ("mrpc/test.tsv", 3, 4), ("qnli/dev.tsv", 1, 2)]
MAX_LENGTHS = [5, 16, 32, 128]
VERSIONS = {"tokenizers": tokenizers.__version__, "transformers": transformers.__version__}


def update(crc, values):
    """CRC-32 (zlib) of int32 little-endian values, going on from `crc`."""
    return zlib.crc32(numpy.asarray(values, dtype="<i4").tobytes(), crc)


def fields(path):
    """The lines of a file, split at b"\\n" (a final empty one does not count), each split at b"\\t"."""
    lines = path.read_bytes().split(b"\n")
    return [line.split(b"\t") for line in (lines[:-1] if lines[-1] == b"" else lines)]


def read_texts(path):
    """All tab-separated fields of all lines; of JSON lines the strings premise and hypothesis. Fields that are
    not UTF-8 are left out and counted."""
    if path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_bytes().split(b"\n") if line]
        return [row[key] for row in rows for key in ("premise", "hypothesis")], 0
    texts, invalid = [], 0
    for field in (field for line in fields(path) for field in line):
        try:
            texts.append(field.decode("utf-8"))
        except UnicodeDecodeError:
            invalid += 1
    return texts, invalid


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=0, ensure_ascii=True) + "\n")
    print(path, path.stat().st_size, "bytes")


def shared_tokenizers():
    folder = SHARED / "tokenizers"
    bert, roberta, gpt2 = transformers.BertTokenizer, transformers.RobertaTokenizer, transformers.GPT2Tokenizer
    return {
        "bert_uncased": bert.from_pretrained(folder / "bert-base-uncased"),
        "bert_cased": bert.from_pretrained(folder / "bert-base-uncased", do_lower_case=False),
        "roberta": roberta.from_pretrained(folder / "roberta_DERIVED"),
        "gpt2": gpt2.from_pretrained(folder / "gpt2"),
    }


def small_tokenizers():
    """Tokenizers of a few hundred tokens, trained on this file's own text."""
    folder = CASES / "small"
    bert, roberta, gpt2 = transformers.BertTokenizer, transformers.RobertaTokenizer, transformers.GPT2Tokenizer
    if not folder.exists():
        text = Path(__file__).read_text().split("\n")
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        one = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
        one.normalizer, one.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        one.train_from_iterator(text, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special))
        vocab = sorted(one.get_vocab().items(), key=lambda item: item[1])
        (folder / "bert").mkdir(parents=True)
        (folder / "bert/vocab.txt").write_text("".join(token + "\n" for token, _ in vocab))
        for name, special in (("gpt2", []), ("roberta", ["<s>", "<pad>", "</s>", "<unk>"])):
            level = tokenizers.Tokenizer(tokenizers.models.BPE())
            level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
            level.train_from_iterator(text, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet))
            model = json.loads(level.to_str())["model"]
            vocab = dict(sorted(model["vocab"].items(), key=lambda item: item[1]))
            vocab["<mask>" if special else "<|endoftext|>"] = len(vocab)
            (folder / name).mkdir()
            (folder / name / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False, indent=0) + "\n")
            merges = "".join(f"{a} {b}\n" for a, b in model["merges"])
            (folder / name / "merges.txt").write_text("#version: 0.2\n" + merges)
    return {
        "small_bert": bert.from_pretrained(folder / "bert"),
        "small_roberta": roberta.from_pretrained(folder / "roberta"),
        "small_gpt2": gpt2.from_pretrained(folder / "gpt2"),
    }


def glue(named):
    files = {}
    paths = sorted(path for folder in FOLDERS for path in (SHARED / "data" / folder).iterdir()
                   if path.suffix in (".tsv", ".jsonl") or path.name.startswith("msr_"))
    for path in paths:
        texts, invalid = read_texts(path)
        entry = {"texts": len(texts), "invalid": invalid}
        for name, tokenizer in named.items():
            hashes = []
            for begin in range(0, len(texts), TEXTS_PER_HASH):
                crc = 0
                for one in tokenizer.backend_tokenizer.encode_batch(texts[begin:begin + TEXTS_PER_HASH], add_special_tokens=False):
                    crc = update(crc, one.ids + [-1])
                hashes.append(f"{crc:08x}")
            entry[name] = " ".join(hashes)
        files[str(path.relative_to(SHARED / "data"))] = entry
    pairs = []
    for file, first, second in PAIRS:
        rows = [row for row in fields(SHARED / "data" / file) if len(row) > second]
        rows = [(row[first].decode(), row[second].decode()) for row in rows]
        for max_length in MAX_LENGTHS:
            entry = {"file": file, "first": first, "second": second, "max_length": max_length, "rows": len(rows)}
            for name, tokenizer in named.items():
                made = tokenizer([a for a, _ in rows], [b for _, b in rows], truncation=True, max_length=max_length,
                                 return_token_type_ids=True)
                crc = 0
                for ids, segments in zip(made["input_ids"], made["token_type_ids"]):
                    crc = update(crc, ids + [-1] + segments + [-1])
                entry[name] = f"{crc:08x}"
            pairs.append(entry)
    write(GOLDEN / "glue.json", {"versions": VERSIONS, "texts_per_hash": TEXTS_PER_HASH, "files": files, "pairs": pairs})


def cases(named):
    expected = []
    for case in json.loads((CASES / "texts.json").read_text()):
        text = case["text"] * case.get("repeat", 1)
        entry = {}
        for name, tokenizer in named.items():
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            entry[name] = ids if len(ids) <= 64 else {"count": len(ids), "crc": f"{update(0, ids):08x}"}
        expected.append(entry)
    path = CASES / "expected.json"
    lines = ",\n".join(json.dumps(entry) for entry in expected)
    path.write_text(f'{{"versions": {json.dumps(VERSIONS)},\n"ids": [\n{lines}\n]}}\n')
    print(path, path.stat().st_size, "bytes")


def code_points():
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

    kinds = {"classes": classes, "lower": lambda c: lower(c).encode(),
             "nfd": lambda c: nfd(f"\u0302{c}\u0317\u0334").encode()}
    blocks = {kind: [] for kind in kinds}
    for begin in range(0, 0x110000, 0x1000):
        for kind, function in kinds.items():
            characters = (chr(c) for c in range(begin, begin + 0x1000) if not 0xD800 <= c < 0xE000)
            blocks[kind].append(f"{zlib.crc32(b''.join(map(function, characters))):08x}")
    write(GOLDEN / "code_points.json", {"versions": VERSIONS, **{kind: " ".join(hashes) for kind, hashes in blocks.items()}})


if __name__ == "__main__":
    print(VERSIONS)
    shared = shared_tokenizers()
    cases({**small_tokenizers(), **shared})
    code_points()
    glue(shared)
