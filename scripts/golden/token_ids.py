"""What Hugging Face `tokenizers` makes of every text of the GLUE files in ../shared, and of hard texts.

Only hashes of real texts are written. Run from the repository's root, with ../shared beside it:
    python scripts/golden/token_ids.py
It writes
  tests/golden/tokenizers/glue.json         hashes of ids, see `read_texts` for how files are read
  tests/golden/tokenizers/random.json       hashes of the ids of texts drawn from `ALPHABET`, see `random_texts`
  tests/cases/tokenizers/expected.json      ids of tests/cases/tokenizers/texts.json
  tests/cases/tokenizers/small/             small tokenizers (only where they are absent), made of this text
"""

import io
import json
import tempfile
import types
import zlib
from pathlib import Path

import numpy
import sentencepiece
import tokenizers
import transformers
from tokenizers import normalizers, pre_tokenizers, trainers
from transformers import DebertaV2Tokenizer
from transformers.convert_slow_tokenizer import DebertaV2Converter

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
GOLDEN, CASES = ROOT / "tests/golden/tokenizers", ROOT / "tests/cases/tokenizers"
TEXTS_PER_HASH = 2000
FOLDERS = ["cola", "sst2", "mrpc", "stsb", "rte", "rte/official_layout_derived", "qnli", "qqp", "mnli"]
# File, columns of the pair, maximum lengths.
PAIRS = [("mrpc/train.tsv", 3, 4), ("mrpc/dev.tsv", 3, 4), ("mrpc/test.tsv", 3, 4), ("qnli/dev.tsv", 1, 2)]
MAX_LENGTHS = [5, 16, 32, 128]
PAIRS_AT_ONCE = 16  # what is cut off is kept in every combination: gigabytes for a few thousand
VERSIONS = {"tokenizers": tokenizers.__version__, "transformers": transformers.__version__}
# A SentencePiece model of ours maps these (keys and values in hexadecimal code points): full-width letters, a letter
# with a mark, capitals (of which a cluster may begin with one), odd spaces, a ligature, what goes away.
CHARACTER_RULES = {"FF21": "41", "FF46": "66", "65 301": "E9", "41": "61", "C9": "E9", "A0": "20", "3000": "20", "9": "20",
                   "A": "20", "D": "20", "FB01": "66 69", "200B": "", "1": "", "2026": "2E 2E 2E"}
SMALL_PIECES = {"pad_id": 0, "pad_piece": "[PAD]", "bos_id": 1, "bos_piece": "[CLS]", "eos_id": 2, "eos_piece": "[SEP]",
                "unk_id": 3, "unk_piece": "[UNK]", "control_symbols": ["<ctl>"], "user_defined_symbols": ["def"]}
OPTIONS = {"do_lower_case": True, "split_by_punct": True, "add_prefix_space": False}
ALPHABET = ["a", "e", "i", "t", "A", "I", "the", "ing", "def", "token", "1", "11", "7", " ", " ", " ", "  ", "\t", "\n", "\r",
            "\r\n", "\u00a0", "\u2003", "\u3000", "\u0085", "\u200b", "\u200c", "\u200d", "\ufe0f", "\u0301", "\u0327", "\u0323",
            "\u0345", "\u093c", "e\u0301", "\u00e9", "\u00c9", "\u00c5", "\u212b", "\u0130", "\u1e9e", "\u03a3", "\ufb01", "\ufb03", "\uff26",
            "\uff21", "\uac00", "\u1100", "\u1161", "\u11a8", "\u0915", "\u094d", "\u0937", "\u0b47", "\u0b3e", "\u2603", "\U0001f600",
            "\U0001f469", "\U0001f3fd", "\U0001f1e9", "\u00a9", "\u2581", "\u2581\u2581", "[MASK]", "[CLS]", "[UNK]", "<0x41>", "<ctl>", "<unk>",
            "<s>", ".", ",", "!", "'", "-", "\u2014", "\u2026", "\u300c", "\u0600", "\u0000", "\u0001", "\u007f", "\u4e2d", "\u8a9e", "\uf900",
            "\U00011935", "\U00011930", "\ufffd", "\u0149", "\u2126", "\u00bd", "\u3397", "\u32ff", "``", "''", "\u00b4", "\u1f71"]
