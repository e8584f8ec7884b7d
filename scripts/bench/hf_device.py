"""Where the Hugging Face side of a comparison computes, the CPU or a CUDA device, and how it is timed there.

On CUDA it is written as an expert would: batches are read and padded by worker processes into pinned memory and copied
without waiting, AdamW is the fused one, attention is PyTorch's SDPA where the model's class has it (transformers' own
default), lengths are padded to multiples of 8, in bf16 the adapters are bf16 too, and the scripts wait for the device
only around a timed window. torch.compile is left out: batches of ever new lengths would be compiled anew.
"""

import os
import resource
import statistics
import time
from pathlib import Path


def process_start_seconds():
    """Seconds since this process began, imports and all."""
    fields = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()
    ticks_a_second = 100  # USER_HZ on Linux
    started = int(fields[19]) / ticks_a_second
    return float(Path("/proc/uptime").read_text().split()[0]) - started


class Cpu:
    """PyTorch's defaults."""
    adamw = {}  # further arguments of torch.optim.AdamW
    peft = {}   # of get_peft_model
    padding = {}  # of DataCollatorWithPadding
    evaluations = 3  # so often a window of evaluation goes through the rows

    def place(self, model):
        return model

    def feed(self, batches, collate):
        """The collated tensors of each batch in turn."""
        return (collate(batch) for batch in batches)

    def finish(self):
        """Waits until all that was started is done."""

    def report(self):
        return {"peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


class Cuda(Cpu):
    """The first visible CUDA device."""
    adamw = {"fused": True}
    peft = {"autocast_adapter_dtype": False}  # PEFT would keep adapters of a bf16 model in fp32, which is slower
    padding = {"pad_to_multiple_of": 8}
    evaluations = 12

    def __init__(self, tf32):
        import torch
        if not torch.cuda.is_available():
            raise SystemExit(f"error: torch {torch.__version__} sees no CUDA device here: --device cpu needs none")
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        self.torch = torch

    def place(self, model):
        return model.to("cuda")

    def feed(self, batches, collate):
        loader = self.torch.utils.data.DataLoader(
            batches, batch_size=None, collate_fn=collate, num_workers=min(4, os.cpu_count()), pin_memory=True,
            multiprocessing_context="fork")
        for batch in loader:
            yield {name: tensor.to("cuda", non_blocking=True) for name, tensor in batch.items()}

    def finish(self):
        self.torch.cuda.synchronize()

    def report(self):
        return {"peak_device_memory_bytes": self.torch.cuda.max_memory_allocated(),
                "gpu": self.torch.cuda.get_device_name(), **super().report()}


def add_arguments(parser):
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--tf32", action="store_true", help="on CUDA, let fp32 products round their factors to TF32")


def open_device(options):
    return Cuda(options.tf32) if options.device == "cuda" else Cpu()


def windows(device, run, feed, batches, count):
    """Median examples, tokens and steps a second over at most `count` equal windows of `batches`, whose tensors `feed`
    gives in this order."""
    count = min(count, len(batches))
    size = len(batches) // count
    rates = []
    for window in range(count):
        examples = tokens = 0
        device.finish()
        begin = time.perf_counter()
        for batch in batches[window * size:(window + 1) * size]:
            run(next(feed))
            examples += len(batch)
            tokens += sum(len(item["input_ids"]) for item in batch)
        device.finish()
        seconds = time.perf_counter() - begin
        rates.append((examples / seconds, tokens / seconds, size / seconds))
    return [statistics.median(column) for column in zip(*rates)]
