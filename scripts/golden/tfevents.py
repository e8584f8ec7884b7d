"""An event file as TensorBoard's own package writes one: what lib/core/tfevents must write, byte for byte.

Writes tests/golden/tfevents/events; tests/core/tfevents_test.cpp names the same events. Needs tensorboard.
Run: python scripts/golden/tfevents.py
"""
import math
import pathlib
import platform

import google.protobuf
import tensorboard
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

FILE = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "tfevents" / "events"


def scalars(**by_tag):
    return Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in by_tag.items()])


EVENTS = [
    Event(wall_time=1700000000.25, file_version="brain.Event:2"),
    Event(wall_time=1700000000.5, step=1, session_log=SessionLog(status=SessionLog.START)),
    Event(wall_time=1700000001.125, step=50, summary=scalars(**{
        "train/loss": 0.693147, "train/learning_rate": 5e-4, "train/grad_norm": 1e30})),
    # lengths and steps of several bytes, and values that are no numbers
    Event(wall_time=1e10 / 3, step=2**40 + 1, summary=scalars(**{
        "eval/" + "é" * 100: -0.0, "eval/not": math.nan, "eval/above": math.inf, "eval/zero": 0.0})),
]


def main():
    print(f"python {platform.python_version()}, tensorboard {tensorboard.__version__}, "
          f"protobuf {google.protobuf.__version__}")
    FILE.parent.mkdir(exist_ok=True)
    with open(FILE, "wb") as out:
        writer = RecordWriter(out)
        for event in EVENTS:
            writer.write(event.SerializeToString(deterministic=True))
        writer.flush()


if __name__ == "__main__":
    main()
