"""What a checkpoint's tensors mean is what they meant when they were trained, whatever a command says beside."""

import json
import shutil

from support import Case, bert_model, config, main, read_safetensors, sentiment, write_json

SHIM = {"name": "mtlora", "structure": "shim", "rank": 4, "alpha": 8}
ANOTHER = {  # what is laid over SHIM, and what the error has to name
    "another structure": ({"structure": "icfm"}, ["/adapter/method/structure", "shim", "icfm"]),
    "another scale": ({"alpha": 32}, ["/adapter/method/alpha", "8", "32"]),
    "the scale of some layers": ({"alpha_pattern": {"query": 1}}, ["/adapter/method/alpha_pattern"]),
    "another method": ({"name": "lora", "structure": None}, ["/adapter/method/name", "mtlora", "lora"]),
}


class SameMeaning(Case):
    def setUp(self):
        super().setUp()
        self.model = bert_model(self.place / "model")
        self.data = sentiment(self.place / "data", train=96, dev=32)
        self.run_folder = self.train("run", self.configuration())
        self.last = self.run_folder / "last"

    def configuration(self, **method):
        method = {k: v for k, v in {**SHIM, **method}.items() if v is not None}
        return config(self.model, self.data, adapter={"method": method}, train={"max_steps": 12})

    def answers(self, *arguments):
        out = self.succeeds("predict", "--checkpoint", self.last, "--split", "dev", *arguments).out
        return [json.loads(line)["probabilities"] for line in out.splitlines()]

    def test_another_method_or_scale_is_refused(self):
        for what, (method, names) in ANOTHER.items():
            with self.subTest(what):
                file = write_json(self.place / "another.json", self.configuration(**method))
                for command in (["eval"], ["predict", "--split", "dev"], ["export", "--out", self.place / "merged"]):
                    self.fails(*command, "--checkpoint", self.last, "--config", file, names=[self.last, *names])
                self.assertFalse((self.place / "merged").exists())
                self.fails("train", "--config", file, "--set", f"adapter.start_from={self.last}", "--out",
                           self.place / "second", names=[self.last, *names])
                self.assertFalse((self.place / "second").exists())

    def test_what_only_training_looks_at_may_be_another(self):
        file = write_json(self.place / "dropout.json", self.configuration(dropout=0.5, init="identity"))
        self.assertEqual(self.answers("--config", file), self.answers())
        still = {**self.configuration(dropout=0.5, init="identity"), "optimizer": {"lr": 0}}
        still["adapter"]["start_from"] = str(self.last)
        second = self.train("second", still)
        before, after = (read_safetensors(run / "last/adapter.safetensors")[0] for run in (self.run_folder, second))
        self.assertEqual(set(before), set(after))
        for name in before:
            if not name.startswith("classifier."):
                self.assertEqual(after[name], before[name], name)

    def test_labels_in_another_order_keep_their_outputs(self):
        before = json.loads(self.succeeds("eval", "--checkpoint", self.last, "--json").out)
        turned = ("--set", 'task.labels=["good","bad"]')
        self.assertEqual(json.loads(self.succeeds("eval", "--checkpoint", self.last, "--json", *turned).out), before)
        self.assertEqual(self.answers(*turned), [[b, a] for a, b in self.answers()])
        other = self.succeeds("predict", "--checkpoint", self.last, "--set", 'task.labels=["x","y"]', stdin="a film\n")
        self.assertIn("bad, good, the task's x, y", other.err)

    def test_a_checkpoint_reads_texts_with_its_own_vocabulary(self):
        other = self.place / "other"
        shutil.copytree(self.model, other)
        words = (other / "vocab.txt").read_text().splitlines()
        first, second = (words.index(letter) for letter in "ab")
        words[first], words[second] = words[second], words[first]
        (other / "vocab.txt").write_text("\n".join(words) + "\n")
        self.assertEqual(self.answers("--set", f"model.path={other}"), self.answers())
        (self.run_folder / "result.json").unlink()  # as if it had been killed at its end
        arguments = ["train", "--config", self.place / "run.json", "--out", self.run_folder, "--resume"]
        self.fails(*arguments, "--set", f"model.path={other}", names=[self.last, "tokenizer"])
        self.succeeds(*arguments)


if __name__ == "__main__":
    main()
