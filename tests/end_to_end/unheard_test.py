"""Who watches a run may leave: it goes on, or saves what it has."""

import contextlib
import os
import signal
import subprocess
import time

import support
from support import Case, SAME, bert_model, config, events, main, sentiment, start, write_json


class Unheard(Case):
    """Who watches a run may leave."""

    def setUp(self):
        super().setUp()
        self.model, self.data = bert_model(self.place / "model"), sentiment(self.place / "data")

    def started(self, name, max_steps, processes=None, **options):
        file = write_json(self.place / f"{name}.json", config(
            self.model, self.data, train={"max_steps": max_steps, "evaluate_every_steps": 5, "device": "cpu"}))
        more = ["--processes", processes] if processes else []
        return start("train", "--config", file, "--out", self.place / name, *more, **options)

    def wait_until_it_trains(self, name, process):
        while process.poll() is None and not (self.place / name / "last" / "state.json").exists():
            time.sleep(0.002)

    def check_finished(self, name, process, last_step):
        self.assertEqual(process.wait(60), 0)
        self.assertTrue((self.place / name / "result.json").exists())
        self.assertIn(f"step {last_step}/{last_step}  dev", (self.place / name / "log.txt").read_text())

    def test_a_reader_that_leaves_ends_nothing(self):
        for name, both, processes in (("stderr", False, None), ("both", True, None), ("launched", True, 2)):
            with self.subTest(name=name):
                options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} if both else \
                    {"stderr": subprocess.PIPE}
                process = self.started(name, 60, processes, **options)
                reader = process.stdout if both else process.stderr
                self.assertTrue(reader.readline())
                reader.close()
                self.check_finished(name, process, 60)

    def test_a_closed_stderr_ends_nothing_and_is_no_file_of_the_run(self):
        file = write_json(self.place / "c.json", config(self.model, self.data, train={"max_steps": 20}))
        out = self.place / "closed"
        arguments = [support.PROGRAM, "train", "--config", str(file), "--out", str(out)]
        done = subprocess.run(["sh", "-c", 'exec "$@" 0<&- 2>&-', "sh", *arguments], timeout=60,
                              stdout=subprocess.PIPE)
        self.assertEqual(done.returncode, 0)
        self.assertTrue(events(out, "eval"))
        whole = self.train("open", config(self.model, self.data, train={"max_steps": 20}))
        for name in SAME:
            self.assertTrue((whole / name).read_bytes() == (out / name).read_bytes(), name)

    def test_a_terminal_that_closes_ends_nothing_where_hang_ups_are_ignored(self):
        here, terminal = os.openpty()
        process = self.started("terminal", 400, stderr=terminal, hang_up=signal.SIG_IGN)
        os.close(terminal)
        self.wait_until_it_trains("terminal", process)
        os.close(here)
        process.send_signal(signal.SIGHUP)
        self.check_finished("terminal", process, 400)

    def test_an_error_that_nobody_can_read_is_one(self):
        diverges = config(self.model, self.data, optimizer={"lr": 1e30}, train={"clip": 0.0})
        file = write_json(self.place / "diverges.json", diverges)
        process = start("train", "--config", file, "--out", self.place / "diverges", stderr=subprocess.PIPE)
        self.assertTrue(process.stderr.readline())
        process.stderr.close()
        self.assertEqual(process.wait(60), 1)

    def test_a_second_hang_up_and_a_later_termination_do_not_keep_it_from_saving(self):
        process = self.started("twice", 100000)
        self.wait_until_it_trains("twice", process)
        for told in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM):
            process.send_signal(told)
        self.assertIn(process.wait(60), (129, 143))  # which of two that wait comes first is the kernel's choice
        self.assertIn("stopped by signal", (self.place / "twice" / "log.txt").read_text())

    def test_other_commands_end_quietly_when_their_reader_leaves(self):
        run = self.train("run", config(self.model, self.data, train={"max_steps": 2}))
        process = start("predict", "--checkpoint", run / "last", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE)
        process.stdin.write(b"a good film\n" * 256)
        process.stdin.flush()
        self.assertTrue(process.stdout.readline())
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(b"a good film\n" * 100000)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        self.assertEqual(process.wait(60), -signal.SIGPIPE)
        self.assertEqual(process.stderr.read(), b"")
        process.stderr.close()


if __name__ == "__main__":
    main()
