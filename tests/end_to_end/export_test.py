"""mtlora export: the merged model computes what the checkpoint does; PEFT's folder holds the same change."""

import json
import struct

from exported import PREFIX, ExportCase, matrices
from gpt2 import WIDTH, gpt2_model, pairs, writing
from support import bert_model, config, main, roberta_model, sentiment, write_json

# Of layers that are adapted in every run here.
PATTERNS = {"rank_pattern": {"**.layer.1.attention.self.query": 1, "query": 3}, "alpha_pattern": {"query": 5}}
GPT2_PATTERNS = {"rank_pattern": {"value": 3, "**.h.1.mlp.c_fc": 1}, "alpha_pattern": {"query": 5}}


class Export(ExportCase):
    METHODS = {"lora": {"name": "lora", "rank": 4, "alpha": 8, "rslora": True, "lr_ratio": 4},
               "mtlora": {"name": "mtlora", "structure": "ctcm", "rank": 3},
               "dora": {"name": "dora", "rank": 4, "alpha": 8},
               "lora-patterns": {"name": "lora", "rank": 4, "rslora": True, **PATTERNS},
               "mtlora-patterns": {"name": "mtlora", "rank": 4, **PATTERNS},
               "dora-patterns": {"name": "dora", "rank": 4, **PATTERNS},
               "mini": {"name": "lora_mini", "rank": 4, "a": 16, "b": 16},
               "lora-biases": {"name": "lora", "rank": 2, "bias": "lora_only"},
               "all-biases": {"name": "lora", "rank": 2, "bias": "all"},
               "hta": {"name": "hta", "rank": 2}, "adapter": {"name": "hta", "form": "adapter"},
               "bitfit": {"name": "bitfit"}}

    def prepare(self):
        model, data = bert_model(self.place / "model"), sentiment(self.place / "data", 64, 16)
        for name, method in self.METHODS.items():
            self.train(name, config(model, data, adapter={"method": method, "targets": ["query", "**.layer.0.output.dense"]},
                                    train={"max_steps": 8}))
        gpt2 = gpt2_model(self.place / "gpt2")
        (gpt2 / "generation_config.json").write_text('{"eos_token_id": [10, 258]}\n')
        words = pairs(self.place / "words", ["sun", "moon"])
        targets = {"targets": ["query", "value", "c_fc"]}
        for name, method in {"gpt2-lora": {"name": "lora", "rank": 2}, "gpt2-dora": {"name": "dora", "rank": 2},
                             "gpt2-mtlora": {"name": "mtlora", "rank": 2, "structure": "shim"},
                             "gpt2-lora-patterns": {"name": "lora", "rank": 2, **GPT2_PATTERNS},
                             "gpt2-dora-patterns": {"name": "dora", "rank": 2, **GPT2_PATTERNS},
                             "gpt2-mtlora-patterns": {"name": "mtlora", "rank": 2, **GPT2_PATTERNS}}.items():
            self.train(name, writing(gpt2, words, "data_to_text", adapter={**targets, "method": method},
                                     train={"max_steps": 4}))

    def test_the_merged_model_computes_what_the_checkpoint_does(self):
        texts = "a good film\nbad bad night\nthe plot was good and long\n"
        labels = {"task": {"name": "text", "data": str(self.place / "data"), "labels": ["bad", "good"]},
                  "train": {"dtype": "fp32", "max_length": 32}}
        file = write_json(self.place / "labels.json", labels)
        for run in self.METHODS:
            with self.subTest(run=run):
                def answers(*source):
                    out = self.succeeds("predict", *source, stdin=texts).out
                    return [json.loads(line)["probabilities"] for line in out.splitlines()]
                got = answers("--model", self.exported(run, "merged"), "--config", file)
                want = answers("--checkpoint", self.place / run / "best")
                self.assertEqual(len(got), 3)
                for a, b in zip(got, want):
                    self.assertAlmostEqual(a[0], b[0], delta=1e-5)

    def test_the_merged_model_says_what_it_is(self):
        settings = json.loads((self.exported("lora", "merged") / "config.json").read_text())
        self.assertEqual(settings["architectures"], ["BertForSequenceClassification"])
        alone = self.succeeds("predict", "--model", self.exported("lora", "merged"), "--set", "train.max_length=32",
                              stdin="a good film\n").out
        self.assertIn(json.loads(alone)["label"], ("bad", "good"))

    def test_how_texts_end_goes_with_the_merged_model(self):
        name = "generation_config.json"
        self.assertEqual((self.exported("gpt2-lora", "merged") / name).read_text(),
                         (self.place / "gpt2" / name).read_text())
        self.assertFalse((self.exported("lora", "merged") / name).exists())
        # no length was named: the model's own
        self.assertIn("label", self.succeeds("predict", "--model", self.exported("lora", "merged"), stdin="a film\n").out)
        self.assertIn("text", self.succeeds("generate", "--model", self.exported("gpt2-lora", "merged"), stdin="sun\n").out)
        kept = (self.place / "gpt2" / name).read_text()
        (self.place / "gpt2" / name).write_text('{"eos')
        self.fails("export", "--checkpoint", self.place / "gpt2-lora" / "best", "--format", "merged",
                   "--out", self.place / "passed-on", names=[name, "not valid JSON"])
        (self.place / "gpt2" / name).write_text(kept)
        self.assertFalse((self.place / "passed-on").exists())

    def test_a_folder_may_be_named_with_a_slash_at_its_end(self):
        result = self.succeeds("export", "--checkpoint", self.place / "lora" / "best", "--format", "peft", "--out",
                               f"{self.place / 'slash'}/")
        self.assertEqual(result.out, f"{self.place / 'slash'}\n")
        self.assertTrue((self.place / "slash" / "adapter_config.json").exists())

    def test_a_folder_may_be_named_from_behind_a_link(self):
        (self.place / "far" / "away").mkdir(parents=True)
        (self.place / "link").symlink_to("far/away")
        self.succeeds("export", "--checkpoint", self.place / "lora" / "best", "--format", "peft", "--out",
                      self.place / "link" / ".." / "behind")
        self.assertTrue((self.place / "far" / "behind" / "adapter_config.json").exists())

    def test_a_place_that_cannot_be_written_is_told_before_the_work(self):
        plain = self.place / "plain"
        plain.write_text("a file")
        (self.place / "dangling").symlink_to("nowhere")
        for out, why in ((plain / "model", "cannot be created"), ("/proc/q", "cannot be created"),
                         (self.place / ("x" * 300), "cannot be created"), (plain, "is already there"),
                         (self.place / "dangling", "is already there")):
            for form in ("merged", "peft"):
                with self.subTest(out=str(out)[:40], form=form):
                    result = self.fails("export", "--checkpoint", self.place / "lora" / "best", "--format", form,
                                        "--out", out, cwd=self.place, names=[out, why])
                    self.assertNotIn("the logits move", result.err)
        self.assertEqual(plain.read_text(), "a file")
        self.assertEqual(list(self.place.glob("*.partial")), [])
        self.fails("export", "--checkpoint", self.place / "lora" / "best", "--out", "", code=2, names=["--out", "names no folder"])

    def test_an_export_that_fails_leaves_no_folder_behind(self):
        out = self.place / "new" / "folders" / "model"
        self.fails("export", "--checkpoint", self.place / "nowhere", "--out", out, names=["nowhere"])
        self.fails("export", "--checkpoint", self.place / "hta" / "best", "--format", "peft", "--out", out)
        self.assertFalse((self.place / "new").exists())
        self.succeeds("export", "--checkpoint", self.place / "hta" / "best", "--out", out)
        self.assertEqual([p.name for p in out.parent.iterdir()], ["model"])

    def test_pefts_folder_holds_the_merged_change(self):
        for run in ("lora", "mtlora", "dora", "mini", "lora-biases", "lora-patterns", "mtlora-patterns", "dora-patterns"):
            with self.subTest(run=run):
                found = self.changes(run, "model")
                self.assertEqual(sorted(found), ["bert.encoder.layer.0.attention.self.query",
                                                 "bert.encoder.layer.0.output.dense",
                                                 "bert.encoder.layer.1.attention.self.query"])
                self.check_changes(found)

    def test_pefts_folder_holds_the_head_and_nothing_strange(self):
        merged = matrices(self.exported("lora", "merged") / "model.safetensors")
        folder = self.exported("lora", "peft")
        peft = matrices(folder / "adapter_model.safetensors")
        for name in ("classifier.weight", "classifier.bias"):
            self.assertEqual(peft[PREFIX + name], merged[name])
        self.assertEqual(len(peft), 2 + 3 * 2)
        settings = json.loads((folder / "adapter_config.json").read_text())
        wanted = {"peft_type": "LORA", "task_type": "SEQ_CLS", "base_model_name_or_path": str(self.place / "model"), "r": 4,
                  "lora_alpha": 16, "bias": "none", "modules_to_save": ["classifier"], "use_dora": False,
                  "fan_in_fan_out": False, "rank_pattern": {}, "alpha_pattern": {}}
        self.assertEqual({key: settings[key] for key in wanted}, wanted)
        self.assertTrue((folder / "vocab.txt").is_file())

    def test_peft_is_told_another_base_where_one_is_named(self):
        out = self.place / "based"
        arguments = ["export", "--checkpoint", self.place / "lora" / "best", "--base", "some/model", "--out", out]
        self.succeeds(*arguments, "--format", "peft")
        settings = json.loads((out / "adapter_config.json").read_text())
        self.assertEqual(settings["base_model_name_or_path"], "some/model")
        arguments[-1] = self.place / "merged-and-based"
        self.fails(*arguments, code=2, names=["--base is of --format peft"])
        self.assertFalse(arguments[-1].exists())

    def test_a_target_in_the_head_is_left_to_the_head(self):
        # RoBERTa's head has a "dense" too, which is trained whole
        model = roberta_model(self.place / "roberta")
        self.train("head", config(model, self.place / "data", train={"max_steps": 4},
                                  adapter={"targets": ["query", "dense"]}))
        folder = self.exported("head", "peft")
        settings = json.loads((folder / "adapter_config.json").read_text())
        self.assertEqual(settings["modules_to_save"], ["classifier"])
        self.assertEqual([m for m in settings["target_modules"] if "roberta.encoder" not in m], [])
        merged = matrices(self.exported("head", "merged") / "model.safetensors")
        peft = matrices(folder / "adapter_model.safetensors")
        self.assertEqual({name: value for name, value in peft.items() if "classifier" in name},
                         {PREFIX + name: value for name, value in merged.items() if "classifier" in name})
        self.check_changes(self.changes("head", "roberta"))

    def test_unlike_ranks_are_told_by_the_layers_paths(self):
        query = "bert.encoder.layer.{}.attention.self.query".format
        for run in ("lora-patterns", "mtlora-patterns", "dora-patterns"):
            with self.subTest(run=run):
                settings = json.loads((self.exported(run, "peft") / "adapter_config.json").read_text())
                self.assertEqual(settings["r"], 3)
                self.assertEqual(settings["rank_pattern"], {"bert.encoder.layer.0.output.dense": 4, query(1): 1})
                scale = settings["alpha_pattern"].get(query(1), settings["lora_alpha"])  # of rank 1
                self.assertAlmostEqual(scale, 5)

    def test_biases_are_pefts_biases(self):
        for run, kind in (("lora-biases", "lora_only"), ("all-biases", "all")):
            with self.subTest(run=run):
                merged = matrices(self.exported(run, "merged") / "model.safetensors")
                folder = self.exported(run, "peft")
                self.assertEqual(json.loads((folder / "adapter_config.json").read_text())["bias"], kind)
                biases = {name: value for name, value in matrices(folder / "adapter_model.safetensors").items()
                          if name.endswith(".bias") and "classifier" not in name}
                own = [name for name in merged if name.endswith(".bias") and not name.startswith("classifier")]
                self.assertEqual(len(biases), 3 if kind == "lora_only" else len(own))
                for name, value in biases.items():
                    for a, b in zip(value, merged[name.removeprefix(PREFIX).replace(".base_layer", "")]):
                        self.assertAlmostEqual(a, b, delta=1e-7)
                self.assertEqual(sum(".base_layer." in name for name in biases), 3)

    def test_gpt2s_parts_are_one_lora_of_all_their_ranks(self):
        plain, unlike = {2, 4}, {1, 2, 5}
        for run, ranks in {"gpt2-lora": plain, "gpt2-mtlora": plain, "gpt2-dora": plain, "gpt2-lora-patterns": unlike,
                           "gpt2-mtlora-patterns": unlike, "gpt2-dora-patterns": unlike}.items():
            with self.subTest(run=run):
                found = self.changes(run, "gpt2", stored_turned=True)
                self.assertEqual(len(found), 4)
                self.check_changes(found)
                for layer, (merged, _, before) in found.items():
                    if layer.endswith("c_attn"):
                        self.assertEqual(merged[WIDTH:2 * WIDTH], before[WIDTH:2 * WIDTH])  # the keys
                settings = json.loads((self.exported(run, "peft") / "adapter_config.json").read_text())
                self.assertEqual((settings["task_type"], settings["fan_in_fan_out"], settings["modules_to_save"]),
                                 ("CAUSAL_LM", True, None))
                self.assertEqual({settings["rank_pattern"].get(layer, settings["r"]) for layer in found}, ranks)

    def test_what_peft_cannot_hold_is_refused(self):
        for run, why in (("hta", "two thin matrices"), ("adapter", "two thin matrices"), ("bitfit", "a layer to adapt")):
            with self.subTest(run=run):
                out = self.place / f"refused.{run}"
                self.fails("export", "--checkpoint", self.place / run / "best", "--format", "peft", "--out", out,
                           names=[why, "--format merged"])
                self.assertFalse(out.exists())
        trained = config(self.place / "model", self.place / "data", train={"max_steps": 1},
                         adapter={"trainable": ["**.layer.0.attention.self.*.weight"]})
        run = self.train("beside", trained)
        self.fails("export", "--checkpoint", run / "best", "--format", "peft", "--out", self.place / "none",
                   names=["bert.encoder.layer.0.attention.self.query.weight", "frozen"])

    def test_other_trained_modules_are_saved_whole(self):
        trained = config(self.place / "model", self.place / "data", train={"max_steps": 4},
                         adapter={"trainable": ["bert.pooler.dense.weight", "**.embeddings.LayerNorm.*"]})
        run = self.train("modules", trained)
        merged = matrices(self.exported("modules", "merged") / "model.safetensors")
        peft = matrices(self.exported("modules", "peft") / "adapter_model.safetensors")
        settings = json.loads((self.exported("modules", "peft") / "adapter_config.json").read_text())
        self.assertEqual(settings["modules_to_save"], ["bert.embeddings.LayerNorm", "bert.pooler.dense", "classifier"])
        for module in settings["modules_to_save"]:
            for part in ("weight", "bias"):
                self.assertEqual(peft[f"{PREFIX}{module}.{part}"], merged[f"{module}.{part}"])

    def test_a_merged_model_that_is_not_the_trained_one_is_refused(self):
        # no user's number gets there; a broken file does
        run = self.train("broken", config(self.place / "model", self.place / "data", train={"max_steps": 1}))
        file = run / "best" / "adapter.safetensors"
        content = bytearray(file.read_bytes())
        content[-4:] = struct.pack("<f", float("nan"))
        file.write_bytes(content)
        self.fails("export", "--checkpoint", run / "best", "--out", self.place / "no",
                   names=["the merged model is not the trained one"])
        self.assertFalse((self.place / "no").exists())


if __name__ == "__main__":
    main()
