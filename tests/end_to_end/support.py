"""What the end-to-end tests share: a tiny model, tiny tasks, and running the program on them."""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = SOURCE / "tests" / "golden"
PROGRAM = None  # set by main()

FILLER = ("the a film story plot actor scene was is very quite that this with and of it one two new old "
          "long short day night house car").split()
KINDS = {"bad": "bad", "good": "good"}  # label: the word that tells it
LETTERS = [chr(c) for c in range(ord("a"), ord("z") + 1)]


# What equal runs have in equal bytes.
SAME = ("best/adapter.safetensors", "last/adapter.safetensors", "last/state.safetensors", "metrics.jsonl")


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __str__(self):
        return f"exit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


def mtlora(*arguments, cwd=None, stdin="", timeout=120, environment=None):
    """Runs the program to its end. stdin may be text or bytes."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run([PROGRAM, *map(str, arguments)], input=given, cwd=cwd, timeout=timeout,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env={**os.environ, **(environment or {})})
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace"))


def start(*arguments, hang_up=signal.SIG_DFL, **options):
    """Starts the program; its output is thrown away, and SIGHUP reaches it, unless something else is said."""
    nowhere = {name: subprocess.DEVNULL for name in ("stdin", "stdout", "stderr")}
    return subprocess.Popen([PROGRAM, *map(str, arguments)], **{**nowhere, **options},
                            preexec_fn=lambda: signal.signal(signal.SIGHUP, hang_up))


def conversation(*arguments, lines, timeout=60):
    """The answers of a command to lines of stdin, each of them read before the next line is given."""
    process = start(*arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    too_late = threading.Timer(timeout, process.kill)
    too_late.start()
    answers = []
    for line in lines:
        process.stdin.write(line + "\n")
        process.stdin.flush()
        answers.append(process.stdout.readline())
    rest, _ = process.communicate()
    too_late.cancel()
    return answers, rest, process.returncode


def bert_model(folder, golden="bert-tiny-wide"):
    """A Hugging Face folder: random weights, and a WordPiece vocabulary as large as its embeddings."""
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(GOLDEN / golden / name, folder / name)
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *("##" + c for c in LETTERS)]
    tokens += [word for word in [*KINDS.values(), *FILLER] if word not in tokens]
    tokens += [f"[unused{i}]" for i in range(size)]
    (folder / "vocab.txt").write_text("\n".join(tokens[:size]) + "\n")
    return folder


def roberta_model(folder):
    """The same with RoBERTa: byte-level pairs; a word is merged letter by letter, from its space on."""
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(GOLDEN / "roberta-tiny" / name, folder / name)
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    tokens, merges = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "Ġ", *LETTERS], []
    for word in KINDS.values():
        left = "Ġ"
        for letter in word:
            if left + letter not in tokens:
                merges.append(f"{left} {letter}")
                tokens.append(left + letter)
            left += letter
    tokens += [f"<unused{i}>" for i in range(size - len(tokens))]
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    return folder


def sentence(word, choose):
    words = [choose.choice(FILLER) for _ in range(choose.randint(1, 4))]
    for _ in range(2):
        words.insert(choose.randint(0, len(words)), word)
    return " ".join(words)


def write_table(file, header, rows):
    lines = ["\t".join(header), *("\t".join(map(str, row)) for row in rows)]
    file.write_text("\n".join(lines) + "\n")


def sentiment(folder, train=192, dev=64, kinds=None, seed=1):
    """train.tsv, dev.tsv, and test.tsv without labels: which word does a sentence hold?"""
    choose = random.Random(seed)
    kinds = kinds or KINDS
    folder.mkdir(parents=True)

    def rows(count):
        labels = [sorted(kinds)[i % len(kinds)] for i in range(count)]
        return [(sentence(kinds[label], choose), label) for label in labels]

    write_table(folder / "train.tsv", ["text", "label"], rows(train))
    write_table(folder / "dev.tsv", ["text", "label"], rows(dev))
    write_table(folder / "test.tsv", ["text"], [(text,) for text, _ in rows(16)])
    return folder


def config(model, data, /, **changes):
    """A configuration that learns `sentiment` in a second; changes are laid over its sections."""
    base = {
        "task": {"name": "text", "data": str(data)},
        "model": {"path": str(model)},
        "adapter": {"targets": ["query", "value"], "method": {"name": "lora", "rank": 4, "alpha": 8}},
        "optimizer": {"name": "adamw", "lr": 1e-2},
        "train": {"epochs": 6, "batch_size": 16, "max_length": 32, "seed": 3, "threads": 2,
                  "dtype": "fp32", "log_every_steps": 4},
    }
    for section, values in changes.items():
        base[section] = {**base.get(section, {}), **values}
    return base


def write_json(file, value):
    file.write_text(json.dumps(value))
    return file


def read_safetensors(file):
    """{name: (dtype, shape, bytes)} and the metadata."""
    content = pathlib.Path(file).read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:begin])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, info in header.items():
        first, last = info["data_offsets"]
        assert begin + last <= len(content), f"{file}: {name} ends behind the file"
        tensors[name] = (info["dtype"], info["shape"], content[begin + first:begin + last])
    return tensors, metadata


def write_safetensors(file, tensors):
    """What read_safetensors reads, without metadata."""
    header, begin = {}, 0
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, begin + len(content)]}
        begin += len(content)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(t[2] for t in tensors.values()))


def events(run, kind=None):
    """The events of a run's metrics.jsonl, of one kind if named."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [e for e in map(json.loads, lines) if kind in (None, e["event"])]


