"""Several processes with a GPU each sum on them; a dead or silent one is named there too."""

import os
import signal
import time
import unittest

from several import ProcessesCase
from support import main


@unittest.skipUnless(os.environ.get("MTLORA_TEST_DEVICE") == "cuda", "needs a GPU: scripts/test --cuda")
class Devices(ProcessesCase):
    """Gradients that are summed on GPUs. NCCL takes the one GPU of a machine for two where the processes tell it that
    they are on different machines."""

    device = "cuda"
    APART = [{"NCCL_HOSTID": f"machine-{rank}"} for rank in range(2)]

    def log_of(self, name):
        return (self.place / name / "log.txt").read_text()

    def summed_on_devices(self, name, also=()):
        both = self.begin_by_another_launcher(name, environment=self.APART, also=also)
        said = [process.communicate(timeout=120)[1] for process in both]
        self.assertEqual([process.returncode for process in both], [0, 0], said)
        self.assertIn("gradients are summed by NCCL", self.log_of(name))
        return self.place / name

    def test_sums_on_devices_are_those_of_one_process(self):
        self.assert_close(self.run_in("one", 1), self.summed_on_devices("two"))

    def test_methods_that_act_on_steps_wait_for_the_sums(self):
        adalora = ["--set", 'adapter.method={"name": "adalora", "rank": 6, "target_rank": 4}']
        self.succeeds(*self.arguments("one", self.configuration(), 1), *adalora)
        self.summed_on_devices("two", also=adalora)
        self.assert_close(self.place / "one", self.place / "two")

    def test_processes_that_share_a_device_sum_on_the_cpu(self):
        one, two = self.run_in("one", 1), self.run_in("two", 2)
        self.assertIn("gradients are summed by gloo: several processes share a GPU", self.log_of("two"))
        self.assert_close(one, two)

    def broken_off(self, name, how, **train):
        """Stderr of two processes of which one is sent the signal `how` after the first checkpoint, and its rank."""
        out = self.place / name
        both = self.begin_by_another_launcher(name, environment=self.APART, also=["--resume-or-start"], **train)
        for process in both:
            self.addCleanup(process.kill)
        while all(process.poll() is None for process in both) and not (out / "last" / "state.json").exists():
            time.sleep(0.002)
        time.sleep(self.random.uniform(0, 0.05))
        victim = self.random.randrange(2)
        both[victim].send_signal(how)
        error = both[1 - victim].communicate(timeout=120)[1]
        self.assertEqual(both[1 - victim].returncode, 1, error + self.told)
        both[victim].kill()
        both[victim].communicate()
        return error, victim

    def test_a_killed_process_is_named_and_one_goes_on(self):
        for attempt in range(4):
            with self.subTest(attempt=attempt):
                name = f"broken-{attempt}"
                begun = time.monotonic()
                error, victim = self.broken_off(name, signal.SIGKILL, epochs=400, save_every_steps=7)
                self.assertLess(time.monotonic() - begun, 40, self.told)
                self.assertIn(f"rank {victim} of 2 ended", error, self.told)
                self.succeeds("eval", "--checkpoint", self.place / name / "last", "--json")
        self.succeeds(*self.arguments(name, self.configuration(epochs=400, save_every_steps=7), 1), "--resume")

    def test_a_silent_process_ends_the_run_in_time(self):
        error, victim = self.broken_off("silent", signal.SIGSTOP, epochs=2000, timeout_seconds=4)
        self.assertIn(f"rank {victim} of 2 did not answer within 4 s (train.timeout_seconds)", error, self.told)
        self.succeeds("eval", "--checkpoint", self.place / "silent" / "last", "--json")


if __name__ == "__main__":
    main()
