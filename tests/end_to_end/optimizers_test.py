"""Every optimizer trains; those without gradients take the memory of evaluation."""

import array
import json
import math
import os
import random
import struct
import subprocess

import support
from gpt2 import gpt2_model, pairs, writing
from support import Case, bert_model, config, events, main, sentiment, write_json

RATES = {"adamw": 1e-2, "lora_rite": 1e-2, "lozo": 1e-4, "lozo_m": 1e-4, "zo_sgd": 1e-4, "zo_sgd_momentum": 1e-5,
         "zo_sgd_conserve": 1e-4, "zo_sgd_sign": 1e-4, "zo_adam": 1e-3, "forward_grad": 1e-4}
BY_GRADIENTS = {"adamw", "lora_rite"}


class Optimizers(Case):
    def setUp(self):
        super().setUp()
        self.model = bert_model(self.place / "model")
        self.data = sentiment(self.place / "data", train=64, dev=16)

    def test_every_optimizer_trains(self):
        known = json.loads(self.succeeds("describe", "optimizers", "--json").out)
        self.assertEqual({o["name"] for o in known}, set(RATES))
        for name, lr in RATES.items():
            with self.subTest(optimizer=name):
                run = self.train(name, config(self.model, self.data, optimizer={"name": name, "lr": lr},
                                              train={"epochs": 3, "accumulate": 2, "log_every_steps": 1}))
                told = events(run, "train")
                self.assertEqual(len(told), 6)
                for event in told:
                    self.assertTrue(math.isfinite(event["loss"]))
                    self.assertEqual("gradient_norm" in event, name in BY_GRADIENTS)
                self.assertEqual(json.loads((run / "result.json").read_text())["steps"], 6)
                evaluated = json.loads(self.succeeds("eval", "--checkpoint", run / "last", "--json").out)
                self.assertTrue(math.isfinite(evaluated["loss"]))

    def test_factors_of_unlike_ranks_are_moved(self):
        method = {"name": "mtlora", "rank": 4, "rank_pattern": {"**.layer.0.attention.self.value": 1, "value": 6}}
        for name in ("adamw", "lora_rite", "lozo", "lozo_m"):
            with self.subTest(optimizer=name):
                run = self.train(f"unlike-{name}", config(
                    self.model, self.data, adapter={"method": method}, optimizer={"name": name, "lr": RATES[name]},
                    train={"max_steps": 4, "log_every_steps": 1}))
                losses = [event["loss"] for event in events(run, "train")]
                self.assertEqual(len(losses), 4)
                self.assertTrue(all(math.isfinite(loss) for loss in losses))
                self.assertNotEqual(losses[0], losses[-1])

    def test_bench_measures_steps_without_gradients(self):
        file = write_json(self.place / "c.json", config(self.model, self.data, optimizer={"name": "zo_sgd", "lr": 1e-4}))
        told = json.loads(self.succeeds("bench", "--config", file, "--steps", 5, "--json").out)
        self.assertEqual(told["phases"]["backward"], 0)
        self.assertGreater(told["phases"]["forward"], 0)
        self.assertGreater(told["phases"]["update"], 0)

    def test_pairs_are_asked_for_before_anything_is_written(self):
        for method in ({"name": "bitfit"}, {"name": "full"}, {"name": "rm_lora"}, {"name": "deep_lora"}):
            file = write_json(self.place / "c.json", config(self.model, self.data, adapter={"method": method},
                                                            optimizer={"name": "lora_rite", "lr": 1e-3}))
            self.fails("train", "--config", file, "--out", self.place / "run", names=["lora_rite", "adamw", "pair"])
            self.assertFalse((self.place / "run").exists())

    def test_pairs_are_asked_for_in_every_layer(self):
        # one core over the parts of c_attn leaves them no pairs, and c_fc has one
        model, data = gpt2_model(self.place / "gpt2"), pairs(self.place / "words", ["sun", "moon"])
        for core in ("layer", "part"):
            with self.subTest(core=core):
                method = {"name": "mtlora", "rank": 2, "core": core}
                file = write_json(self.place / "c.json", writing(
                    model, data, "data_to_text", adapter={"targets": ["c_attn", "c_fc"], "method": method},
                    optimizer={"name": "lora_rite", "lr": 1e-3}, train={"max_steps": 2}))
                arguments = ["train", "--config", file, "--out", self.place / core]
                if core == "layer":
                    self.fails(*arguments, names=["lora_rite", "h.0.attn.c_attn", "core", "part", "adamw"])
                    self.assertFalse((self.place / core).exists())
                else:
                    self.succeeds(*arguments)

    def test_dropout_without_gradients_is_told_to_do_nothing(self):
        for name, dropout in (("zo_sgd", 0.1), ("forward_grad", 0.1), ("zo_sgd", 0.0), ("adamw", 0.1)):
            with self.subTest(optimizer=name, dropout=dropout):
                method = {"name": "lora", "dropout": dropout}
                file = write_json(self.place / "c.json", config(
                    self.model, self.data, adapter={"method": method}, optimizer={"name": name, "lr": 1e-5},
                    train={"max_steps": 1}))
                told = self.succeeds("train", "--config", file, "--out", self.place / f"{name}-{dropout}").err
                self.assertEqual("adapter.method.dropout 0.1 does nothing" in told,
                                 name != "adamw" and dropout > 0)

    def test_methods_that_need_gradients_are_refused_without(self):
        for method in ({"name": "adalora"}, {"name": "rm_lora"}):
            with self.subTest(method=method["name"]):
                file = write_json(self.place / "c.json", config(self.model, self.data, adapter={"method": method},
                                                                optimizer={"name": "zo_sgd", "lr": 1e-4}))
                names = ["/optimizer/name", "zo_sgd", method["name"], "gradients"]
                self.fails("train", "--config", file, "--out", self.place / "run", names=names)
                self.fails("bench", "--config", file, "--steps", 2, names=names)
                self.assertFalse((self.place / "run").exists())

    def test_adaloras_phases_are_refused_before_anything_is_written(self):
        method = {"name": "adalora", "init_steps": 2, "final_steps": 500}
        file = write_json(self.place / "c.json", config(self.model, self.data, adapter={"method": method}))
        self.fails("train", "--config", file, "--out", self.place / "run",
                   names=["/adapter/method", "init_steps (2)", "final_steps (500)"])
        self.assertFalse((self.place / "run").exists())

    def test_bad_steps_are_not_left_out_where_that_would_break_the_method(self):
        for changes, name in (({"optimizer": {"name": "zo_sgd", "lr": 1e-4}}, "zo_sgd"),
                              ({"adapter": {"method": {"name": "xgblora"}}}, "xgblora")):
            file = write_json(self.place / "c.json",
                              config(self.model, self.data, train={"skip_bad_steps": 2}, **changes))
            self.fails("train", "--config", file, "--out", self.place / "run", names=["/train/skip_bad_steps", name])
            self.assertFalse((self.place / "run").exists())


