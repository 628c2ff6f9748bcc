#!/usr/bin/env python3
"""int8 networks in octet, in LiteRT with XNNPACK and in OpenVINO, quantized by NNCF: the same float network, one table.

    compare_speed.py [--octet build/octet] [--bench build/bench_integer] [--only NAME ...] [--rounds N] [--seconds S]

Makes each float network with random weights, quantizes it by octet to .tflite, which octet and LiteRT run, and by NNCF
for OpenVINO. Then rounds: in each, every side runs by itself for some seconds, in turn. A line for each network, batch
and number of threads: medians over all rounds of each side's median (and quartiles), and of octet's ratio to each,
round by round.
A virtual environment is made under build/peers (once); --here takes the Python that runs this.
"""
import argparse
import pathlib
import re
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "peers"))
from environment import octet, run_again  # noqa: E402
from tables import print_head, print_row, summary  # noqa: E402

PACKAGES = ["torch", "numpy", "openvino", "nncf", "ai-edge-litert"]
WORK = ROOT / "build" / "peers" / "speed_networks"


def program_of(name, batch):
    return WORK / f"{name}_{batch}.tflite"


def prepare(name, program, batches):
    """Writes NAME.pt2 and NAME.xml, unless they are there, and a .tflite a batch: LiteRT cannot change it."""
    import nncf
    import numpy as np
    import openvino
    import torch
    from networks import NETWORKS

    make, shape = NETWORKS[name]
    WORK.mkdir(parents=True, exist_ok=True)
    model, data = WORK / f"{name}.pt2", WORK / f"{name}.npy"
    if not (WORK / f"{name}.xml").exists():
        torch.manual_seed(0)
        network = make().train()
        with torch.no_grad():  # BatchNorms take the data's statistics
            for _ in range(4):
                network(torch.randn(8, *shape))
        exported = torch.export.export(network.eval(), (torch.randn(1, *shape),))
        torch.export.save(exported, model)
        np.save(data, torch.randn(8, *shape).numpy())
        images = np.load(data)
        converted = openvino.convert_model(exported)
        samples = nncf.Dataset([images[i : i + 1] for i in range(len(images))])
        openvino.save_model(nncf.quantize(converted, samples, subset_size=len(images)), WORK / f"{name}.xml")
    for batch in {1, *batches}:
        flags = ["--calibrate", f"npy:{data}", "--nhwc-io", "--batch", batch, "--quiet"]
        octet(program, "quantize", model, *flags, "-o", program_of(name, batch))


def in_litert(name, batch, threads):
    import numpy as np
    from ai_edge_litert import interpreter as litert

    program = litert.Interpreter(str(program_of(name, batch)), num_threads=threads)
    program.allocate_tensors()
    image = program.get_input_details()[0]
    program.set_tensor(image["index"], np.random.randint(-128, 128, image["shape"]).astype(np.int8))
    return program.invoke


def in_openvino(name, batch, threads):
    import numpy as np
    import openvino
    from networks import NETWORKS

    core = openvino.Core()
    model = core.read_model(WORK / f"{name}.xml")
    shape = [batch, *NETWORKS[name][1]]
    model.reshape(shape)
    hints = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(model, "CPU", hints).create_infer_request()
    request.set_input_tensor(openvino.Tensor(np.random.randn(*shape).astype(np.float32)))
    return request.infer


SIDES = {"litert": in_litert, "openvino": in_openvino}


def child(side, name, batch, threads, seconds):
    """Prints the milliseconds of as many runs as the seconds hold, at least three."""
    run = SIDES[side](name, int(batch), int(threads))
    run()
    run()
    times, end = [], time.perf_counter() + float(seconds)
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - start))
    print(statistics.median(times))


def of_peer(side, name, batch, threads, options):
    arguments = [side, name, str(batch), str(threads), str(options.seconds)]
    done = subprocess.run([sys.executable, __file__, "--here", "--child", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        print((done.stderr or "failed").strip().splitlines()[-1][:200], file=sys.stderr)
        return None
    return float(done.stdout.split()[-1])


def of_octet(name, batch, threads, runs, options):
    settings = {"--fastest": 1, "--batch": batch, "--threads": threads, "--rounds": runs}
    words = [str(word) for pair in settings.items() for word in pair]
    command = [options.bench, *words, program_of(name, 1), WORK / f"{name}.pt2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    line = re.search(r"int8, (\w+) *\| *([\d.]+) ms", done.stdout)
    return line[1], float(line[2])


def compare(name, batch, threads, options):
    path, first = of_octet(name, batch, threads, 3, options)
    runs = max(3, min(1000, int(1e3 * options.seconds / first)))
    ours, theirs = [], {side: [] for side in SIDES}
    for _ in range(options.rounds):
        ours.append(of_octet(name, batch, threads, runs, options)[1])
        for side in SIDES:
            theirs[side].append(of_peer(side, name, batch, threads, options))
    ratios = [summary([a / b if b else None for a, b in zip(ours, theirs[side])]) for side in SIDES]
    cells = [name, batch, threads, path, summary(ours), *map(summary, theirs.values()), *ratios]
    print_row(cells)


def main():
    from networks import NETWORKS

    parser = argparse.ArgumentParser()
    parser.add_argument("--octet", default=ROOT / "build" / "octet")
    parser.add_argument("--bench", default=ROOT / "build" / "bench_integer")
    parser.add_argument("--only", nargs="+", default=list(NETWORKS))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args([word for word in sys.argv[1:] if word != "--here"])
    ready = []
    for name in options.only:
        try:
            prepare(name, options.octet, options.batches)
            ready.append(name)
        except RuntimeError as error:  # a tool that does not take the network
            print(f"{name}: {error}", file=sys.stderr)
    heads = ["network", "batch", "threads", "path", "octet, ms", "LiteRT, ms", "OpenVINO, ms", "octet / LiteRT"]
    heads.append("octet / OpenVINO")
    print_head(heads)
    for name in ready:
        for batch in options.batches:
            for threads in options.threads:
                compare(name, batch, threads, options)


if __name__ == "__main__":
    if "--here" not in sys.argv:
        sys.exit(run_again(__file__, "speed", PACKAGES, sys.argv[1:]))
    if "--child" in sys.argv:
        child(*sys.argv[sys.argv.index("--child") + 1 :])
    else:
        main()
