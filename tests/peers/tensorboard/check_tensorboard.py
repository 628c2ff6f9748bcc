#!/usr/bin/env python3
"""A run's event files in TensorBoard's own reader: one that is left alone, and one that is killed and goes on.

    check_tensorboard.py [--octet build/octet] [--model FLOAT_MODEL]

Without --model the example's MobileNetV2 is trained, build/ptq_mobilenet_v2's. A line a tag and run; exit status 1 where a
step is missing, stands there twice, or has another value than the undisturbed run gives it.
A virtual environment is made under build/peers (once); --here takes the Python that runs this.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "peers"))
from environment import run_again  # noqa: E402

if "--here" not in sys.argv:
    sys.exit(run_again(__file__, "tensorboard", ["tensorboard"], sys.argv[1:]))

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: E402

EPOCHS, STEPS = 3, 8  # of each epoch
OF_TIME = ("samples_per_second", "waiting")


def command(options, model, folder, name):
    return [options.octet, "--threads", "1", "train", model, "--data", "fashion-mnist", "--samples", "256", "--qat",
            "--epochs", str(EPOCHS), "--batch-size", "32", "--json", "--save-every", "0", "--resume",
            "--checkpoints", folder / f"{name}-kept", "--tensorboard", folder / name, "-o", folder / f"{name}.octet"]


def killed(arguments, kills):
    """Runs, and kills behind a random time until it has been killed so often."""
    kept = pathlib.Path(arguments[arguments.index("--checkpoints") + 1])
    newest = lambda: max((path.name for path in kept.glob("step-*.ckpt")), default="")  # noqa: E731
    for _ in range(kills):
        before = newest()
        run = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while newest() == before and run.poll() is None:
            time.sleep(0.01)
        time.sleep(random.uniform(0.0, 1.0))
        run.kill()
        run.wait()


def finished(arguments):
    return json.loads(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)


def read(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0})
    accumulator.Reload()
    return accumulator


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--octet", default="build/octet")
    parser.add_argument("--model")
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--here", action="store_true")
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp())
    if not options.model:
        subprocess.run([ROOT / "build/ptq_mobilenet_v2", "64", "64", f"{folder}/"], check=True, capture_output=True)
    model = options.model or folder / "float.octet"
    results = finished(command(options, model, folder, "alone"))
    killed(command(options, model, folder, "cut"), options.kills)
    finished(command(options, model, folder, "cut"))
    files = len(list((folder / "cut").iterdir()))
    alone, cut = read(folder / "alone"), read(folder / "cut")
    wrong = 0
    print(f"files of the run that was killed: {files}")
    tags = alone.Tags()
    for kind, get in (("scalars", "Scalars"), ("histograms", "Histograms")):
        if tags[kind] != cut.Tags()[kind]:
            wrong += 1
            print(f"{kind}: the runs have other tags")
        for tag in tags[kind]:
            wanted = list(range(EPOCHS * STEPS)) if tag.startswith("step/") else [STEPS * (i + 1) for i in range(EPOCHS)]
            own, other = getattr(alone, get)(tag), getattr(cut, get)(tag)
            steps = [each.step for each in own] == wanted and [each.step for each in other] == wanted
            told = "value" if kind == "scalars" else "histogram_value"
            values = [getattr(each, told) for each in own] == [getattr(each, told) for each in other]
            values = values or tag.endswith(OF_TIME)
            wrong += not (steps and values)
            if kind == "scalars" and "/" in tag and tag.split("/")[0] in ("step", "epoch") or not (steps and values):
                print(f"{tag:28} {len(own):3} values, steps {'as expected' if steps else [each.step for each in other]}, "
                      f"{'of time' if tag.endswith(OF_TIME) else 'equal' if values else 'DIFFERENT'}")
    told = [each.value for each in alone.Scalars("epoch/test_top1")]
    of_run = [epoch["evaluation"]["top1"] for epoch in results["epochs"]]
    same = all(abs(a - b) < 1e-6 for a, b in zip(told, of_run)) and len(told) == len(of_run)
    wrong += not same
    print(f"accuracies as the run tells them: {same}; {len(tags['scalars'])} scalars, {len(tags['histograms'])} histograms; wrong: {wrong}")
    return 1 if wrong else 0


sys.exit(main())