def snapshot(folder):
    """{path: bytes} of all files under a folder, and the folders."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
            for p in sorted(folder.rglob("*"))}


def temporary_folder(add_cleanup):
    place = tempfile.TemporaryDirectory(prefix="mtlora-")
    add_cleanup(place.cleanup)
    return pathlib.Path(place.name)


class Case(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self):
        self.place = temporary_folder(self.addCleanup)

    def succeeds(self, *arguments, **options):
        result = mtlora(*arguments, **options)
        self.assertEqual(result.code, 0, f"{arguments}\n{result}")
        return result

    def fails(self, *arguments, names=(), code=1, **options):
        """Ends with `code` and one message on stderr that holds every one of `names`."""
        result = mtlora(*arguments, **options)
        told = f"{arguments}\n{result}"
        self.assertEqual(result.code, code, told)
        if code == 1:
            self.assertEqual(result.err.count("error: "), 1, told)
            for inside in ("something went wrong inside", "Exception raised", "frame #", "c10::",
                           "terminate called", "LOG ERROR", "[json.exception",
                           "\ufffd"):
                self.assertNotIn(inside, result.err, told)
        for name in names:
            self.assertIn(str(name), result.err, told)
        return result

    def train(self, folder, configuration, *arguments, **options):
        """Trains into place/folder; returns that folder."""
        file = write_json(self.place / f"{folder}.json", configuration)
        out = self.place / folder
        self.succeeds("train", "--config", file, "--out", out, *arguments, **options)
        return out


class SharedCase(Case):
    """Tests that only read what `prepare`, called once, makes in their folder."""

    def setUp(self):
        cls = type(self)
        if "shared" in vars(cls):
            self.place = cls.shared
            return
        cls.shared = self.place = temporary_folder(cls.addClassCleanup)
        self.prepare()


class TrainedCase(SharedCase):
    """Tests of one run, which is trained once."""

    def setUp(self):
        super().setUp()
        self.model, self.data, self.run_folder = (self.place / name for name in ("model", "data", "run"))

    def prepare(self):
        bert_model(self.place / "model")
        sentiment(self.place / "data")
        (self.place / "elsewhere").mkdir()
        # relative paths, as a user writes them
        self.train("run", config("model", "data"), cwd=self.place)


def main():
    """The first argument is the program; the others are unittest's."""
    global PROGRAM
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} PATH_OF_MTLORA [unittest's arguments]")
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    unittest.main()
