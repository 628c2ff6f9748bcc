#!/usr/bin/env python3
"""Gives the program files made to hurt, in every format that it reads, and holds it to docs/security.md.

    check_hostile.py [--octet build/octet] [--only PART ...] [--write FOLDER] [--all]

Each file goes to `inspect` and to `run`. What must hold: status 0 or 1 and no signal; with 1 one line, without control
characters or the insides of libtorch; less than 2 s of a processor and 300 MB; nothing else on the disk has changed. A file
that is taken does no harm either: its name is printed with --all. --write keeps the files.
A virtual environment is made under build/peers (once); --here takes the Python that runs this.
"""
import argparse
import os
import pathlib
import re
import resource
import socket
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "peers"))
from environment import run_again  # noqa: E402

ENVIRONMENT = ("hostile", ["ai-edge-litert==2.3.0", "onnx==1.18.0", "numpy"])
SECONDS, MEGABYTES = 2, 300
LIMIT = 30  # seconds of a processor, at which a run ends
CASES = ROOT / "tests" / "data" / "golden" / "cases"
INSIDES = re.compile(r"/pytorch/|aten/src|torch/csrc|INTERNAL ASSERT|\.cpp:\d+")


def all_files():
    import containers
    import exports
    import onnx_files
    import tflite_files

    return {
        **containers.files(),
        **exports.files(CASES / "linear" / "model.pt2"),
        **onnx_files.files(),
        **tflite_files.files(ROOT / "tests" / "data" / "litert" / "conv_bn_relu.tflite"),
    }


def furnish(box, numpy):
    """What files may name: a victim, links, a pipe, a socket, a folder, a file of 4 TB without a byte."""
    (box / "victim.txt").write_text("0123456789abcdef")
    (box / "data.bin").write_bytes(b"\0" * 16)
    (box / "link.bin").symlink_to("/etc/passwd")
    (box / "linked").symlink_to("/")
    (box / "folder").mkdir()
    os.mkfifo(box / "pipe")
    with open(box / "sparse.bin", "wb") as file:
        file.truncate(1 << 42)
    at = os.getcwd()
    os.chdir(box)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("socket")
    os.chdir(at)
    for name, shape in (("row", (1, 4)), ("export", (4, 16)), ("image", (1, 2, 4, 4)), ("last", (1, 4, 4, 1)),
                        ("one", (1, 1)), ("pixel", (1, 1, 1, 1)), ("network", (4, 3, 16, 16))):
        numpy.save(box / f"{name}.npy", numpy.zeros(shape, numpy.float32))
    return listener


def input_of(name):
    kind = pathlib.Path(name).suffix
    if kind == ".pt2":
        return "export.npy"
    if kind == ".tflite":
        small = {"broadcast": "one", "resize": "pixel", "pad": "row", "index": "row"}
        program = re.fullmatch(r"program_(.*)\.tflite", name)
        return (small.get(program[1], "last") if program else "network") + ".npy"
    return "image.npy" if re.match("Conv|MaxPool|AveragePool|Resize", name) else "row.npy"


def commands(name):
    if name.endswith(".pth"):
        return [["inspect", "resnet8", "--weights", name]]
    size = ["--input-size", "1,4"] if name.endswith(".pt") else []
    made = [["inspect", name, *size]]
    return made if size else [*made, ["run", name, "--input", input_of(name), "--output", "result.npy"]]


def snapshot(box):
    state = [(path, *(getattr(path.lstat(), "st_" + fact) for fact in ("size", "mtime_ns", "ino", "mode")))
             for path in box.rglob("*") if path.name not in ("result.npy", "out", "err")]
    return sorted(state), os.path.exists("/tmp/owned")


def measured(program, arguments, box):
    """Status, processor seconds, MB, what stood on stdout and stderr."""
    child = os.fork()
    if child == 0:
        try:
            os.chdir(box)
            resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT))
            for descriptor, name in ((1, "out"), (2, "err")):
                os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
            os.execve(program, [program, *arguments], dict(os.environ, OMP_NUM_THREADS="1"))
        finally:
            os._exit(127)
    _, status, used = os.wait4(child, 0)
    texts = [(box / name).read_text(errors="replace") for name in ("out", "err")]
    return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, *texts


def broken(status, seconds, megabytes, out, err):
    """Which promises are."""
    if status not in (0, 1):
        yield f"status {status}"
    if status == 1 and len(err.strip().splitlines()) != 1:
        yield f"{len(err.strip().splitlines())} lines"
    if seconds > SECONDS:
        yield f"{seconds:.1f} s"
    if megabytes > MEGABYTES:
        yield f"{megabytes:.0f} MB"
    if re.search(r"[\x00-\x08\x0b-\x1f]", out + err):
        yield "control characters"
    if status == 1 and INSIDES.search(err):
        yield "insides of libtorch"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--octet", type=pathlib.Path, default=ROOT / "build" / "octet")
    parser.add_argument("--only", nargs="+", metavar="PART", help="files whose names hold one of these")
    parser.add_argument("--write", type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--all", action="store_true", help="print what was taken, too")
    parser.add_argument("--here", action="store_true", help="this Python has the packages already")
    options = parser.parse_args()
    if not options.here:
        return run_again(__file__, *ENVIRONMENT, sys.argv[1:])
    import numpy

    files = {name: data for name, data in all_files().items()
             if not options.only or any(part in name for part in options.only)}
    if options.write:
        options.write.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (options.write / name).write_bytes(data)
    program = str(options.octet.resolve())
    runs = taken = found = 0
    with tempfile.TemporaryDirectory(prefix="hostile_") as folder:
        box = pathlib.Path(folder)
        listener = furnish(box, numpy)
        for name, data in files.items():
            (box / name).write_bytes(data)
            before = snapshot(box)
            for command in commands(name):
                result = measured(program, command, box)
                faults = list(broken(*result))
                if snapshot(box) != before:
                    faults.append("THE DISK CHANGED")
                    before = snapshot(box)
                runs, taken, found = runs + 1, taken + (result[0] == 0), found + bool(faults)
                if faults or options.all and result[0] == 0:
                    said = (result[4].strip().splitlines() or [""])[-1][:200]
                    print(f"{command[0]} {name}: {', '.join(faults) or 'taken'} ({result[1]:.2f} s, {result[2]:.0f} MB) {said}",
                          flush=True)
            (box / name).unlink()
        listener.close()
    print(f"{len(files)} files, {runs} runs: {runs - taken - found} refused as promised, {taken} taken, {found} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
