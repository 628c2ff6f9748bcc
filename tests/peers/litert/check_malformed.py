#!/usr/bin/env python3
"""Spoils valid .tflite files, one fact or two at a time, and holds octet's verdict against LiteRT's reference kernels.

    check_malformed.py [--octet build/octet] [--count 1000] [--seed 0] [--only NAME ...] [--keep FOLDER]

Both tools get the same file and the same inputs, each in a process of its own. What counts:

    lenient     octet computes what LiteRT refuses
    different   both compute, and other numbers
    crash       octet ends in a signal, says other than one line, or takes more than 10 s of a processor

Where octet refuses what LiteRT computes it is only counted, by message: octet knows fewer forms, and takes no file at its
word. A virtual environment is made under build/peers (once); --here takes the Python that runs this.
"""
import argparse
import collections
import copy
import multiprocessing
import os
import pathlib
import random
import re
import resource
import struct
import subprocess
import sys

from check_litert import ENVIRONMENT, ROOT, STEP_ALLOWED, Difference, in_litert

sys.path.insert(0, str(ROOT / "tests" / "peers"))
from environment import run_again  # noqa: E402

SECONDS = 10
EDGES = [0, 1, -1, 2, 3, 127, 128, 255, 256, -128, -129, 1 << 16, 2**31 - 1, -(2**31)]
REALS = [0.0, -1.0, 1e-38, 1e-10, 1.0, 1e10, 3e38, float("inf"), float("nan")]
KINDS = {0: "float32", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8"}
MOST_ELEMENTS = 1 << 22


def number(draw, old):
    return draw.choice([old + draw.randint(-2, 2), draw.randint(-3, 8), old * 2, draw.choice(EDGES)])


def fits(value, bits=32):
    return max(-(2 ** (bits - 1)), min(2 ** (bits - 1) - 1, int(value)))


def spoil_list(draw, values, make):
    """A changed copy of a list of numbers: another number, one more, one fewer."""
    values = [] if values is None else [value.item() if hasattr(value, "item") else value for value in values]
    at = draw.randrange(len(values) + 1)
    choice = draw.randrange(6)
    if choice == 0:
        values.insert(at, make(1))
    elif choice == 1 and values:
        del values[min(at, len(values) - 1)]
    elif values:
        at = min(at, len(values) - 1)
        values[at] = make(values[at])
    return values


def spoil_tensor(draw, model, tensor):
    q = tensor.quantization
    choice = draw.randrange(9)
    if choice <= 1:
        tensor.shape = spoil_list(draw, tensor.shape, lambda old: fits(number(draw, old)))
    elif choice == 2:
        tensor.type = draw.choice([0, 1, 2, 3, 4, 6, 7, 9, 10, 17])
    elif choice == 3 and q is not None:
        q.scale = spoil_list(draw, q.scale, lambda old: draw.choice(REALS + [old * 2, old / 3]))
    elif choice == 4 and q is not None:
        q.zeroPoint = spoil_list(draw, q.zeroPoint, lambda old: fits(number(draw, old), 64))
    elif choice == 5 and q is not None:
        q.quantizedDimension = fits(number(draw, q.quantizedDimension))
    elif choice == 6:
        tensor.buffer = draw.randrange(len(model.buffers) + 1)
    elif choice == 7:
        tensor.isVariable = True
    else:
        data = model.buffers[tensor.buffer].data
        if data is None or len(data) == 0:
            return
        data = bytearray(bytes(data))
        way = draw.randrange(4)
        if way == 0:
            del data[draw.randrange(len(data)) :]
        elif way == 1:
            data += bytes(draw.randrange(1, 9))
        elif KINDS.get(tensor.type) == "int32" and len(data) % 4 == 0:
            at = draw.randrange(len(data) // 4) * 4
            old = int.from_bytes(data[at : at + 4], "little", signed=True)
            data[at : at + 4] = fits(number(draw, old)).to_bytes(4, "little", signed=True)
        else:
            data[draw.randrange(len(data))] = draw.randrange(256)
        model.buffers[tensor.buffer].data = list(data)


def spoil_operator(draw, schema, model, graph, op):
    choice = draw.randrange(8)
    options = op.builtinOptions
    if choice <= 3 and options is not None and vars(options):
        name = draw.choice(sorted(vars(options)))
        old = getattr(options, name)
        if isinstance(old, bool):
            setattr(options, name, not old)
        elif isinstance(old, float):
            setattr(options, name, draw.choice(REALS + [old * 2]))
        elif isinstance(old, int):
            small = re.search("padding|activation|Type|Format|mode", name)
            setattr(options, name, draw.randint(-1, 5) if small else fits(number(draw, old)))
        elif old is not None:
            setattr(options, name, spoil_list(draw, old, lambda each: fits(number(draw, each))))
    elif choice == 4 and op.inputs is not None and len(op.inputs):
        op.inputs = spoil_list(draw, op.inputs, lambda old: draw.choice([-1, draw.randrange(len(graph.tensors))]))
    elif choice == 5:
        op.outputs = spoil_list(draw, op.outputs, lambda old: draw.randrange(len(graph.tensors)))
    elif choice == 6:
        kind = copy.copy(model.operatorCodes[op.opcodeIndex])
        names = [name for name in vars(schema.BuiltinOperator) if name.isupper()]
        kind.builtinCode = getattr(schema.BuiltinOperator, draw.choice(names))
        kind.deprecatedBuiltinCode = min(kind.builtinCode, 127)
        model.operatorCodes.append(kind)
        op.opcodeIndex = len(model.operatorCodes) - 1
    elif choice == 7:
        op.builtinOptions, op.builtinOptionsType = None, 0


def spoil_graph(draw, graph):
    choice = draw.randrange(5)
    if choice == 0:
        graph.inputs = spoil_list(draw, graph.inputs, lambda old: draw.randrange(len(graph.tensors)))
    elif choice == 1:
        graph.outputs = spoil_list(draw, graph.outputs, lambda old: draw.randrange(len(graph.tensors)))
    elif choice == 2 and len(graph.operators) > 1:
        a, b = draw.sample(range(len(graph.operators)), 2)
        graph.operators[a], graph.operators[b] = graph.operators[b], graph.operators[a]
    elif choice == 3:
        graph.operators.insert(draw.randrange(len(graph.operators) + 1), draw.choice(graph.operators))
    elif len(graph.operators) > 1:
        del graph.operators[draw.randrange(len(graph.operators))]


def spoilt(schema, flatbuffers, numpy, valid, draw):
    """Bytes of the file with one to three facts changed, and its inputs' shapes and types."""
    model = schema.ModelT.InitFromPackedBuf(valid, 0)
    graph = model.subgraphs[0]
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        way = draw.randrange(10)
        if way < 5:
            spoil_tensor(draw, model, draw.choice(graph.tensors))
        elif way < 9 and graph.operators:
            spoil_operator(draw, schema, model, graph, draw.choice(graph.operators))
        else:
            spoil_graph(draw, graph)
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    wanted = [graph.tensors[i] for i in graph.inputs if i < len(graph.tensors)]
    return bytes(builder.Output()), [([int(n) for n in each.shape], each.type) for each in wanted]


def inputs_of(numpy, wanted, seed):
    """Arrays for what the file asks, or None where no tool could take them."""
    random_ = numpy.random.default_rng(seed)
    arrays = []
    for shape, kind in wanted:
        elements = 1
        for size in shape:
            elements *= size
        if kind not in KINDS or min(shape, default=0) < 0 or elements > MOST_ELEMENTS:
            return None
        dtype = numpy.dtype(KINDS[kind])
        if dtype.kind == "f":
            arrays.append(random_.uniform(-4, 4, shape).astype(dtype))
        elif dtype.kind == "b":
            arrays.append(random_.integers(0, 2, shape).astype(dtype))
        else:
            span = numpy.iinfo(dtype) if dtype.itemsize < 4 else numpy.iinfo(numpy.int8)
            arrays.append(random_.integers(span.min, span.max, shape, dtype=dtype, endpoint=True))
    return arrays


def limit():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def _child(pipe, path, arrays):
    limit()
    resource.setrlimit(resource.RLIMIT_DATA, (4 << 30, 4 << 30))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    try:
        operators, results, _ = in_litert(path, [arrays], "reference")
        pipe.send(("runs", operators, results[0][1]))
    except Exception as error:
        pipe.send(("refuses", str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__, None))


def by_litert(path, arrays):
    here, there = multiprocessing.Pipe(False)
    child = multiprocessing.Process(target=_child, args=(there, path, arrays))
    child.start()
    there.close()
    try:
        answer = here.recv()
    except EOFError:
        answer = None
    child.join()
    return answer or ("crashes", f"ended with {child.exitcode}", None)


def by_octet(numpy, program, path, arrays, outputs, work):
    names_in = [work / f"in_{j}.npy" for j in range(len(arrays))]
    names_out = [work / f"out_{j}.npy" for j in range(outputs)]
    for name, array in zip(names_in, arrays):
        numpy.save(name, array)
    for name in names_out:
        name.unlink(missing_ok=True)
    command = [program, "run", path, *(["--input", *names_in] if names_in else []), "--output", *names_out]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, preexec_fn=limit,
                          env=dict(os.environ, OMP_NUM_THREADS="1"))
    lines = done.stderr.strip().splitlines()
    if done.returncode == 0:
        return "runs", "", [numpy.load(name) for name in names_out]
    if done.returncode != 1 or len(lines) != 1:
        return "crash", f"status {done.returncode}: {done.stderr.strip()[:300]}", None
    return "refuses", lines[0], None


def kind_of_message(text):
    """The message without what changes from file to file."""
    text = re.sub(r"'[^']*'", "'...'", text)
    text = re.sub(r"\[[^\]]*\.tflite[^\]]*\]", "[FILE]", text)
    return re.sub(r"-?\d+(\.\d+)?(e[+-]?\d+)?", "N", text)[:140]


def judge(numpy, theirs, mine, operators):
    if mine[0] == "crash":
        return "crash", mine[1]
    if theirs[0] != "runs":
        return ("lenient", f"LiteRT {theirs[0]}: {theirs[1]}") if mine[0] == "runs" else ("both refuse", "")
    if mine[0] == "refuses":
        return "octet refuses", mine[1]
    difference = Difference()
    for got, wanted in zip(mine[2], theirs[2]):
        difference.add(numpy, got, wanted, 0.0)
    if difference.shape or difference.float_far:
        return "different", difference.text()
    if difference.differing and not (difference.step <= 1 and STEP_ALLOWED & set(operators)):
        return "different", difference.text()
    return "equal", ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--octet", type=pathlib.Path, default=ROOT / "build" / "octet")
    parser.add_argument("--files", type=pathlib.Path, nargs="+", default=[ROOT / "tests" / "data" / "litert"])
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "peers" / "malformed")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--keep", type=pathlib.Path, metavar="FOLDER", help="where the files of findings are kept")
    parser.add_argument("--here", action="store_true", help="this Python has LiteRT already")
    options = parser.parse_args()
    if not options.here:
        return run_again(__file__, *ENVIRONMENT, sys.argv[1:])
    import ai_edge_litert.interpreter  # before the processes that use it
    import flatbuffers
    import numpy
    from ai_edge_litert import schema_py_generated as schema

    options.work.mkdir(parents=True, exist_ok=True)
    files = sorted(path for folder in options.files for path in folder.rglob("*.tflite"))
    if options.only:
        files = [path for path in files if path.stem in options.only]
    counts, strict, found = collections.Counter(), collections.Counter(), 0
    path = options.work / "spoilt.tflite"
    unknown = {}  # files whose operators LiteRT's reference kernels lack, spoilt or not
    for i in range(options.count):
        base = files[i % len(files)]
        seed = options.seed * 1_000_003 + i
        try:
            data, wanted = spoilt(schema, flatbuffers, numpy, base.read_bytes(), random.Random(seed))
        except (OverflowError, TypeError, ValueError, IndexError, struct.error):  # what no flatbuffer can say
            counts["not written"] += 1
            continue
        arrays = inputs_of(numpy, wanted, seed)
        if arrays is None:
            arrays = []
        path.write_bytes(data)
        theirs = by_litert(path, arrays)
        if "Registration failed" in theirs[1]:
            if base not in unknown:
                unknown[base] = "Registration failed" in by_litert(base, [])[1]
            if unknown[base]:
                counts["unknown to LiteRT"] += 1
                continue
        outputs = max(1, len(theirs[2] or []))
        mine = by_octet(numpy, options.octet, path, arrays, outputs, options.work)
        verdict, text = judge(numpy, theirs, mine, theirs[1] if theirs[0] == "runs" else [])
        counts[verdict] += 1
        if verdict == "octet refuses":
            strict[kind_of_message(text)] += 1
        if verdict in ("lenient", "different", "crash"):
            found += 1
            print(f"{verdict}: {base.stem}, seed {seed}: {text}", flush=True)
            if options.keep:
                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep / f"{verdict}_{base.stem}_{seed}.tflite").write_bytes(data)
                for j, array in enumerate(arrays):
                    numpy.save(options.keep / f"{verdict}_{base.stem}_{seed}_in_{j}.npy", array)
    print("\nWhat octet refuses and LiteRT computes:")
    for message, count in strict.most_common():
        print(f"{count:6} {message}")
    print("\n" + ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())), f"of {options.count}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
