"""Calling scripts/paper_glue on a tiny model and tiny tasks."""

import subprocess
import sys

import support
from support import SOURCE, Case, bert_model

SCRIPT = SOURCE / "scripts" / "paper_glue"


class PaperCase(Case):
    def setUp(self):
        super().setUp()
        self.model = bert_model(self.place / "model")
        self.data = SOURCE / "data" / "samples"

    def command(self, *arguments, tasks="cola", methods="lora,bitfit", seeds="0,1", epochs=3):
        return [sys.executable, SCRIPT, "--program", support.PROGRAM, "--model", "roberta_base", "--tasks", tasks,
                "--methods", methods, "--seeds", seeds, "--data", self.data, "--out", self.place / "runs",
                "--set", f"model.path={self.model}", "--set", f"train.epochs={epochs}", "--set", "train.max_length=64",
                "--set", "train.threads=1", *arguments]

    def call(self, *arguments, code=0, **options):
        done = subprocess.run(list(map(str, self.command(*arguments, **options))), capture_output=True, text=True)
        self.assertEqual(done.returncode, code, f"{done.stdout}\n{done.stderr}")
        return done

    def run_folder(self, task="cola", method="lora", seed=0):
        return self.place / "runs" / "roberta_base" / task / method / f"seed{seed}"
