"""A run that cannot go on: one clear message, the last good checkpoint intact, nothing half-written."""

import json
import pathlib
import subprocess

from support import SharedCase, bert_model, config, events, main, sentiment, write_json


class Diverging(SharedCase):
    def prepare(self):
        bert_model(self.place / "model")
        sentiment(self.place / "data")

    def test_a_run_that_diverges_says_so_and_keeps_its_checkpoint(self):
        settings = config(self.place / "model", self.place / "data", optimizer={"lr": 1e30},
                          train={"clip": 0.0, "save_every_steps": 1})
        file = write_json(self.place / "c.json", settings)
        self.fails("train", "--config", file, "--out", self.place / "run", names=["step", "diverged", "optimizer.lr",
                                                                                       "the last checkpoint is intact"])
        self.succeeds("inspect", self.place / "run" / "last")

    def test_a_run_that_diverges_before_its_first_checkpoint_says_that_nothing_is_saved(self):
        settings = config(self.place / "model", self.place / "data", optimizer={"lr": 1e30},
                          train={"clip": 0.0, "save_every_steps": 1000, "evaluate_every_steps": 1000})
        file = write_json(self.place / "early.json", settings)
        result = self.fails("train", "--config", file, "--out", self.place / "early",
                            names=["diverged", "nothing had been saved yet"])
        self.assertNotIn("intact", result.err)
        self.assertNotIn("-nan", result.err)
        self.assertFalse((self.place / "early" / "last").exists())

    def test_bad_steps_are_left_out_as_often_as_is_allowed(self):
        settings = config(self.place / "model", self.place / "data", optimizer={"lr": 1e30},
                          train={"clip": 0.0, "save_every_steps": 1, "skip_bad_steps": 3})
        file = write_json(self.place / "s.json", settings)
        result = self.fails("train", "--config", file, "--out", self.place / "skipping",
                            names=["diverged", "It begins at bert.", "3 of the 3 in a row"])
        skipped = [e["step"] for e in events(self.place / "skipping", "skipped")]
        self.assertEqual(len(skipped), 3, result)
        self.assertEqual(skipped, list(range(skipped[0], skipped[0] + 3)))
        state = json.loads((self.place / "skipping" / "last" / "state.json").read_text())
        self.assertEqual((state["skipped_steps"], state["bad_in_a_row"]), (3, 3))


class FullDisk(SharedCase):
    def prepare(self):
        bert_model(self.place / "model")
        sentiment(self.place / "data")

    def mounted(self, size):
        disk = self.place / f"disk-{size}"
        disk.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)], capture_output=True)
        if done.returncode != 0:
            self.skipTest(f"no file system can be mounted here: {done.stderr.decode().strip()}")
        self.addCleanup(subprocess.run, ["umount", str(disk)], check=True)
        return disk

    def test_a_disk_that_fills_up_ends_the_run_and_keeps_the_last_checkpoint(self):
        settings = config(self.place / "model", self.place / "data", train={"save_every_steps": 1, "epochs": 20})
        settings["adapter"] = {"targets": ["query", "key", "value"], "method": {"name": "lora", "rank": 16}}
        whole = self.train("whole", {**settings, "train": {**settings["train"], "max_steps": 1}})
        needed = sum(p.stat().st_size for p in (whole / "last").iterdir()) // 1024
        # room for best and last, but not for a third one beside them
        disk = self.mounted(2 * needed + needed // 2 + 64)
        file = write_json(self.place / "full.json", settings)
        self.fails("train", "--config", file, "--out", disk / "run", names=[disk / "run", "No space left"])
        run = pathlib.Path(disk / "run")
        self.assertEqual([p.name for p in run.glob("*.partial")], [])
        kept = [name for name in ("best", "last") if (run / name).exists()]
        self.assertTrue(kept)
        for name in kept:
            self.succeeds("eval", "--checkpoint", run / name)
        # with room again it goes on to where it would have been
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        self.succeeds("train", "--config", file, "--out", run, "--resume")
        self.train("never-full", settings)
        for name in ("best/adapter.safetensors", "last/state.safetensors", "metrics.jsonl"):
            self.assertTrue((run / name).read_bytes() == (self.place / "never-full" / name).read_bytes(), name)

    def test_a_disk_full_from_the_start(self):
        disk = self.mounted(4)
        (disk / "filler").write_bytes(b"")
        try:
            (disk / "filler").write_bytes(b"x" * 4096)
        except OSError:
            pass
        file = write_json(self.place / "c.json", config(self.place / "model", self.place / "data"))
        self.fails("train", "--config", file, "--out", disk / "run", names=[disk / "run"])


if __name__ == "__main__":
    main()
