"""The table and the picture of scripts/bench/compare_hf."""

import datetime
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from chart import bars


def machine():
    """The processor in words: model, cores, and what of bf16 it computes by itself."""
    text = subprocess.run(["lscpu"], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}).stdout
    fields = dict(re.findall(r"^([^:\n]+):\s*(.*)$", text, re.M))
    flags = fields.get("Flags", "").split()
    has = [name for flag, name in (("avx512f", "AVX-512"), ("avx512_bf16", "AVX512-BF16"), ("amx_bf16", "AMX-BF16"))
           if flag in flags]
    family = f"family {fields.get('CPU family', '?')} model {fields.get('Model', '?')}"
    return f"{fields.get('Model name', '?')} ({family}), {os.cpu_count()} cores, {', '.join(has) or 'no AVX-512'}"


def commit():
    done = subprocess.run(["git", "-C", Path(__file__).parent, "describe", "--always", "--dirty"], capture_output=True,
                          text=True)
    return done.stdout.strip() or "unknown"


def columns(options):
    """[(heading, key, format, heading of the ratio, whether more is better)]"""
    if options.task.name == "sst2":
        speeds = [("training, examples/s", "examples_per_second"),
                  ("evaluation, examples/s", "evaluation_examples_per_second")]
    else:
        speeds = [("training, tokens/s", "tokens_per_second")]
    memory = ("peak memory", "peak_memory_bytes")
    if options.device == "cuda":
        memory = ("peak memory of the GPU", "peak_device_memory_bytes")
    return [*((*speed, "{:.0f}".format, speed[0].split(",")[0], True) for speed in speeds),
            (*memory, lambda x: f"{x / 1e6:.0f} MB", "memory", False),
            ("first step after", "startup_seconds", "{:.1f} s".format, "first step", False)]


def row(*cells):
    return f"| {' | '.join(cells)} |"


def ratio(ours, theirs, key, more):
    if key not in ours or key not in theirs:
        return "–"
    return f"{ours[key] / theirs[key]:.1f} ×" if more else f"1/{theirs[key] / ours[key]:.1f}"


def heading(results, load, options):
    peer = next(numbers for name, _, numbers in results if name != "mtlora")
    versions = ", ".join(f"{name} {version}" for name, version in peer["versions"].items())
    gpu = [f"- GPU: {peer['gpu']}; Hugging Face's attention: {peer['attention']}, no torch.compile"
           + (", TF32 in fp32" if options.tf32 else "")] if options.device == "cuda" else []
    return [
        f"{options.model.name}, LoRA on {', '.join(options.targets)} (rank 8), {options.task.title}.", "", *gpu,
        f"- Machine: {machine()}; load before the first run {load:.2f}",
        f"- {datetime.date.today()}, mtlora {commit()}, {versions}, Python {sys.version.split()[0]}",
        f"- Command: `{shlex.join(['scripts/bench/compare_hf', *sys.argv[1:]])}`", ""]


def table(results, load, options):
    shown = columns(options)
    rule = "|---|---|" + "---:|" * len(shown)
    lines = [*heading(results, load, options), row("", "type", *(title for title, *_ in shown)), rule]
    lines += [row(name, dtype, *(form(n[key]) if key in n else "–" for _, key, form, *_ in shown))
              for name, dtype, n in results]
    lines += ["", row("mtlora against", "type", *(title for _, _, _, title, _ in shown)), rule]
    for name, dtype, n in results:
        if name != "mtlora":
            ours = next(o for other, kind, o in results if other == "mtlora" and kind == dtype)
            lines.append(row(name, dtype, *(ratio(ours, n, key, more) for _, key, _, _, more in shown)))
    return "\n".join(lines) + "\n"


def picture(results, options):
    def label(name, dtype):
        return f"{'mtlora' if name == 'mtlora' else 'PEFT, ' + name.split(', ')[1]}, {dtype}"
    return bars([(title.capitalize().replace("/s", " a second"),
                  [(label(name, dtype), n[key], form(n[key]), name == "mtlora") for name, dtype, n in results])
                 for title, key, form, _, more in columns(options) if more])
