"""Every sample of data/samples trains: the layouts that data/README.md lists. So does the demo's configuration."""

import json

from support import SOURCE, SharedCase, bert_model, config, main, write_table

OWN = {
    "text_csv": {"name": "text"},
    "text_tsv": {"name": "text", "kind": "regression", "text": "question", "text_pair": "answer", "label": "score"},
    "text_jsonl": {"name": "text", "text": "sentence", "label": "language"},
}
# Tasks of writing texts, which train on models of another kind: writing_test.py has them.
TEXT_TASKS = {"webnlg", "webnlg_lora", "dart", "dart_lora", "e2e", "e2e_csv", "data_to_text"}


class Samples(SharedCase):
    def prepare(self):
        bert_model(self.place / "model")

    def trained(self, name, task):
        settings = config(self.place / "model", task["data"], train={"max_steps": 2, "batch_size": 4, "max_length": 64})
        settings["task"] = task
        return self.train(name, settings)

    def test_every_sample_trains(self):
        folders = sorted(p for p in (SOURCE / "data" / "samples").iterdir() if p.is_dir())
        self.assertLessEqual(TEXT_TASKS, {folder.name for folder in folders})
        folders = [folder for folder in folders if folder.name not in TEXT_TASKS]
        self.assertEqual(len(folders), 14)
        for folder in folders:
            with self.subTest(sample=folder.name):
                task = OWN.get(folder.name, {"name": folder.name.removesuffix("_hf")})
                run = self.trained(folder.name, {**task, "data": str(folder)})
                result = json.loads((run / "result.json").read_text())
                self.assertEqual(result["steps"], 2)
                self.assertIn("loss", result["metrics"])

    def test_both_dev_sets_of_mnli_are_evaluated(self):
        run = self.trained("both", {"name": "mnli", "data": str(SOURCE / "data" / "samples" / "mnli")})
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        self.assertEqual({e["split"] for e in lines if e["event"] == "eval"}, {"dev_matched", "dev_mismatched"})
        for split in ("dev_matched", "dev_mismatched"):
            wanted = [e for e in lines if e["event"] == "eval" and e["split"] == split][-1]
            out = self.succeeds("eval", "--checkpoint", run / "last", "--split", split, "--json").out
            self.assertEqual(json.loads(out)["loss"], wanted["loss"])

    def test_the_configuration_of_the_demo_trains(self):
        data = self.place / "reviews"
        data.mkdir()
        for split in ("train", "dev"):
            # a quote is a character here like any other
            rows = [('a "good film', "positive"), ("a bad one", "negative")]
            write_table(data / f"{split}.tsv", ["text", "label"], rows)
        changes = {"model.path": self.place / "model", "task.data": data, "train.max_length": 64, "train.max_steps": 2}
        given = [part for name, value in changes.items() for part in ("--set", f"{name}={value}")]
        self.succeeds("train", "--config", SOURCE / "configs" / "demo.json", *given, "--out", self.place / "demo")
        resolved = json.loads((self.place / "demo" / "config.json").read_text())
        self.assertEqual(resolved["task"]["labels"], ["negative", "positive"])


if __name__ == "__main__":
    main()
