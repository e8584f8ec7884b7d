"""scripts/methods_table: one row for every method and optimizer that the program describes."""

import json
import signal
import subprocess
import sys

import support
from support import SOURCE, Case, bert_model, main


class MethodsTable(Case):
    def setUp(self):
        super().setUp()
        self.model = bert_model(self.place / "model")

    def command(self, *arguments, data=SOURCE / "data" / "samples" / "cola", steps=40):
        command = [sys.executable, SOURCE / "scripts" / "methods_table", "--program", support.PROGRAM, "--data", data,
                   "--model", self.model, "--steps", steps, "--set", "train.max_length=32", "--set", "train.threads=1",
                   *arguments]
        return list(map(str, command))

    def rows(self, out):
        lines = out.splitlines()
        self.assertTrue(lines[0].startswith("| method | optimizer | lr |"))
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]

    def table(self, *arguments, code=0, **options):
        """[cells of a row], and what stderr says."""
        done = subprocess.run(self.command(*arguments, **options), capture_output=True, text=True)
        self.assertEqual(done.returncode, code, f"{done.stdout}\n{done.stderr}")
        return self.rows(done.stdout), done.stderr

    def named(self, topic):
        return [entry["name"] for entry in json.loads(self.succeeds("describe", topic, "--json").out)]

    def test_every_method_and_optimizer_has_a_row(self):
        rows, _ = self.table()
        wanted = {(name, "adamw") for name in self.named("methods")}
        wanted |= {("lora", name) for name in self.named("optimizers")}
        self.assertEqual({(row[0], row[1]) for row in rows}, wanted)
        self.assertEqual(len(rows), len(wanted))
        self.assertEqual(rows[0][:2], ["lora", "adamw"])
        self.assertEqual(rows[0][4], "1.00")
        for row in rows:
            self.assertGreater(int(row[3].replace(",", "")), 0)
            self.assertGreater(float(row[4]), 0)
            self.assertLessEqual(-1, float(row[5]))

    def test_what_fails_is_shown_as_failed(self):
        rows, error = self.table("--set", 'adapter.targets=["nowhere"]', code=1)
        by_name = {row[0]: row for row in rows if row[1] == "adamw"}
        self.assertEqual(by_name["lora"][5], "failed")
        self.assertIn("nowhere", error)
        self.assertGreater(int(by_name["bitfit"][3].replace(",", "")), 0)
        self.assertRegex(error, r"(?m)^  \| error: .*nowhere")  # the log, which is not kept
        self.assertRegex(error, r"(?m)^failed: lora, adamw: .*nowhere")

    def test_the_learning_rate_is_the_one_that_was_used(self):
        rows, _ = self.table("--set", "optimizer.lr=0.002", steps=8)
        self.assertEqual({row[2] for row in rows}, {"0.002"})

    def test_what_the_script_decides_is_not_set(self):
        for setting, what in (("train.seed=5", "--seed"), ("train.max_steps=3", "--steps"), ("task=rte", "--task"),
                              ("model.path=nowhere", "--model"), ('optimizer={"name": "lozo"}', "row"),
                              ("adapter.method.name=dora", "row")):
            with self.subTest(setting=setting):
                done = subprocess.run(self.command("--set", setting), capture_output=True, text=True)
                self.assertEqual(done.returncode, 1)
                self.assertIn(f"error: --set {setting}: ", done.stderr)
                self.assertIn(what, done.stderr)

    def test_runs_that_are_kept_are_gone_on_with_and_are_one_table(self):
        out = self.place / "out"
        first, _ = self.table("--out", out, steps=8)
        support.shutil.rmtree(out / "bitfit-adamw")
        (out / "lora-zo_sgd" / "result.json").unlink()  # is resumed
        again, _ = self.table("--out", out, steps=8)
        self.assertEqual([row[:4] + row[5:] for row in again], [row[:4] + row[5:] for row in first])
        (out / "dora-adamw" / "result.json").write_text("")
        broken, error = self.table("--out", out, steps=8, code=1)
        self.assertEqual(next(row for row in broken if row[0] == "dora")[3:], ["–", "–", "–"])
        self.assertIn("dora, adamw: result.json: no JSON", error)
        command = self.command("--out", out, "--set", "train.label_smoothing=0.1", steps=8)
        refused = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("/train/label_smoothing: 0.0 there, 0.1 now", refused.stderr)

    def test_a_task_without_a_dev_file_has_no_scores(self):
        data = support.shutil.copytree(SOURCE / "data" / "samples" / "cola", self.place / "data")
        (data / "dev.tsv").unlink()
        rows, error = self.table(steps=8, data=data, code=1)
        self.assertEqual({row[5] for row in rows}, {"–"})
        self.assertIn("lora, adamw: result.json has no metrics: was there a dev file?", error)

    def test_stopped_it_prints_the_rows_that_are_done(self):
        with subprocess.Popen(self.command(steps=200), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as process:
            for _ in range(3):  # the third run has begun
                process.stderr.readline()
            process.send_signal(signal.SIGINT)
            out, error = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 130, error)
        self.assertEqual([row[0] for row in self.rows(out)][:2], ["lora", "mtlora"])
        self.assertLess(len(self.rows(out)), 4)
        self.assertIn("stopped; with --out the runs would have been kept", error)


if __name__ == "__main__":
    main()
