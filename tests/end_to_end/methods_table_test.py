"""scripts/methods_table: one row for every method and optimizer that the program describes."""

import json
import subprocess
import sys

import support
from support import SOURCE, Case, bert_model, main


class MethodsTable(Case):
    def setUp(self):
        super().setUp()
        self.model = bert_model(self.place / "model")

    def table(self, *arguments, code=0):
        """[cells of a row], and what stderr says."""
        command = [sys.executable, SOURCE / "scripts" / "methods_table", "--program", support.PROGRAM, "--data",
                   SOURCE / "data" / "samples" / "cola", "--model", self.model, "--steps", "40", "--set",
                   "train.max_length=32", "--set", "train.threads=1", *arguments]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        self.assertEqual(done.returncode, code, f"{done.stdout}\n{done.stderr}")
        lines = done.stdout.splitlines()
        self.assertTrue(lines[0].startswith("| method | optimizer | lr |"))
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]], done.stderr

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


if __name__ == "__main__":
    main()
