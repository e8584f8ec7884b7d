"""What a run writes for TensorBoard, read back by a reader of its own: the numbers of metrics.jsonl at the same steps."""

import json
import os
import shutil
import signal
import struct
import time

from support import Case, SAME, bert_model, config, events, main, sentiment, start, write_json

TAGS = {"loss": "train/loss", "lr": "train/learning_rate", "gradient_norm": "train/grad_norm"}


def crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC_TABLE = crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def check_masked(data, stored):
    crc = crc32c(data)
    assert struct.unpack("<I", stored)[0] == ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32, "the CRC is another"


def records(file):
    """The messages of a file; one that was cut short, by a kill, ends it."""
    content = file.read_bytes()
    while len(content) >= 12:
        size = int.from_bytes(content[:8], "little")
        check_masked(content[:8], content[8:12])
        if len(content) < size + 16:
            return
        check_masked(content[12:12 + size], content[12 + size:16 + size])
        yield content[12:12 + size]
        content = content[16 + size:]


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def fields(message):
    """(number, value) of each; of fixed sizes the bytes."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        if key & 7 == 0:
            value, at = varint(message, at)
        else:
            size, at = varint(message, at) if key & 7 == 2 else ({1: 8, 5: 4}[key & 7], at)
            value, at = message[at:at + size], at + size
        yield key >> 3, value


def points(folder):
    """{(tag, step): value} of all files as TensorBoard shows them; and the steps at which a program began."""
    shown, starts = {}, []
    for file in sorted(folder.iterdir()):
        for i, message in enumerate(records(file)):
            event = dict(fields(message))
            assert abs(struct.unpack("<d", event[1])[0] - time.time()) < 600
            assert (event.get(3) == b"brain.Event:2") == (i == 0)
            if 7 in event:
                assert list(fields(event[7])) == [(1, 1)]
                starts.append(event[2])
                shown = {(tag, step): value for (tag, step), value in shown.items() if step < event[2]}
            for _, value in fields(event.get(5, b"")):
                scalar = dict(fields(value))
                where = scalar[1].decode(), event[2]
                assert where not in shown, f"{where} twice"
                shown[where] = struct.unpack("<f", scalar[2])[0]
    return shown, starts


def as_float(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def wanted(run):
    """The same of metrics.jsonl."""
    out = {(tag, event["step"]): as_float(event[name]) for event in events(run, "train") for name, tag in TAGS.items()}
    for event in events(run, "eval"):
        for name, value in {**event["metrics"], "loss": event["loss"]}.items():
            out[f"eval/{name}", event["step"]] = as_float(value)
    return out


class TensorBoard(Case):
    def setUp(self):
        super().setUp()
        self.model, self.data = bert_model(self.place / "model"), sentiment(self.place / "data")

    def configuration(self, **train):
        return config(self.model, self.data, train={"max_steps": 300, "evaluate_every_steps": 60, "log_every_steps": 1,
                                                    **train})

    def check_points(self, run, starts):
        shown, begun = points(run / "tensorboard")
        self.assertEqual(begun, starts)
        speeds = {step: shown.pop((tag, step)) for tag, step in list(shown) if tag == "train/examples_per_second"}
        self.assertEqual(list(speeds), [e["step"] for e in events(run, "train")])
        self.assertTrue(all(0 < speed < 1e7 for speed in speeds.values()), speeds)
        self.assertEqual(shown, wanted(run))

    def test_a_run_writes_the_numbers_of_its_events_when_asked(self):
        runs = [self.train(str(asked), self.configuration(max_steps=20, evaluate_every_steps=8, log_every_steps=3,
                                                          tensorboard=asked)) for asked in (False, True)]
        self.assertFalse((runs[0] / "tensorboard").exists())
        for name in SAME:
            self.assertEqual(*((run / name).read_bytes() for run in runs), name)
        file, = (runs[1] / "tensorboard").iterdir()
        self.assertRegex(file.name, r"^events\.out\.tfevents\.\d{10}\..+\.\d+\.0$")
        self.check_points(runs[1], [1])

    def test_what_is_computed_again_is_shown_once(self):
        arguments = ["train", "--config", write_json(self.place / "c.json", self.configuration(tensorboard=True)),
                     "--out", self.place / "run"]
        run = self.place / "run"
        process = start(*arguments)
        while process.poll() is None and not (run / "metrics.jsonl").exists():
            time.sleep(0.001)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), 128 + signal.SIGTERM)
        shutil.copytree(run / "last", self.place / "early")
        step = json.loads((run / "last" / "state.json").read_text())["step"]
        self.succeeds(*arguments, "--resume")
        self.check_points(run, [1, step + 1])
        # as if it had been killed in the middle of a record, and had saved nothing since
        _, second = sorted((run / "tensorboard").iterdir())
        os.truncate(second, second.stat().st_size - 9)
        (run / "result.json").unlink()
        shutil.rmtree(run / "last")
        (self.place / "early").rename(run / "last")
        self.succeeds(*arguments, "--resume")
        self.check_points(run, [1, step + 1, step + 1])

    def test_a_resumed_run_may_write_them_or_not(self):
        arguments = ["train", "--config", write_json(self.place / "c.json", self.configuration(max_steps=20)),
                     "--out", self.place / "run"]
        self.succeeds(*arguments)
        run = self.place / "run"
        (run / "result.json").unlink()
        told = self.succeeds(*arguments, "--resume", "--set", "train.tensorboard=true").err
        self.assertIn("/train/tensorboard: false there, true now", told)
        self.assertEqual(points(run / "tensorboard"), ({}, [21]))

    def test_of_two_processes_one_writes(self):
        run = self.train("run", self.configuration(max_steps=20, tensorboard=True, threads=1, device="cpu"),
                         "--processes", 2)
        self.check_points(run, [1])

    def test_where_it_cannot_be_written_is_one_error(self):
        run = self.train("begun", self.configuration(max_steps=20))
        (run / "result.json").unlink()
        (run / "tensorboard").write_text("in the way")
        self.fails("train", "--config", self.place / "begun.json", "--out", run, "--resume",
                   "--set", "train.tensorboard=true", names=[run / "tensorboard"])


if __name__ == "__main__":
    main()