RANDOM_TEXTS, LONGEST = 20000, 24


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
        "deberta": deberta(folder / "deberta-v3/spm.model", do_lower_case=False, vocab_type="spm"),
        "deberta_v4": deberta_v4(folder / "deberta-v3/spm.model"),
        "llama_first": llama(prepend_scheme="first", split=False),
        "llama_split": llama(prepend_scheme="always", split=True),
    }


def deberta(model, **config):
    """What transformers makes of a folder with spm.model and tokenizer_config.json."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "spm.model").write_bytes(model.read_bytes())
        (Path(folder) / "tokenizer_config.json").write_text(json.dumps(config))
        (Path(folder) / "config.json").write_text(json.dumps({"model_type": "deberta-v2"}))
        return transformers.AutoTokenizer.from_pretrained(folder)


def fast(tokenizer):
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def deberta_v4(model, byte_fallback=False):
    """What transformers 4 wrote to tokenizer.json: with the model's own character map, which 5 leaves out."""
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(model))
    slow = types.SimpleNamespace(vocab_file=str(model), split_by_punct=False, do_lower_case=False, add_prefix_space=True, legacy=True,
                                 convert_tokens_to_ids=pieces.piece_to_id)
    converter = DebertaV2Converter(slow)
    converter.handle_byte_fallback = byte_fallback
    tokenizer = converter.converted()
    tokenizer.add_special_tokens(["[MASK]"])
    return fast(tokenizer)


def llama(**metaspace):
    """The Llama of the shared weights with the pre-tokenizer that transformers' LlamaTokenizer gives it today."""
    json_ = json.loads((SHARED / "weights/stories260K/tokenizer.json").read_text())
    json_ |= {"normalizer": None, "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", **metaspace}}
    return fast(tokenizers.Tokenizer.from_str(json.dumps(json_)))


def small_sentencepiece(folder, text):
    """A unigram model like DeBERTa's, with a small character map; and as transformers saves it."""
    made = io.BytesIO()
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        rules.write("".join(f"{key}\t{value}\n" for key, value in CHARACTER_RULES.items()))
        rules.flush()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(text), model_writer=made, model_type="unigram", vocab_size=600, byte_fallback=True,
            character_coverage=1.0, normalization_rule_tsv=rules.name, minloglevel=2, **SMALL_PIECES)
    (folder / "deberta").mkdir(parents=True)
    (folder / "deberta/spm.model").write_bytes(made.getvalue())
    deberta(folder / "deberta/spm.model").save_pretrained(folder / "deberta_saved")
    saved = folder / "deberta_saved/tokenizer.json"
    saved.write_text(json.dumps(json.loads(saved.read_text()), ensure_ascii=False, separators=(",", ":")) + "\n")


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
    if not (folder / "deberta").exists():
        small_sentencepiece(folder, Path(__file__).read_text().split("\n"))
    model = folder / "deberta/spm.model"
    return {
        "small_deberta": deberta(model),
        "small_deberta_options": deberta(model, **OPTIONS),
        "small_deberta_saved": transformers.AutoTokenizer.from_pretrained(folder / "deberta_saved"),
        "small_deberta_v4": deberta_v4(model),
        "small_deberta_bytes": deberta_v4(model, byte_fallback=True),
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
                crc = 0
                for begin in range(0, len(rows), PAIRS_AT_ONCE):
                    some = rows[begin:begin + PAIRS_AT_ONCE]
                    made = tokenizer([a for a, _ in some], [b for _, b in some], truncation=True, max_length=max_length,
                                     return_token_type_ids=True)
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


def random_texts():
    """Pieces of the alphabet, drawn by a linear congruential generator (Knuth's MMIX)."""
    state = 1

    def draw(count):
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        return (state >> 33) % count

    return ["".join(ALPHABET[draw(len(ALPHABET))] for _ in range(draw(LONGEST))) for _ in range(RANDOM_TEXTS)]


def randoms(named):
    texts = random_texts()
    hashes = {}
    for name, tokenizer in named.items():
        if "deberta" not in name and "llama" not in name:
            continue
        crc = 0
        for one in tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False):
            crc = update(crc, one.ids + [-1])
        hashes[name] = f"{crc:08x}"
    characters = sum(map(len, texts))
    write(GOLDEN / "random.json", {"versions": VERSIONS, "texts": RANDOM_TEXTS, "longest": LONGEST, "characters": characters,
                                   "alphabet": ALPHABET, **hashes})


if __name__ == "__main__":
    print(VERSIONS)
    shared = shared_tokenizers()
    every = {**small_tokenizers(), **shared}
    cases(every)
    randoms(every)
    glue(shared)
