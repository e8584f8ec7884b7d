"""Tasks of writing texts: a tiny GPT-2 learns every layout of them, and its texts are scored when it has learned."""

import json
import os
import random
import shutil
import signal
import time

from gpt2 import SAMPLES, gpt2_model, pairs, writing
from support import Case, SharedCase, events, main, start, write_json

LAYOUTS = {"webnlg": "webnlg", "webnlg_lora": "webnlg", "dart": "dart", "dart_lora": "dart", "e2e": "e2e",
           "e2e_csv": "e2e", "data_to_text": "data_to_text"}  # folder: task
METHODS = ({"name": "lora", "rank": 4, "alpha": 8}, {"name": "mtlora", "structure": "icfm", "rank": 4, "alpha": 8})


class Layouts(SharedCase):
    def prepare(self):
        gpt2_model(self.place / "model")

    def check(self, folder, task, method):
        name = f"{folder}-{method['name']}"
        adapter = {"targets": ["c_attn"], "method": method}
        run = self.train(name, writing(self.place / "model", SAMPLES / folder, task, adapter=adapter))
        result = json.loads((run / "result.json").read_text())
        out = self.succeeds("eval", "--checkpoint", run / "best", "--split", "test", "--json").out
        self.assertEqual(json.loads(out), result["test"])
        lines = (run / "test.outputs.txt").read_text().split("\n")
        self.assertEqual(lines.pop(), "")
        self.assertEqual(len(lines), result["test"]["examples"] + result["test"]["without_references"])
        self.assertLessEqual({"bleu", "meteor", "nist", "rouge_l", "cider", "chrf", "ter"}, set(result["test"]["metrics"]))
        return result["test"]

    def test_every_layout_trains_and_is_scored_with_every_method(self):
        self.assertEqual(len([p for p in LAYOUTS if (SAMPLES / p).is_dir()]), 7)
        for folder, task in LAYOUTS.items():
            for method in METHODS[:2 if folder == task else 1]:  # every folder with the first, every task with both
                with self.subTest(sample=folder, method=method["name"]):
                    test = self.check(folder, task, method)
                    self.assertEqual(test["examples"], 2 if task in ("e2e", "data_to_text") else 3)
                    self.assertEqual(test["without_references"], int(folder in ("dart_lora", "data_to_text")))
                    self.assertEqual({"seen", "unseen"} <= set(test["metrics"]), task == "webnlg")

    def test_score_gives_the_same_for_the_texts_of_a_run(self):
        run = self.train("scored", writing(self.place / "model", SAMPLES / "e2e_csv", "e2e"))
        references = SAMPLES / "e2e_csv" / "testset_w_refs.csv"
        out = self.succeeds("score", "--task", "e2e", "--hypotheses", run / "test.outputs.txt", "--references", references,
                            "--json").out
        wanted = json.loads((run / "result.json").read_text())["test"]["metrics"]
        for metric, score in json.loads(out).items():
            if metric != "corpus":
                self.assertEqual(score["score"], wanted[metric], metric)

    def test_a_context_that_leaves_no_room_is_refused(self):
        settings = writing(self.place / "model", SAMPLES / "e2e", "e2e", train={"max_length": 30})
        file = write_json(self.place / "short.json", settings)
        self.fails("train", "--config", file, "--out", self.place / "short",
                   names=["train: 4 of 4 examples", "train.txt:1: ", "train.txt:4: ", "30 tokens", "train.max_length", "name : "])
        data = pairs(self.place / "long", ["red"])
        rows = [{"prompt": prompt, "completion": "it is red."} for prompt in ("what : red", "x" + "é" * 60)]
        (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        file = write_json(self.place / "long.json", writing(self.place / "model", data, "data_to_text", train={"max_length": 30}))
        self.fails("train", "--config", file, "--out", self.place / "short",
                   names=["train: 1 of 2 examples", "train.max_length", "train.max_overlong 1", f"{data / 'train.jsonl'}:2: ",
                          "context of 122 tokens", "30 tokens", f'"x{"é" * 59}…"'])
        self.assertFalse((self.place / "short").exists())

    def test_contexts_that_leave_no_room_may_be_left_out(self):
        rows = [{"prompt": prompt, "completion": "it is red."} for prompt in ("what : red", "x" * 60, "which : red")]
        shorter = [row for row in rows if len(row["prompt"]) < 60]
        runs = []
        for name, of_run in (("all", rows), ("some", shorter)):
            data = pairs(self.place / f"{name}-data", ["red"])
            (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in of_run))
            settings = writing(self.place / "model", data, "data_to_text", train={"max_length": 30, "max_overlong": 1})
            runs.append(self.train(name, settings))
        self.assertIn("all-data/train.jsonl:2: a context of 61 tokens", (runs[0] / "log.txt").read_text())
        self.assertIn("1 of 3 examples of train left out", (runs[0] / "log.txt").read_text())
        self.assertIn(" test: bleu ", (runs[0] / "log.txt").read_text())
        self.assertIn(" step 2 of 2, ", (runs[0] / "log.txt").read_text().splitlines()[-1])
        weights = [(run / "last" / "adapter.safetensors").read_bytes() for run in runs]
        self.assertEqual(*weights)

    def test_completions_that_a_text_would_not_reach_the_end_of_are_told(self):
        data = pairs(self.place / "divided", ["red"])
        rows = [{"prompt": "what : red", "completion": text} for text in ("it is red.", "it is\n\nred.")]
        (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        file = write_json(self.place / "divided.json", writing(self.place / "model", data, "data_to_text"))
        warning = "1 of 2 completions hold a blank line"
        self.assertIn(warning, self.succeeds("plan", "--config", file).err)
        self.assertNotIn(warning, self.succeeds("plan", "--config", file, "--set", "generate.separator=false").err)

    def test_keys_that_may_be_misspelt_are_told(self):
        data = pairs(self.place / "misspelt", ["red"])
        rows = [{"prompt": "what : red", "completion": "it is red.", "refernces": ["red."], "source": "web"}] * 2
        rows.append({"prompt": "what : red", "completion": "it is red.", "references": ["red."], "reference": "red."})
        (data / "dev.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        file = write_json(self.place / "misspelt.json", writing(self.place / "model", data, "data_to_text"))
        told = self.succeeds("plan", "--config", file).err
        self.assertIn('the key "refernces", in 2 rows, is not read; was "references" meant?', told)
        self.assertEqual(told.count("is not read"), 1)
        data = pairs(self.place / "renamed", ["red"])
        for split in data.glob("*.jsonl"):
            split.write_text(split.read_text().replace('"completion"', '"reference"').replace('"references"', '"ref"'))
        settings = writing(self.place / "model", data, "data_to_text")
        settings["task"]["completion"] = "reference"
        self.assertNotIn("is not read", self.succeeds("plan", "--config", write_json(file, settings)).err)

    def test_a_run_without_a_final_split_writes_no_texts(self):
        for name, final in (("none", None), ("dev", "dev")):
            settings = writing(self.place / "model", SAMPLES / "e2e", "e2e", generate={"final_split": final})
            run = self.train(name, settings)
            self.assertEqual([p.name for p in run.glob("*.outputs.txt")], [f"{final}.outputs.txt"] if final else [])
            self.assertEqual("dev" in json.loads((run / "result.json").read_text()), bool(final))


class Learning(Case):
    def setUp(self):
        super().setUp()
        self.model = gpt2_model(self.place / "model")

    def test_a_few_texts_are_learned(self):
        data = pairs(self.place / "data", ["red", "blue", "cold", "tall"])
        settings = writing(self.model, data, "data_to_text",
                           adapter={"targets": ["c_attn", "c_fc", "c_proj"], "method": METHODS[0]},
                           optimizer={"lr": 2e-2},
                           train={"epochs": 250, "batch_size": 8, "max_length": 64, "threads": 1, "evaluate_every_steps": 50})
        run = self.train("run", settings)
        losses = [e["loss"] for e in events(run, "eval")]
        self.assertLess(losses[-1], losses[0] / 4)
        for line in (run / "test.outputs.txt").read_text().splitlines():
            self.assertTrue(line.startswith("it is"), line)

    def test_killed_at_any_moment_it_ends_in_the_same_bytes(self):
        seed = int(os.environ.get("MTLORA_TEST_SEED", random.randrange(10**6)))
        told = f"MTLORA_TEST_SEED={seed} chooses the same moments again"
        choose = random.Random(seed)
        data = pairs(self.place / "data", [f"word {i}" for i in range(40)], train=60)
        settings = writing(self.model, data, "data_to_text", adapter={"targets": ["c_attn"], "method": METHODS[1]},
                           train={"epochs": 6, "save_every_steps": 3, "evaluate_every_steps": 20, "max_length": 64})
        settings["model"]["dropout"] = 0.1
        whole, broken = self.train("whole", settings), self.place / "broken"
        size = (whole / "metrics.jsonl").stat().st_size
        arguments = ["train", "--config", write_json(self.place / "broken.json", settings), "--out", broken]
        codes = []
        for share in (0.0, 0.3, 0.6, 1.0):  # the last while texts are written
            process = start(*arguments, *(["--resume"] if (broken / "config.json").exists() else []))
            metrics = broken / "metrics.jsonl"
            while process.poll() is None and not (metrics.exists() and metrics.stat().st_size >= share * size):
                time.sleep(0.001)
            time.sleep(choose.uniform(0, 0.01))
            process.kill()
            codes.append(process.wait(60))
        self.assertIn(-signal.SIGKILL, codes, told)
        self.succeeds(*arguments, "--resume")
        for name in ("best/adapter.safetensors", "last/adapter.safetensors", "last/state.safetensors", "metrics.jsonl",
                     "test.outputs.txt"):
            self.assertTrue((whole / name).read_bytes() == (broken / name).read_bytes(), f"{name} differs; {told}")
        a, b = (json.loads((run / "result.json").read_text()) for run in (whole, broken))
        for key in ("metrics", "best", "last", "steps", "data", "test"):
            self.assertEqual(a[key], b[key], told)


class Faults(SharedCase):
    """What is wrong shows before training; what a model may write does not stop a run; a signal does."""

    def prepare(self):
        gpt2_model(self.place / "model")
        gpt2_model(self.place / "bytes", writes=b"\xff\xe4")
        gpt2_model(self.place / "returns", writes=b"\rab")

    def refused_early(self, *names, data=SAMPLES / "e2e", **generate):
        file = write_json(self.place / "early.json", writing(self.place / "model", data, "e2e", generate=generate))
        out = self.place / self.id().rsplit(".")[-1]
        self.fails("train", "--config", file, "--out", out, names=names)
        self.assertFalse(out.exists(), "it trained before it looked")

    def data_with(self, name, **files):
        folder = self.place / name
        shutil.copytree(SAMPLES / "e2e", folder)
        for split, content in files.items():
            (folder / f"{split}.txt").write_text(content)
        return folder

    def test_bytes_that_are_no_utf8_are_replaced(self):
        run = self.train("replaced", writing(self.place / "bytes", SAMPLES / "e2e", "e2e"))
        self.assertIn("\ufffd", (run / "test.outputs.txt").read_text())
        out = self.succeeds("generate", "--checkpoint", run / "best", stdin="name : A\n").out
        self.assertIn("\ufffd", json.loads(out)["text"])

    def test_a_text_with_a_carriage_return_is_one_line_of_the_outputs(self):
        run = self.train("returned", writing(self.place / "returns", SAMPLES / "e2e", "e2e"))
        self.succeeds("score", "--task", "e2e", "--hypotheses", run / "test.outputs.txt",
                      "--references", SAMPLES / "e2e_csv" / "testset_w_refs.csv")

    def test_a_malformed_final_split_shows_before_training(self):
        self.refused_early("test.txt:1", data=self.data_with("malformed", test="no bars\n"))

    def test_rows_that_are_left_out_are_said_once_a_split(self):
        splits = {"train": "train", "dev": "valid", "test": "test"}
        rows = {file: (SAMPLES / "e2e" / f"{file}.txt").read_text() + "no bars\n" for file in splits.values()}
        folder = self.data_with("left_out", **rows)

        def said(result):
            self.assertEqual(result.err.count("is not of the form context||text"), result.err.count("malformed rows"), result)
            return {split: result.err.count(f"1 malformed rows of {split} were left out:\n{folder / file}.txt:")
                    for split, file in splits.items()}

        for final in ("test", "dev"):  # the latter is read twice
            settings = writing(self.place / "model", folder, "e2e", generate={"final_split": final})
            settings["task"] |= {"data": str(folder), "max_malformed": 1}
            run = self.place / f"left_out_{final}"
            result = self.succeeds("train", "--config", write_json(self.place / "left_out.json", settings), "--out", run)
            self.assertEqual(said(result), {"train": 1, "dev": 1, "test": int(final == "test")}, result)
        for command in ("eval", "generate"):
            result = self.succeeds(command, "--checkpoint", run / "best", "--split", "test")
            self.assertEqual(said(result), {"train": 0, "dev": 0, "test": 1}, result)

    def test_no_room_for_a_context_shows_before_training(self):
        self.refused_early("/generate/max_new_tokens", max_new_tokens=299)

    def test_a_final_split_without_references_shows_before_training(self):
        folder = self.place / "prompts"
        folder.mkdir()
        for name in ("trainset.csv", "devset.csv", "testset.csv"):
            shutil.copyfile(SAMPLES / "e2e_csv" / name, folder / name)
        self.refused_early("test", data=folder)

    def test_more_beams_than_tokens_shows_before_training(self):
        self.refused_early("/generate/beams", beams=1000)

    def test_an_unknown_final_split_is_refused(self):
        self.refused_early("tset", final_split="tset")

    def test_a_stop_signal_ends_the_writing_of_texts(self):
        data = pairs(self.place / "many", [f"word {i}" for i in range(2000)], test=2000)
        settings = writing(self.place / "model", data, "data_to_text", generate={"beams": 10, "max_new_tokens": 64})
        out = self.place / "stopped"
        process = start("train", "--config", write_json(self.place / "stopped.json", settings), "--out", out)
        while process.poll() is None and not any('"eval"' in e and '"step":12' in e for e in self.lines(out)):
            time.sleep(0.01)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), 143)

    @staticmethod
    def lines(run):
        return (run / "metrics.jsonl").read_text().splitlines() if (run / "metrics.jsonl").exists() else []


if __name__ == "__main__":
    main()
