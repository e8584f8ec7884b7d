"""What the tests of wrong input share: a tiny model and data, and a configuration of them to go wrong."""

import shutil

from support import SharedCase, bert_model, config, sentiment, write_json


class RefusedCase(SharedCase):
    def setUp(self):
        super().setUp()
        self.model, self.data = self.place / "model", self.place / "data"
        self.base = config(self.model, self.data, train={"epochs": 1})
        self.out = self.place / self.id().rsplit(".")[-1]

    def prepare(self):
        bert_model(self.place / "model")
        sentiment(self.place / "data", train=48, dev=16)

    def tearDown(self):
        self.assertFalse(self.out.exists(), "a run's folder was made")

    def copy(self, folder, name):
        copy = self.place / name
        shutil.copytree(folder, copy)
        self.addCleanup(shutil.rmtree, copy)
        return copy

    def refused(self, *names, config=None, sets=(), **options):
        """Training with that configuration fails, naming all of `names`."""
        file = write_json(self.place / "c.json", config or self.base)
        given = [part for s in sets for part in ("--set", s)]
        return self.fails("train", "--config", file, "--out", self.out, *given, names=names, **options)

    def data_with(self, name, content, split="train.tsv"):
        """The data set with one file replaced."""
        data = self.copy(self.data, name)
        (data / split).write_bytes(content if isinstance(content, bytes) else content.encode())
        return {**self.base, "task": {**self.base["task"], "data": str(data)}}

    def model_with(self, name, **files):
        model = self.copy(self.model, name)
        for file, content in files.items():
            (model / file.replace("__", ".")).write_bytes(content)
        return {**self.base, "model": {"path": str(model)}}
