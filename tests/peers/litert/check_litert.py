#!/usr/bin/env python3
"""Exports every golden case to .tflite with octet, runs it in LiteRT and in octet, and compares what they give.

    check_litert.py [--octet build/octet] [--ways default plain nhwc-io float-io] [--only CASE ...] [--keep FOLDER]

LiteRT runs with its reference kernels and with XNNPACK. int8 inputs are drawn over the whole range, seeded by the case.
--keep FOLDER writes what the suite's litert_test reads: the default way's files, the first draw and LiteRT's outputs.
A virtual environment is made under build/peers (once); --here takes the Python that runs this.
"""
import argparse
import collections
import multiprocessing
import pathlib
import shutil
import sys
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "peers"))
from environment import octet, run_again  # noqa: E402

LITERT = "2.3.0"
ENVIRONMENT = (f"litert-{LITERT}", [f"ai-edge-litert=={LITERT}", "numpy"])
FLAGS = {"default": [], "plain": ["--plain"], "nhwc-io": ["--nhwc-io"], "float-io": ["--float-io"]}
# Operators that may part by a step: the reference computes them in float, or by a table made in float.
STEP_ALLOWED = {"SOFTMAX", "LOG_SOFTMAX", "LOGISTIC", "TANH", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"}
FLOAT_TOLERANCE = 1e-5


def in_litert(path, inputs, resolver):
    """(operators, [(inputs, outputs)], grids) of one file; `resolver` is reference or xnnpack. A grid is the step of a
    float output that DEQUANTIZE made, or 0."""
    from ai_edge_litert import interpreter as litert

    kinds = {"reference": litert.OpResolverType.BUILTIN_REF, "xnnpack": litert.OpResolverType.AUTO}
    program = litert.Interpreter(str(path), num_threads=1, experimental_op_resolver_type=kinds[resolver])
    steps = program._get_ops_details()
    dequantized = {each["outputs"][0]: each["inputs"][0] for each in steps if each["op_name"] == "DEQUANTIZE"}
    scales = {each["index"]: float(each["quantization"][0]) for each in program.get_tensor_details()}
    grids = [scales.get(dequantized.get(each["index"]), 0.0) for each in program.get_output_details()]
    operators = [each["op_name"] for each in steps]
    program.allocate_tensors()
    outputs = []
    for arrays in inputs(program.get_input_details()) if callable(inputs) else inputs:
        for detail, array in zip(program.get_input_details(), arrays):
            program.set_tensor(detail["index"], array)
        program.invoke()
        outputs.append((arrays, [program.get_tensor(each["index"]).copy() for each in program.get_output_details()]))
    return operators, outputs, grids


def _child(pipe, arguments):
    try:
        pipe.send((True, in_litert(*arguments)))
    except Exception as error:  # whatever LiteRT throws at a file is a finding
        pipe.send((False, f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"))


class Ended(RuntimeError):
    """LiteRT's process ended before it answered."""


def litert_apart(*arguments):
    """in_litert in a process of its own: a kernel that aborts is a finding as well."""
    here, there = multiprocessing.Pipe(False)
    child = multiprocessing.Process(target=_child, args=(there, arguments))
    child.start()
    there.close()
    try:
        fine, result = here.recv()
    except EOFError:
        child.join()
        raise Ended(f"LiteRT ended with {child.exitcode}") from None
    child.join()
    if not fine:
        raise RuntimeError(result)
    return result


def draws(case, count, numpy, folder, attempt):
    """A function that draws inputs for what the file asks: int8 over the whole range, float as in the case's test."""

    def draw(details):
        random = numpy.random.default_rng(zlib.crc32(case.encode()) + attempt)
        for _ in range(count):
            arrays = []
            for j, detail in enumerate(details):
                shape, kind = detail["shape"], detail["dtype"]
                if kind == numpy.float32:
                    reach = 1.25 * float(numpy.abs(numpy.load(folder / f"test_{j}.npy")).max())
                    arrays.append(random.uniform(-reach, reach, shape).astype(numpy.float32))
                else:
                    span = numpy.iinfo(kind)
                    arrays.append(random.integers(span.min, span.max, shape, dtype=kind, endpoint=True))
            yield arrays

    return draw


def in_octet(options, path, inputs, shapes, work, numpy):
    """What octet gives for each draw; all in one run where the program takes several samples."""

    def run(arrays):
        names_in = [work / f"in_{j}.npy" for j in range(len(arrays))]
        names_out = [work / f"out_{j}.npy" for j in range(len(shapes))]
        for name, array in zip(names_in, arrays):
            numpy.save(name, array)
        octet(options.octet, "run", path, "--input", *names_in, "--output", *names_out)
        return [numpy.load(name) for name in names_out]

    together = len(inputs) > 1 and all(array.ndim for array in shapes)
    if together:
        try:
            results = run([numpy.concatenate(arrays) for arrays in zip(*inputs)])
            parts = [numpy.split(result, len(inputs)) for result in results]
            if all(part[0].shape == array.shape for part, array in zip(parts, shapes)):
                return [list(draw) for draw in zip(*parts)]
        except (RuntimeError, ValueError):  # the first dimension is no batch
            pass
    return [run(arrays) for arrays in inputs]


class Difference:
    """How far two tools part: elements, differing ones, largest step (of a float result: relative to its largest)."""

    def __init__(self):
        self.elements = self.differing = self.float_elements = self.float_far = 0
        self.step, self.relative = 0, 0.0
        self.shape = ""

    def add(self, numpy, got, wanted, grid):
        if got.shape != wanted.shape or got.dtype != wanted.dtype:
            self.shape = f"{got.dtype}{list(got.shape)} instead of {wanted.dtype}{list(wanted.shape)}"
            return
        apart = numpy.abs(got.astype(numpy.float64) - wanted.astype(numpy.float64))
        if got.dtype == numpy.float32 and not grid:
            relative = apart / max(float(numpy.abs(wanted).max()), 1e-30)
            relative = numpy.where(numpy.isnan(got) & numpy.isnan(wanted) | (got == wanted), 0.0, relative)
            self.float_elements += got.size
            self.float_far += int((~(relative <= FLOAT_TOLERANCE)).sum())
            self.relative = max(self.relative, float(relative.max(initial=0.0)))
        else:
            steps = numpy.rint(apart / grid).astype(numpy.int64) if grid else apart.astype(numpy.int64)
            self.elements += got.size
            self.differing += int((steps > 0).sum())
            self.step = max(self.step, int(steps.max(initial=0)))

    def text(self):
        if self.shape:
            return self.shape
        parts = [f"{self.differing}" + (f" (by {self.step})" if self.step > 1 else "")] * bool(self.elements)
        parts += [f"{self.float_far} float (most {self.relative:.1e})"] * bool(self.float_elements)
        return ", ".join(parts)


def compare(numpy, octets, theirs, grids):
    difference = Difference()
    for mine, (_, their) in zip(octets, theirs):
        for j, (got, wanted) in enumerate(zip(mine, their, strict=True)):
            difference.add(numpy, got, wanted, grids[j])
    return difference


def verdict(reference, xnnpack, operators):
    """equal, one step (where that is allowed), no oracle, or different."""
    if reference.shape or reference.float_far:
        return "different"
    if reference.differing == 0:
        return "equal"
    if reference.step <= 1 and STEP_ALLOWED & set(operators):
        return "one step"
    # LiteRT's reference SUM on one grid gives no sums (-1 for 255 of 256 different ones); XNNPACK's does.
    if "SUM" in operators and xnnpack is not None and xnnpack.step <= 1:
        return "no oracle"
    return "different"


def in_reference(options, case, path, numpy):
    """in_litert with the reference kernels. Their softmax aborts where the exponentials of a row sum to 512 or more (a
    shift by more than 31 bits): then other inputs are drawn."""
    for attempt in range(64):
        try:
            return litert_apart(path, draws(case, options.draws, numpy, options.cases / case, attempt), "reference")
        except Ended:
            if "softmax" not in case:
                raise
    raise RuntimeError("LiteRT's softmax aborts on every draw")


def check(options, case, way, numpy):
    """One row of the table."""
    work = options.work / case
    path = work / f"{way}.tflite"
    octet(options.octet, "export", work / "q.octet", "--tflite", path, *FLAGS[way])
    operators, reference, grids = in_reference(options, case, path, numpy)
    inputs = [arrays for arrays, _ in reference]
    mine = in_octet(options, path, inputs, reference[0][1], work, numpy)
    first, second = compare(numpy, mine, reference, grids), None
    try:
        second = compare(numpy, mine, litert_apart(path, inputs, "xnnpack")[1], grids)
        text = second.text()
    except RuntimeError as error:
        text = str(error)
    result = verdict(first, second, operators)
    if options.keep and way == "default" and result != "no oracle":
        keep(options, case, path, reference[0], numpy)
    return operators, first, second, text, result


def keep(options, case, path, run, numpy):
    target = options.keep
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target / f"{case}.tflite")
    for kind, arrays in zip(("in", "out"), run):
        for j, array in enumerate(arrays):
            numpy.save(target / f"{case}_{kind}_{j}.npy", array)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--octet", type=pathlib.Path, default=ROOT / "build" / "octet")
    parser.add_argument("--cases", type=pathlib.Path, default=ROOT / "tests" / "data" / "golden" / "cases")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "peers" / "litert-files")
    parser.add_argument("--ways", nargs="+", choices=list(FLAGS), default=list(FLAGS))
    parser.add_argument("--only", nargs="+", metavar="CASE")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--keep", type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--qat", action="store_true", help="the program of quantization-aware training")
    parser.add_argument("--here", action="store_true", help="this Python has LiteRT already")
    options = parser.parse_args()
    if not options.here:
        return run_again(__file__, *ENVIRONMENT, sys.argv[1:])
    import numpy
    import ai_edge_litert.interpreter  # before the processes that use it

    ways = [way for way in FLAGS if way in options.ways]
    counts = {way: collections.Counter() for way in ways}
    sums = {way: collections.Counter() for way in ways}
    steps = {way: collections.Counter() for way in ways}  # files by their largest step against XNNPACK
    cases = options.only or sorted(each.name for each in options.cases.iterdir() if each.is_dir())
    print("| case | way | operators | elements | against reference | against XNNPACK | verdict |")
    print("|---|---|---|---|---|---|---|")
    for case in cases:
        (options.work / case).mkdir(parents=True, exist_ok=True)
        folder = options.cases / case
        try:
            arguments = [folder / "model.pt2", "--calibrate", f"npy:{folder}/calib_*.npy", "--quiet"]
            octet(options.octet, "quantize", *arguments, *["--qat"] * options.qat, "-o", options.work / case / "q.octet")
        except RuntimeError as error:
            print(f"| {case} | | | | | | not quantized: {error} |", flush=True)
            continue
        for way in ways:
            try:
                operators, first, second, text, result = check(options, case, way, numpy)
            except RuntimeError as error:
                result = "not lowered" if "TFLite has no operator" in str(error) else "failed"
                print(f"| {case} | {way} | | | | | {result}: {error} |", flush=True)
            else:
                kinds = " ".join(sorted(set(operators)))
                elements = first.elements + first.float_elements
                print(f"| {case} | {way} | {kinds} | {elements} | {first.text()} | {text} | {result} |", flush=True)
                sums[way]["elements"] += elements
                sums[way]["differing"] += (first.differing + first.float_far) * (result != "no oracle")
                if second is not None:
                    sums[way]["xnnpack"] += second.differing + second.float_far
                    steps[way][second.step] += 1
            counts[way][result] += 1
    print()
    for way in ways:
        summary = ", ".join(f"{count} {kind}" for kind, count in sorted(counts[way].items()))
        total, reference, xnnpack = (sums[way][key] for key in ("elements", "differing", "xnnpack"))
        print(f"{way}: {summary}; of {total} elements {reference} differ from the reference, {xnnpack} from XNNPACK")
        print("  files by their largest step against XNNPACK:", dict(sorted(steps[way].items())))
    return 1 if any(counts[way]["failed"] + counts[way]["different"] for way in ways) else 0


if __name__ == "__main__":
    sys.exit(main())
