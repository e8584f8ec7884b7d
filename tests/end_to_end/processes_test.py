"""Several processes compute what one does; a dead or silent one is named, and nothing is lost."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import support
from several import ProcessesCase
from support import SAME, bert_model, main, read_safetensors, sentiment, start, write_safetensors


def children(process):
    """The process ids that a process has started, in the order of their ranks."""
    text = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(pid) for pid in text.split()]


def is_running(pid):
    """Not one that has ended and that nobody has asked about yet."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


class Processes(ProcessesCase):
    def test_two_processes_of_one_thread_are_one_of_two_bit_for_bit(self):
        one, two = self.run_in("one", 1, threads=2), self.run_in("two", 2)
        for name in SAME:
            self.assertTrue((one / name).read_bytes() == (two / name).read_bytes(), f"{name} differs")

    def test_optimizers_that_take_losses_alone_agree(self):
        for name in ("zo_adam", "forward_grad"):
            with self.subTest(optimizer=name):
                optimizer = {"optimizer": {"name": name, "lr": 1e-3}}
                one, two = (self.run_in(f"{name}-{n}", n, also=optimizer, threads=3 - n, epochs=1) for n in (1, 2))
                for file in SAME:
                    self.assertTrue((one / file).read_bytes() == (two / file).read_bytes(), f"{file} differs")

    def test_four_processes_are_one(self):
        self.assert_close(self.run_in("one", 1), self.run_in("four", 4))

    def killed_and_resumed(self, processes, then, signals):
        whole = self.run_in("whole", 1)
        out = self.place / "broken"
        arguments = self.arguments("broken", self.configuration(max_steps=None), processes)
        process = subprocess.Popen([support.PROGRAM, *map(str, arguments), "--resume-or-start"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while process.poll() is None and not (out / "last" / "state.json").exists():
            time.sleep(0.002)
        time.sleep(self.random.uniform(0, 0.05))
        victim = self.random.randrange(processes)
        pids = children(process)
        self.assertEqual(len(pids), processes)
        os.kill(pids[victim], signals)
        error = process.communicate(timeout=120)[1]
        return whole, out, arguments, process.returncode, victim, error

    def test_a_killed_process_is_named_and_another_number_goes_on(self):
        for processes, then in ((2, 1), (4, 2)):
            with self.subTest(processes=processes):
                for name in ("whole", "broken"):
                    subprocess.run(["rm", "-rf", self.place / name], check=True)
                whole, out, arguments, code, victim, error = self.killed_and_resumed(
                    processes, then, signal.SIGKILL)
                self.assertEqual(code, 1, f"{error}\n{self.told}")
                self.assertIn(f"rank {victim}", error, self.told)
                if victim > 0:  # the first speaks
                    self.assertIn("the last checkpoint is intact; --resume continues from it", error, self.told)
                self.assertFalse((out / "result.json").exists())
                self.succeeds("eval", "--checkpoint", out / "last", "--json")
                self.succeeds(*arguments[:-1], then, "--resume-or-start")
                self.assert_close(whole, out)

    def test_a_process_killed_before_the_first_checkpoint_leaves_nothing_to_continue_from(self):
        configuration = self.configuration(max_steps=100000, save_every_steps=100000, evaluate_every_steps=100000)
        for victim in range(2):
            with self.subTest(victim=victim):
                name = f"early-{victim}"
                process = start(*self.arguments(name, configuration, 2), stderr=subprocess.PIPE, text=True)
                while process.poll() is None and not (self.place / name / "metrics.jsonl").exists():
                    time.sleep(0.002)
                os.kill(children(process)[victim], signal.SIGKILL)
                error = process.communicate(timeout=120)[1]
                self.assertEqual(process.returncode, 1, error)
                self.assertIn(f"rank {victim} of 2 ended", error)
                self.assertIn("nothing had been saved yet", error)
                for absent in ("intact", "frame #", "[c10d]", ".cc:"):
                    self.assertNotIn(absent, error)

    def test_a_silent_process_ends_the_run_in_time(self):
        for victim in range(2):
            with self.subTest(victim=victim):
                out = self.place / f"stuck-{victim}"
                arguments = self.arguments(out.name, self.configuration(timeout_seconds=4, epochs=2000), 2)
                process = start(*arguments, stderr=subprocess.PIPE, text=True)
                while process.poll() is None and not (out / "last" / "state.json").exists():
                    time.sleep(0.002)
                os.kill(children(process)[victim], signal.SIGSTOP)
                error = process.communicate(timeout=90)[1]
                self.assertEqual(process.returncode, 1, error)
                self.assertIn(f"rank {victim} of 2 did not answer within 4 s (train.timeout_seconds)", error)
                self.succeeds("eval", "--checkpoint", out / "last", "--json")

    def test_a_signal_stops_all_after_the_same_step(self):
        for code, told in ((130, signal.SIGINT), (143, signal.SIGTERM), (129, signal.SIGHUP), (138, signal.SIGUSR1)):
            with self.subTest(signal=told.name):
                out = self.place / told.name
                process = start(*self.arguments(
                    told.name, self.configuration(max_steps=3000, save_every_steps=1000), 2))
                while process.poll() is None and not (out / "metrics.jsonl").exists():
                    time.sleep(0.002)
                process.send_signal(told)
                self.assertEqual(process.wait(60), code)
                step = json.loads((out / "last" / "state.json").read_text())["step"]
                self.assertTrue(0 < step < 3000)

    def test_a_signal_to_every_process_at_once_saves(self):
        """As a batch system and systemd send it, while the launcher hands on the one that it gets."""
        out = self.place / "everyone"
        process = start(*self.arguments("everyone", self.configuration(max_steps=100000, save_every_steps=100000), 2))
        while process.poll() is None and not (out / "metrics.jsonl").exists():
            time.sleep(0.002)
        for pid in (process.pid, *children(process)):
            os.kill(pid, signal.SIGTERM)
        self.assertEqual(process.wait(60), 143)
        self.assertIn("stopped by signal", (out / "log.txt").read_text())
        self.assertTrue((out / "last" / "state.json").is_file())

    def test_a_killed_launcher_leaves_nobody_behind(self):
        process = start(*self.arguments("alone", self.configuration(max_steps=100000, epochs=100000), 2))
        while process.poll() is None and not (self.place / "alone" / "metrics.jsonl").exists():
            time.sleep(0.002)
        left = children(process)
        self.assertEqual(len(left), 2)
        process.kill()
        process.wait()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and any(is_running(pid) for pid in left):
            time.sleep(0.02)
        self.assertEqual([pid for pid in left if is_running(pid)], [])
        self.succeeds("eval", "--checkpoint", self.place / "alone" / "last", "--json")

    def test_processes_of_another_launcher_find_each_other(self):
        codes, said = self.of_another_launcher("torchrun")
        self.assertEqual(codes, [0, 0], said)
        self.assertTrue((self.place / "torchrun" / "result.json").exists())
        self.assertIn("2 processes", said[0])
        self.assertEqual(said[1], "")

    def test_processes_that_cut_batches_otherwise_are_refused(self):
        codes, said = self.of_another_launcher("unlike", [("--set", f"train.threads={n}") for n in (1, 2)])
        self.assertEqual(codes, [1, 1], said)
        self.assertIn("the processes have from 1 to 2 threads (this one 1): set train.threads", said[0])
        self.assertFalse((self.place / "unlike").exists())

    def test_a_shell_that_srun_has_started_may_start_processes(self):
        self.succeeds(*self.arguments("srun", self.configuration(epochs=1), 2),
                      environment={"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0", "SLURM_JOB_ID": "7"})
        self.assertTrue((self.place / "srun" / "result.json").exists())

    def test_threads_are_as_many_as_cores_that_may_be_used(self):
        one = min(os.sched_getaffinity(0))
        out = self.place / "one"
        process = start(*self.arguments("one", self.configuration(epochs=1, threads=None), 1))
        os.sched_setaffinity(process.pid, {one})  # as it begins
        self.assertEqual(process.wait(60), 0)
        self.assertEqual(json.loads((out / "result.json").read_text())["environment"]["threads"], 1)

    def test_openmps_binding_keeps_nobody_on_one_core(self):
        cores = os.sched_getaffinity(0)
        if len(cores) == 1:
            self.skipTest("one core: nothing to be bound to")
        for processes in (1, 2):
            with self.subTest(processes=processes):
                configuration = self.configuration(max_steps=100000, threads=len(cores))
                process = start(*self.arguments(f"bound-{processes}", configuration, processes),
                                env={**os.environ, "OMP_PROC_BIND": "true"})
                self.addCleanup(process.kill)
                while process.poll() is None and not (self.place / f"bound-{processes}" / "last").exists():
                    time.sleep(0.002)
                for pid in (process.pid, *children(process)):
                    for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
                        told = f"process {pid} of {process.pid}, thread {thread.name} ({(thread / 'comm').read_text()})"
                        self.assertEqual(os.sched_getaffinity(int(thread.name)), cores, told)
                process.terminate()
                self.assertEqual(process.wait(60), 143)

    def test_processes_of_different_runs_are_refused(self):
        other_model = bert_model(self.place / "other-model")
        name = "bert.encoder.layer.1.attention.self.key.weight"
        tensors = read_safetensors(other_model / "model.safetensors")[0]
        dtype, shape, content = tensors[name]
        write_safetensors(other_model / "model.safetensors",
                          {**tensors, name: (dtype, shape, bytes([content[0] ^ 1]) + content[1:])})
        for option, wanted in ((f"task.data={sentiment(self.place / 'other-data', train=201, seed=2)}", "other-data"),
                               (f"model.path={other_model}", "other-model"),
                               ("train.seed=4", '"seed":4')):
            with self.subTest(option=option):
                codes, said = self.of_another_launcher("unlike", ((), ("--set", option)))
                self.assertEqual(codes, [1, 1], said)
                self.assertIn("error: the processes have different", said[0])
                self.assertIn(wanted, said[1])
                self.assertFalse((self.place / "unlike").exists())
        # copies of the same are the same
        copies = [(option, shutil.copytree(folder, self.place / f"copy-{option}"))
                  for option, folder in (("model.path", self.model), ("task.data", self.data))]
        codes, said = self.of_another_launcher(
            "alike", ((), [part for option, copy in copies for part in ("--set", f"{option}={copy}")]))
        self.assertEqual(codes, [0, 0], said)

    def test_wrong_requests_give_one_message(self):
        arguments = self.arguments("wrong", self.configuration(), 2)
        self.fails(*arguments, "--set", "adapter.method.rnak=3", names=["rnak"])
        self.fails(*arguments, "--set", f"task.data={self.place / 'nowhere'}", names=["nowhere"])
        self.fails(*arguments, environment={"RANK": "0"}, names=["WORLD_SIZE"])
        self.fails(*arguments, environment={"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"},
                   names=["--processes 2"])
        self.fails("train", "--config", "/dev/stdin", "--out", self.place / "wrong", "--processes", 2,
                   stdin=json.dumps(self.configuration()), names=["--config /dev/stdin", "read once"])
        self.fails(*arguments[:-1], 0, code=2)
        self.assertFalse((self.place / "wrong").exists())


if __name__ == "__main__":
    main()
