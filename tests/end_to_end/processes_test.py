"""Several processes compute what one does; a dead or silent one is named, and nothing is lost."""

import json
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import time
import unittest

import support
from support import (Case, bert_model, config, main, read_safetensors, sentiment, start, write_json,
                     write_safetensors)

SAME = ("best/adapter.safetensors", "last/adapter.safetensors", "last/state.safetensors", "metrics.jsonl")


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


def floats(data):
    return struct.unpack(f"<{len(data) // 4}f", data)


class ProcessesCase(Case):
    """Runs of several processes."""

    device = "cpu"

    def setUp(self):
        super().setUp()
        seed = int(os.environ.get("MTLORA_TEST_SEED", random.randrange(10**6)))
        self.random = random.Random(seed)
        self.told = f"MTLORA_TEST_SEED={seed} chooses the same moments again"
        print(self.told, flush=True)
        self.model = bert_model(self.place / "model")
        # 201 examples: the last batch of an epoch has 9, one of 5 micro-batches is alone in its step
        self.data = sentiment(self.place / "data", train=201)

    def configuration(self, also=None, **train):
        method = {"name": "mtlora", "structure": "dtsm", "rank": 4, "dropout": 0.1}
        return config(self.model, self.data, model={"dropout": 0.1}, adapter={"method": method}, **(also or {}),
                      train={"accumulate": 2, "batch_size": 16, "epochs": 4, "save_every_steps": 3,
                             "evaluate_every_steps": 5, "log_every_steps": 2, "threads": 1, "device": self.device,
                             "timeout_seconds": 60, **train})

    def arguments(self, name, configuration, processes):
        file = write_json(self.place / f"{name}.json", configuration)
        return ["train", "--config", file, "--out", self.place / name, "--processes", processes]

    def run_in(self, name, processes, **train):
        self.succeeds(*self.arguments(name, self.configuration(**train), processes))
        return self.place / name

    def assert_close(self, a, b):
        """The same final tensors and metrics up to the order of sums."""
        one, two = (read_safetensors(run / "last" / "adapter.safetensors")[0] for run in (a, b))
        self.assertEqual(sorted(one), sorted(two))
        for name in one:
            x, y = floats(one[name][2]), floats(two[name][2])
            largest = max(map(abs, x))
            worst = max(abs(p - q) for p, q in zip(x, y))
            # fp32 sums in another order, through 28 steps of AdamW
            self.assertLessEqual(worst, 1e-3 * largest, name)
        results = [json.loads((run / "result.json").read_text()) for run in (a, b)]
        for key in ("steps", "trained_parameters", "data"):
            self.assertEqual(results[0][key], results[1][key])
        self.assertAlmostEqual(results[0]["last"]["metrics"]["loss"], results[1]["last"]["metrics"]["loss"], 4)
        self.assertEqual(results[0]["last"]["metrics"]["accuracy"], results[1]["last"]["metrics"]["accuracy"])

    def begin_by_another_launcher(self, name, more=((), ()), environment=({}, {}), also=(), **train):
        """Two processes, each with `more` on its command line and `environment` around it."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        arguments = [*self.arguments(name, self.configuration(**train), 1), *also]
        return [start(*arguments, *more[rank], stderr=subprocess.PIPE, text=True,
                      env={**os.environ, "RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
                           "MASTER_PORT": str(port), **environment[rank]})
                for rank in range(2)]

    def of_another_launcher(self, name, more=((), ()), **train):
        """Exit codes and stderr of two such processes."""
        both = self.begin_by_another_launcher(name, more, **{"epochs": 1, **train})
        said = [process.communicate(timeout=120)[1] for process in both]
        return [process.returncode for process in both], said


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
