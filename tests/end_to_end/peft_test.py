"""Adapters that PEFT has saved: what they compute here is what PEFT computes with them."""

import json
import math
import shutil

from exported import PREFIX, matrices
from gpt2 import gpt2_model, pairs, writing
from support import (GOLDEN, SharedCase, bert_model, config, main, read_safetensors, roberta_model, sentiment,
                     write_json, write_safetensors)

FOLDERS = GOLDEN / "peft"
TEXTS = ["a good film", "bad bad night", "the plot was good and long"]  # of the goldens
LETTERS = "<|endoftext|>", "Ġ", "Ċ", *(chr(c) for c in range(33, 126))  # the 96 tokens of the tiny language models


def language_model(folder, golden):
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(GOLDEN / golden / name, folder / name)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(LETTERS)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder


def softmax(row):
    weights = [math.exp(x - max(row)) for x in row]
    return [w / sum(weights) for w in weights]


class Peft(SharedCase):
    def prepare(self):
        bert_model(self.place / "bert")
        roberta_model(self.place / "roberta")
        language_model(self.place / "gpt2", "gpt2-tiny")
        language_model(self.place / "llama", "llama-tiny")
        sentiment(self.place / "data", 64, 16)
        pairs(self.place / "words", ["sun", "moon"])

    def base(self, case):
        return f"model.path={self.place / case.split('-')[0]}"

    def changed(self, case, name, **values):
        """A copy of a golden's folder, with other values in its adapter_config.json."""
        folder = self.place / name
        shutil.copytree(FOLDERS / case, folder)
        self.change(folder, **values)
        return folder

    def change(self, folder, **values):
        file = folder / "adapter_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))

    def probabilities(self, *source):
        out = self.succeeds("predict", *source, stdin="\n".join(TEXTS) + "\n").out
        return [json.loads(line)["probabilities"] for line in out.splitlines()]

    def check_probabilities(self, got, want, delta):
        self.assertEqual(len(got), len(want))
        for a, b in zip(got, want):
            self.assertEqual(len(a), len(b))
            for x, y in zip(a, b):
                self.assertAlmostEqual(x, y, delta=delta)

    def test_an_encoders_adapter_computes_what_it_does_in_peft(self):
        for case in ("bert-rslora", "bert-all-biases", "bert-dora", "roberta-lora", "roberta-all-biases"):
            with self.subTest(case=case):
                want = [softmax(row) for row in matrices(FOLDERS / case / "expected.safetensors")["logits"]]
                exact = "--set", "train.dtype=fp32"
                got = self.probabilities("--checkpoint", FOLDERS / case, "--set", self.base(case), *exact)
                self.check_probabilities(got, want, 1e-5)
                merged = self.place / f"{case}.merged"
                self.succeeds("export", "--checkpoint", FOLDERS / case, "--set", self.base(case), "--out", merged)
                self.check_probabilities(self.probabilities("--model", merged, *exact), want, 1e-5)

    def test_a_decoders_adapter_changes_the_weights_as_in_peft(self):
        for case in ("gpt2-lora", "gpt2-dora", "llama-lora"):
            with self.subTest(case=case):
                out = self.place / f"{case}.merged"
                self.succeeds("export", "--checkpoint", FOLDERS / case, "--set", self.base(case), "--out", out)
                got = matrices(out / "model.safetensors")
                want = matrices(FOLDERS / case / "expected.safetensors")
                before = matrices(self.place / case.split("-")[0] / "model.safetensors")
                self.assertGreater(len(want), 7)
                for name, rows in got.items():
                    if name not in want:
                        self.assertEqual(rows, before[name], name)
                for name, rows in want.items():
                    for a, b in zip(got[name][::4], rows, strict=True):
                        for x, y in zip(*(((v,) if isinstance(v, float) else v) for v in (a, b)), strict=True):
                            self.assertAlmostEqual(x, y, delta=2e-6, msg=name)

    def test_without_a_task_the_labels_are_numbered_and_with_one_they_are_the_tasks(self):
        source = "--checkpoint", FOLDERS / "bert-dora", "--set", self.base("bert-dora")
        line = json.loads(self.succeeds("predict", *source, stdin=TEXTS[0] + "\n").out)
        self.assertEqual(line["label"], f"LABEL_{line['probabilities'].index(max(line['probabilities']))}")
        named = json.loads(self.succeeds("predict", *source, "--set", 'task.labels=["a", "b", "c", "d"]',
                                         stdin=TEXTS[0] + "\n").out)
        self.assertEqual(named, {**line, "label": "abcd"[int(line["label"][-1])]})
        self.fails("predict", *source, "--set", 'task.labels=["a", "b"]', stdin=TEXTS[0] + "\n",
                   names=["bert-dora", "4 outputs", "needs 2"])

    def test_a_config_names_the_task_and_the_base(self):
        # a head that the base has brought stays, its own labels put in the task's order
        folder = self.without(FOLDERS / "roberta-lora", "headless", "classifier")
        self.change(folder, modules_to_save=None)
        file = roberta_model(self.place / "named") / "config.json"
        labels = {"id2label": {"0": "good", "1": "bad"}, "label2id": {"good": 0, "bad": 1}}
        file.write_text(json.dumps({**json.loads(file.read_text()), **labels}))
        task = write_json(self.place / "task.json", config(self.place / "named", self.place / "data", train={"dtype": "fp32"}))
        told = json.loads(self.succeeds("eval", "--checkpoint", folder, "--config", task, "--json").out)
        self.assertEqual(told["examples"], 16)
        got = self.probabilities("--checkpoint", folder, "--config", task)
        own = self.probabilities("--checkpoint", folder, "--set", self.base("roberta-lora"), "--set", "train.dtype=fp32")
        self.check_probabilities(got, [row[::-1] for row in own], 1e-6)

    def without(self, source, name, *left_out):
        """A copy without the tensors whose names hold one of some words."""
        folder = self.place / name
        shutil.copytree(source, folder)
        file = folder / "adapter_model.safetensors"
        write_safetensors(file, {n: t for n, t in read_safetensors(file)[0].items() if not any(w in n for w in left_out)})
        return folder

    def test_a_run_starts_from_it_and_trains_what_it_holds(self):
        method = {"name": "lora", "rank": 4, "alpha": 4}
        adapter = {"targets": ["key", "dense"], "method": method, "start_from": str(FOLDERS / "roberta-lora")}
        # with a learning rate of 0 what is saved is what it started from
        still = config(self.place / "roberta", self.place / "data", adapter=adapter, optimizer={"lr": 0.0}, train={"max_steps": 1})
        got = matrices(self.train("still", still) / "last" / "adapter.safetensors")
        want = matrices(FOLDERS / "roberta-lora" / "adapter_model.safetensors")
        of_layers = {name: value for name, value in got.items() if "classifier" not in name}
        self.assertEqual(of_layers, {name.removeprefix(PREFIX).removesuffix(".weight"): value
                                     for name, value in want.items() if "classifier" not in name})
        self.assertNotEqual(got["classifier.out_proj.weight"], want[PREFIX + "classifier.out_proj.weight"])

    def test_a_run_of_another_adapter_does_not_start_from_it(self):
        def refused(names, targets=("key", "dense"), **method):
            adapter = {"targets": list(targets), "method": method, "start_from": str(FOLDERS / "roberta-lora")}
            file = write_json(self.place / "refused.json", config(self.place / "roberta", self.place / "data", adapter=adapter))
            self.fails("train", "--config", file, "--out", self.place / "refused", names=["roberta-lora", *names])
            self.assertFalse((self.place / "refused").exists())
        refused(["alpha", "lora_alpha 4"], name="lora", rank=4, alpha=8)
        refused(["shape [4, 64], wanted [2, 64]"], name="lora", rank=2, alpha=4)
        refused(["self.key.C", "missing"], name="mtlora", rank=4, alpha=4)
        refused(["lora_magnitude_vector", "missing"], name="dora", rank=4, alpha=4)
        refused(["self.key.lora_A", "not expected"], ["dense"], name="lora", rank=4, alpha=4)

    def test_what_export_writes_is_read_back(self):
        methods = {"lora": {"name": "lora", "rank": 2, "bias": "lora_only"}, "mtlora": {"name": "mtlora", "rank": 3},
                   "dora": {"name": "dora", "rank": 2, "rank_pattern": {"value": 3}}}
        task = {"task": {"name": "text", "labels": ["bad", "good"]}, "train": {"dtype": "fp32"}}
        file = write_json(self.place / "labels.json", task)
        for name, method in methods.items():
            with self.subTest(method=name):
                run = self.train(name, config(self.place / "bert", self.place / "data", train={"max_steps": 8},
                                              adapter={"method": method}))
                folder = self.place / f"{name}.peft"
                self.succeeds("export", "--checkpoint", run / "best", "--format", "peft", "--out", folder)
                got = self.probabilities("--checkpoint", folder, "--config", file)  # the folder names its base
                want = self.probabilities("--checkpoint", run / "best", "--set", "train.dtype=fp32")
                self.check_probabilities(got, want, 1e-6)

    def test_a_text_is_written_with_it(self):
        model = gpt2_model(self.place / "writer")
        run = self.train("writing", writing(model, self.place / "words", "data_to_text", train={"max_steps": 4},
                                            adapter={"targets": ["query", "c_fc"], "method": {"name": "lora", "rank": 2}}))
        folder = self.place / "writing.peft"
        self.succeeds("export", "--checkpoint", run / "best", "--format", "peft", "--out", folder)
        options = "--set", "generate.beams=2", "--set", "generate.max_new_tokens=8", "--set", "generate.separator=true"
        texts = [self.succeeds("generate", "--checkpoint", source, *options, stdin="what : sun\n").out
                 for source in (run / "best", folder)]
        self.assertEqual(json.loads(texts[0]), json.loads(texts[1]))

    def test_inspect_shows_it(self):
        told = json.loads(self.succeeds("inspect", FOLDERS / "bert-dora", "--json").out)
        self.assertEqual((told["kind"], told["config"]["r"], len(told["tensors"])), ("PEFT adapter", 3, 20))
        self.assertIn("PEFT adapter", self.succeeds("inspect", FOLDERS / "bert-dora").out)

    def test_what_would_compute_something_else_is_refused(self):
        wrong = {
            "other": ({"peft_type": "IA3"}, ["peft_type", "IA3"]),
            "pissa": ({"init_lora_weights": "pissa_niter_4"}, ["pissa_niter_4", "convert"]),
            "unknown": ({"lora_bias": True}, ["lora_bias", "true"]),
            "rank": ({"r": 5}, ["has rank 4", "says 5"]),
            "rank-pattern": ({"rank_pattern": {"key": 3}}, ["self.key", "has rank 4", "says 3"]),
            "task": ({"task_type": "TOKEN_CLS"}, ["TOKEN_CLS", "SEQ_CLS"]),
            "regex": ({"alpha_pattern": {"(key": 3}}, ["alpha_pattern", "(key", "no regular expression"]),
            "type": ({"use_dora": "yes"}, ["use_dora", "true or false", "yes"]),
            "number": ({"lora_alpha": "8"}, ["lora_alpha", "a number"]),
            "bias": ({"bias": "some"}, ["bias", "lora_only"]),
            "dora": ({"use_dora": True}, ["lora_magnitude_vector", "missing"]),
            "start": ({"init_lora_weights": 5}, ["init_lora_weights", "true, false or a name"]),
            "alpha": ({"lora_alpha": 0}, ["alpha", "above 0"]),
            "python": ({"alpha_pattern": {"key\\Z": 64}}, ["alpha_pattern", "key\\Z", "as Python reads it"]),
            "class": ({"alpha_pattern": {"[]a-z]+key": 64}}, ["alpha_pattern", "[]a-z]+key"]),
            "long": ({"alpha_pattern": {"x" * 100000: 64}}, ["alpha_pattern", "no regular expression"]),
            "targets": ({"target_modules": ["key"]}, ["output.dense", "leaves it out"]),
            "target": ({"target_modules": r".*\.(key|output\.dense)"}, ["intermediate.dense", "leaves it out"]),
            "excluded": ({"exclude_modules": ["key"]}, ["self.key", "leaves it out"]),
            "layers": ({"layers_to_transform": [0]}, ["layer.1.attention.self.key", "leaves it out"]),
            "target-type": ({"target_modules": 7}, ["target_modules", "a list of strings"]),
            "saved": ({"modules_to_save": ["classifier", "embeddings"]}, ["embeddings", "none of its tensors"]),
            "saved-type": ({"modules_to_save": 7}, ["modules_to_save", "a list of strings"]),
        }
        for name, (values, names) in wrong.items():
            with self.subTest(wrong=name):
                folder = self.changed("roberta-lora", f"wrong-{name}", **values)
                self.fails("predict", "--checkpoint", folder, "--set", self.base("roberta-lora"), stdin="a\n",
                           names=[folder, *names])

    def test_what_is_missing_or_of_another_model_is_told(self):
        def refused(folder, names, *more, code=1):
            self.fails("predict", "--checkpoint", folder, *more, stdin="a\n", names=[*names], code=code)
        own = "--set", self.base("roberta-lora")
        refused(FOLDERS / "roberta-lora", ["roberta-tiny", "no folder here", "--set model.path=DIR"])
        refused(FOLDERS / "roberta-lora", ["leave it out"], *own, "--set", "adapter.method.rank=2", code=2)
        refused(FOLDERS / "roberta-lora", ["does not go with", "roberta.encoder.layer.0.attention.self.key", "out_proj.bias"],
                "--set", self.base("bert"))
        refused(FOLDERS / "gpt2-lora", ["does not go with", "c_attn"], "--set", self.base("bert"))
        refused(self.without(FOLDERS / "roberta-lora", "no-b", "layer.1.attention.self.key.lora_B"),
                ["layer.1.attention.self.key", "do not go together"], *own)
        refused(self.without(FOLDERS / "roberta-lora", "half-head", "out_proj.bias"), ["classifier.out_proj.bias: missing"], *own)
        bare = self.place / "bare"  # a base without a head, and an adapter with half of one, as PEFT's of DeBERTa
        shutil.copytree(self.place / "roberta", bare)
        weights = read_safetensors(bare / "model.safetensors")[0]
        write_safetensors(bare / "model.safetensors", {n: t for n, t in weights.items() if not n.startswith("classifier.")})
        refused(self.without(FOLDERS / "roberta-lora", "no-dense", "classifier.dense"),
                ["classifier.dense.weight, classifier.dense.bias", "nor does its base model", 'modules_to_save ["classifier"]'],
                "--set", f"model.path={bare}")
        folder = self.changed("roberta-lora", "empty")
        (folder / "adapter_model.safetensors").unlink()
        refused(folder, ["empty", "adapter_model.safetensors"], *own)
        (folder / "adapter_config.json").write_text('{"peft_type')
        refused(folder, ["adapter_config.json", "not valid JSON"], *own)
        self.fails("predict", "--model", FOLDERS / "roberta-lora", stdin="a\n", names=["PEFT", "--checkpoint"])
        (self.place / "above").mkdir()
        shutil.copytree(FOLDERS / "roberta-lora", self.place / "above" / "mine")
        refused(self.place / "above", [self.place / "above" / "mine"], *own)

    def adding(self, source, name, **tensors):
        """A copy with further tensors of PEFT's names."""
        folder = self.place / name
        shutil.copytree(FOLDERS / source, folder)
        file = folder / "adapter_model.safetensors"
        write_safetensors(file, {**read_safetensors(file)[0], **{PREFIX + n: t for n, t in tensors.items()}})
        return folder

    def test_tensors_that_peft_would_put_elsewhere_are_refused(self):
        def refused(folder, base, *names):
            self.fails("export", "--checkpoint", folder, "--set", f"model.path={self.place / base}", "--out", self.place / "no",
                       names=[folder, *names])
        table = read_safetensors(self.place / "gpt2" / "model.safetensors")[0]["transformer.wte.weight"]
        query = read_safetensors(self.place / "roberta" / "model.safetensors")[0]["roberta.encoder.layer.0.attention.self.query.weight"]
        embeddings = self.adding("gpt2-lora", "tied", **{"transformer.wte.weight": table})
        refused(embeddings, "gpt2", "transformer.wte.weight", "output embedding as well")
        head = self.adding("gpt2-lora", "own-head", **{"lm_head.weight": table})
        refused(head, "gpt2", "lm_head.weight", "none of its own")
        refused(self.adding("roberta-lora", "alone", **{"roberta.encoder.layer.0.attention.self.query.weight": query}),
                "roberta", "query.weight", "was trained whole without", "key.weight")
        refused(self.adding("roberta-lora", "on-head", **{"classifier.dense.lora_A.weight": ("F32", [4, 64], bytes(1024)),
                                                          "classifier.dense.lora_B.weight": ("F32", [64, 4], bytes(1024))}),
                "roberta", "classifier.dense", "belongs to the head")
        refused(self.adding("gpt2-lora", "more", **{"foo": table}), "gpt2", "foo: the model has no such tensor")
        # a run that starts from it would drop the head that was trained
        adapter = {"targets": ["c_attn", "c_fc"], "method": {"name": "lora", "rank": 4, "alpha": 8, "rank_pattern": {"c_fc": 2}},
                   "trainable": ["transformer.ln_f.*", "transformer.h.1.mlp.c_proj.*"], "start_from": str(head)}
        file = write_json(self.place / "from.json", writing(self.place / "gpt2", self.place / "words", "data_to_text",
                                                            train={"max_length": 32}, generate={"max_new_tokens": 4},
                                                            adapter=adapter))
        self.fails("train", "--config", file, "--out", self.place / "from", names=["lm_head.weight", "none of its own"])

    def test_buffers_among_all_biases_are_left_out(self):
        buffer = {"transformer.h.0.attn.bias": ("F32", [1], bytes(4))}
        got, want = self.place / "buffer.merged", self.place / "plain.merged"
        for folder, out in ((self.adding("gpt2-dora", "buffer", **buffer), got), (FOLDERS / "gpt2-dora", want)):
            self.succeeds("export", "--checkpoint", folder, "--set", self.base("gpt2"), "--out", out)
        self.assertEqual((got / "model.safetensors").read_bytes(), (want / "model.safetensors").read_bytes())

    def test_biases_that_a_model_has_not_are_none(self):
        for bias in ("all", "lora_only"):
            out = self.place / f"llama.{bias}"
            self.succeeds("export", "--checkpoint", self.changed("llama-lora", f"llama-{bias}", bias=bias), "--set",
                          self.base("llama"), "--out", out)

    def test_labels_in_another_order_than_the_models_are_told(self):
        file = bert_model(self.place / "labelled") / "config.json"
        labels = {"id2label": {"0": "a", "1": "b", "2": "c"}, "label2id": {"a": 0, "b": 1, "c": 2}}
        file.write_text(json.dumps({**json.loads(file.read_text()), **labels}))
        source = "--checkpoint", FOLDERS / "bert-all-biases", "--set", f"model.path={file.parent}"
        self.assertNotIn("order", self.succeeds("predict", *source, stdin="a\n").err)
        told = self.succeeds("predict", *source, "--set", 'task.labels=["b", "a", "c"]', stdin="a\n")
        self.assertIn("trained in the task's order", told.err)


if __name__ == "__main__":
    main()
