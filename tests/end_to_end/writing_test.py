"""Tasks of writing texts: a tiny GPT-2 learns every layout of them, is scored, and answers prompts."""

import json
import os
import random
import signal
import time

from gpt2 import gpt2_model
from support import (SOURCE, Case, SharedCase, bert_model, config, events, main, sentiment, start, write_json)

SAMPLES = SOURCE / "data" / "samples"
LAYOUTS = {"webnlg": "webnlg", "webnlg_lora": "webnlg", "dart": "dart", "dart_lora": "dart", "e2e": "e2e",
           "e2e_csv": "e2e", "data_to_text": "data_to_text"}  # folder: task
METHODS = ({"name": "lora", "rank": 4, "alpha": 8}, {"name": "mtlora", "structure": "icfm", "rank": 4, "alpha": 8})


def writing(model, data, task, **changes):
    """A configuration that trains two epochs and writes short texts with few beams."""
    train = {"epochs": 2, "batch_size": 4, "max_length": 300, **changes.pop("train", {})}
    generate = {"beams": 3, "max_new_tokens": 12, **changes.pop("generate", {})}
    return config(model, data, task={"name": task}, train=train, generate=generate,
                  **{"adapter": {"targets": ["c_attn"]}, **changes})


def pairs(folder, words, train=24):
    """A data_to_text task: the text names what the prompt does."""
    folder.mkdir(parents=True)
    rows = [{"prompt": f"what : {word}", "completion": f"it is {word}."} for word in words]
    for split, count in (("train", train), ("dev", 4), ("test", 4)):
        lines = [json.dumps(rows[i % len(rows)]) for i in range(count)]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


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

    def test_a_run_without_a_final_split_writes_no_texts(self):
        for name, final in (("none", None), ("dev", "dev")):
            settings = writing(self.place / "model", SAMPLES / "e2e", "e2e", generate={"final_split": final})
            run = self.train(name, settings)
            self.assertEqual([p.name for p in run.glob("*.outputs.txt")], [f"{final}.outputs.txt"] if final else [])
            self.assertEqual("dev" in json.loads((run / "result.json").read_text()), bool(final))


class Generate(SharedCase):
    def prepare(self):
        model = gpt2_model(self.place / "model")
        self.train("run", writing(model, SAMPLES / "e2e", "e2e"))
        self.train("labels", config(bert_model(self.place / "bert"), sentiment(self.place / "sentiment", 32, 16),
                                    train={"max_steps": 2}))

    def setUp(self):
        super().setUp()
        self.checkpoint = ["--checkpoint", self.place / "run" / "best"]

    def texts(self, *arguments, **options):
        lines = self.succeeds("generate", *self.checkpoint, *arguments, **options).out.splitlines()
        for line in lines:
            self.assertEqual(list(json.loads(line)), ["text"])
        return [json.loads(line)["text"] for line in lines]

    def refused(self, *arguments, names, **options):
        self.assertEqual(self.fails("generate", *arguments, names=names, **options).out, "")

    def test_each_context_gets_one_line_in_order(self):
        contexts = [f"name : {'x' * (i * 7 % 40)} {i}" for i in range(20)]
        together = self.texts("--input", "-", stdin="\n".join(contexts))
        self.assertEqual(len(together), 20)
        self.assertGreater(len(set(together)), 4)
        for i in (0, 9, 19):
            self.assertEqual(self.texts(stdin=contexts[i] + "\n"), [together[i]])
        self.assertEqual(self.texts("--input", "-", stdin="\r\n".join(contexts) + "\r\n"), together)
        file = self.place / "contexts.jsonl"
        file.write_text("\r\n".join(json.dumps({"prompt": c, "other": 1}) for c in contexts) + "\r\n")
        self.assertEqual(self.texts("--input", file), together)

    def test_an_empty_line_is_a_context_and_no_line_is_none(self):
        self.assertEqual(len(self.texts(stdin="a\n\nb\n")), 3)
        self.assertEqual(self.texts(stdin=""), [])

    def test_a_split_gives_what_the_run_wrote(self):
        wanted = (self.place / "run" / "test.outputs.txt").read_text().splitlines()
        self.assertEqual(self.texts("--split", "test"), wanted)
        contexts = list(dict.fromkeys(line.split("||")[0] for line in (SAMPLES / "e2e" / "test.txt").read_text().splitlines()))
        self.assertEqual(self.texts(stdin="\n".join(contexts)), wanted)

    def test_a_setting_changes_what_is_written(self):
        self.assertLess(len(self.texts("--set", "generate.max_new_tokens=3", stdin="name : A")[0]), 4)

    def test_wrong_input_is_refused(self):
        self.refused(*self.checkpoint, stdin=b"good\n\xff\xfe\n", names=["stdin:2", "UTF-8"])
        self.refused(*self.checkpoint, "--input", "-", "--split", "test", names=["--input", "--split"])
        self.refused(*self.checkpoint, "--split", "tset", names=['did you mean "test"'])
        for path in (self.place / "nothing", self.place):
            self.refused(*self.checkpoint, "--input", path, names=[path])
        for row in ('{"prompts": "x"}', '{"prompt": 3}', "[]", '{"prompt":'):
            file = self.place / "bad.jsonl"
            file.write_text('{"prompt": "a"}\n' + row + "\n")
            self.refused(*self.checkpoint, "--input", file, names=[f"{file}:2"])

    def test_a_long_context_loses_its_beginning_and_that_is_said(self):
        result = self.succeeds("generate", *self.checkpoint, stdin="x" * 400 + " y\n" + "z\n")
        self.assertIn("1 of 2 contexts are longer than 288 tokens", result.err)
        self.refused(*self.checkpoint, "--set", "generate.max_new_tokens=299", stdin="x\n",
                     names=["/generate/max_new_tokens", "299", "300"])

    def test_models_and_tasks_of_other_kinds_are_refused(self):
        labels = ["--checkpoint", self.place / "labels" / "best"]
        self.refused(*labels, stdin="x\n", names=["generate", "predict"])
        self.refused(*labels, "--split", "test", names=["generate", "predict"])
        self.fails("predict", *self.checkpoint, stdin="x\n", names=["predict", "generate"])
        wrong = {"bert": writing(self.place / "bert", SAMPLES / "e2e", "e2e"),
                 "gpt2": config(self.place / "model", self.place / "sentiment", adapter={"targets": ["c_attn"]}),
                 str(self.place / "absent"): writing(self.place / "model", self.place / "absent", "e2e")}
        for named, settings in wrong.items():
            file = write_json(self.place / "wrong.json", settings)
            self.fails("train", "--config", file, "--out", self.place / "wrong", names=[named])
            self.assertFalse((self.place / "wrong").exists())


class Learning(Case):
    def setUp(self):
        super().setUp()
        self.model = gpt2_model(self.place / "model")

    def test_a_few_texts_are_learned(self):
        data = pairs(self.place / "data", ["red", "blue", "cold", "tall"])
        settings = writing(self.model, data, "data_to_text", adapter={"targets": ["c_attn", "c_fc", "c_proj"], "method": METHODS[0]},
                           optimizer={"lr": 2e-2}, train={"epochs": 100, "batch_size": 8, "max_length": 64})
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


if __name__ == "__main__":
    main()
