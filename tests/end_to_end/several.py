"""Runs of several processes: what their tests share."""

import json
import os
import random
import socket
import struct
import subprocess

from support import Case, bert_model, config, read_safetensors, sentiment, start, write_json


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