def write_safetensors(file, shapes):
    """Random fp32 tensors: one block of numbers over and over, small ones, and ones for the scales of norms."""
    choose = random.Random(1)
    block = array.array("f", (choose.gauss(0, 0.02) for _ in range(10007))).tobytes()
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with open(file, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes.items():
            size = 4 * math.prod(shape)
            content = array.array("f", [1.0] * (size // 4)).tobytes() if name.endswith("LayerNorm.weight") else \
                block * (size // len(block) + 1)
            out.write(content[:size])


def middling_bert(folder, width=512, layers=12, vocab=500):
    """A BERT of 38 million numbers; its words are the tiny one's."""
    bert_model(folder)
    vocabulary = (folder / "vocab.txt").read_text().split("\n")[:vocab]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    settings = json.loads((folder / "config.json").read_text())
    settings.update(hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 32,
                    intermediate_size=4 * width, vocab_size=vocab, max_position_embeddings=64)
    write_json(folder / "config.json", settings)
    shapes = {"bert.embeddings.word_embeddings.weight": [vocab, width],
              "bert.embeddings.position_embeddings.weight": [64, width],
              "bert.embeddings.token_type_embeddings.weight": [settings["type_vocab_size"], width],
              "bert.pooler.dense.weight": [width, width], "bert.pooler.dense.bias": [width]}
    norms = ["bert.embeddings.LayerNorm"]
    for i in range(layers):
        layer = f"bert.encoder.layer.{i}"
        for name, out, inside in (("attention.self.query", width, width), ("attention.self.key", width, width),
                                  ("attention.self.value", width, width), ("attention.output.dense", width, width),
                                  ("intermediate.dense", 4 * width, width), ("output.dense", width, 4 * width)):
            shapes |= {f"{layer}.{name}.weight": [out, inside], f"{layer}.{name}.bias": [out]}
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for norm in norms:
        shapes |= {f"{norm}.weight": [width], f"{norm}.bias": [width]}
    write_safetensors(folder / "model.safetensors", shapes)
    return sum(math.prod(shape) for shape in shapes.values()) * 4


class Memory(Case):
    def peak(self, *arguments):
        """The largest resident size of a run of the program, in bytes."""
        process = subprocess.Popen([support.PROGRAM, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        told = process.stderr.read().decode(errors="replace")
        process.stderr.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0, told)
        return usage.ru_maxrss * 1024

    def test_no_gradients_take_the_memory_of_evaluation(self):
        weights = middling_bert(self.place / "model")
        data = sentiment(self.place / "data", train=64, dev=32)
        peaks = {}
        for name, lr in (("adamw", 1e-5), ("zo_sgd", 1e-6), ("lozo", 1e-6)):
            file = write_json(self.place / f"{name}.json", config(
                self.place / "model", data, adapter={"method": {"name": "full"}}, optimizer={"name": name, "lr": lr},
                train={"max_steps": 3, "evaluation_batch_size": 16, "device": "cpu"}))
            peaks[name] = self.peak("train", "--config", file, "--out", self.place / name)
        peaks["eval"] = self.peak("eval", "--checkpoint", self.place / "zo_sgd" / "last")
        print({name: f"{peak / 2**20:.0f} MiB" for name, peak in peaks.items()}, f"weights {weights / 2**20:.0f} MiB")
        for name in ("zo_sgd", "lozo"):
            self.assertLess(peaks[name], 1.05 * peaks["eval"])
        # gradients and two moments, each as large as the weights
        self.assertGreater(peaks["adamw"], peaks["zo_sgd"] + 2.5 * weights)


if __name__ == "__main__":
    main()
