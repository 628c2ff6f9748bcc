#!/usr/bin/env python3
"""A step of quantization-aware training in octet and in torchao, and the float steps of both: one table.

    compare_training.py [--bench build/bench_qat_step] [--batch N] [--threads N] [--rounds N] [--steps N]

MobileNetV2 at 224x224 in channels last, cross entropy, SGD with momentum. torchao prepares the network by executorch's
XNNPACK quantizer (`--peer-float` adds its float step, libtorch from Python). Rounds: in each, every side runs in a
process of its own, in turn, and gives the median of its steps and the process's peak of memory. Medians over all rounds
(and quartiles), and of octet's ratio to torchao's, round by round.
A virtual environment is made under build/peers (once); --here takes the Python that runs this.
"""
import argparse
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "peers"))
from environment import run_again  # noqa: E402
from tables import print_head, print_row, summary  # noqa: E402

PACKAGES = ["torch", "torchao", "executorch"]


def child(side, batch, threads, steps):
    """Prints the milliseconds of a step, and the megabytes of the process's peak."""
    import torch
    from networks import mobilenet_v2

    torch.manual_seed(0)
    torch.set_num_threads(int(threads))
    images = torch.randn(int(batch), 3, 224, 224).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(1000, (int(batch),))
    network = mobilenet_v2().to(memory_format=torch.channels_last).train()
    if side == "torchao":
        import torchao.quantization.pt2e as pt2e
        from executorch.backends.xnnpack.quantizer import xnnpack_quantizer as xnnpack
        from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e

        quantizer = xnnpack.XNNPACKQuantizer()
        quantizer.set_global(xnnpack.get_symmetric_quantization_config(is_per_channel=True, is_qat=True))
        exported = torch.export.export(network, (images,)).module()
        network = prepare_qat_pt2e(exported, quantizer)
        pt2e.move_exported_model_to_train(network)
    optimizer = torch.optim.SGD(network.parameters(), 1e-3, momentum=0.9)

    def step():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()

    step()
    times = []
    for _ in range(int(steps)):
        start = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - start))
    print(statistics.median(times), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)


def of_peer(side, options):
    arguments = [side, str(options.batch), str(options.threads), str(options.steps)]
    done = subprocess.run([sys.executable, __file__, "--here", "--child", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{side}: " + (done.stderr or "failed").strip().splitlines()[-1][:200])
    return tuple(map(float, done.stdout.split()[-2:]))


def of_octet(side, options):
    words = [options.batch, options.threads, options.steps, "mobilenet_v2", 224, side]
    done = subprocess.run([options.bench, *map(str, words)], capture_output=True, text=True, check=True)
    line = re.search(r"step, \w+: ([\d.]+) ms, peak (\d+) MB", done.stdout)
    return float(line[1]), float(line[2])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bench", default=ROOT / "build" / "bench_qat_step")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--peer-float", action="store_true")
    options = parser.parse_args([word for word in sys.argv[1:] if word != "--here"])
    sides = {
        "octet, QAT": lambda: of_octet("qat", options),
        "torchao, QAT": lambda: of_peer("torchao", options),
        "octet, float step of libtorch": lambda: of_octet("float", options),
    }
    if options.peer_float:
        sides["libtorch from Python, float"] = lambda: of_peer("float", options)
    figures = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, run in sides.items():
            figures[name].append(run())
    print_head(["side", "step, ms", "peak, MB", "octet's QAT step to it", "octet's peak to it"])
    ours = figures["octet, QAT"]
    for name, rounds in figures.items():
        ratios = [[a[i] / b[i] for a, b in zip(ours, rounds)] for i in range(2)]
        cells = [summary([each[i] for each in rounds], 0) for i in range(2)] + [summary(r, 2) for r in ratios]
        print_row([name, *cells])


if __name__ == "__main__":
    if "--here" not in sys.argv:
        sys.exit(run_again(__file__, "training_speed", PACKAGES, sys.argv[1:]))
    if "--child" in sys.argv:
        child(*sys.argv[sys.argv.index("--child") + 1 :])
    else:
        main()
