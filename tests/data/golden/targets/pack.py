#!/usr/bin/env python3
"""Packs recorded rows of the targets: pack.py FOLDER, with FOLDER/TARGET/MODE/CASE.json and CASE_out.npy, into
TARGET/MODE.json.gz beside this script: {"cases": {CASE: rows}, "outputs": {CASE: values}, "fails": [CASE],
"nothing": [CASE]}. Outputs of up to 256 values stay; "fails" are the cases in which the reference itself ends with an error,
"nothing" those of which it quantizes nothing (FOLDER/TARGET/MODE/nothing.txt)."""

import ast
import gzip
import json
import pathlib
import struct
import sys


def values(path):
    """A float32 .npy file, flat."""
    data = path.read_bytes()
    length = struct.unpack("<H", data[8:10])[0]
    header = ast.literal_eval(data[10 : 10 + length].decode())
    assert data[6] == 1 and header["descr"] == "<f4" and not header["fortran_order"], path
    count = (len(data) - 10 - length) // 4
    return struct.unpack(f"<{count}f", data[10 + length :])


def main():
    source, here = pathlib.Path(sys.argv[1]), pathlib.Path(__file__).parent
    for folder in sorted(path for path in source.glob("*/*") if path.is_dir()):
        packed = {"cases": {}, "outputs": {}, "fails": [], "nothing": []}
        for path in sorted(folder.iterdir()):
            if path.suffix == ".error":
                packed["fails"].append(path.stem)
            elif path.name == "nothing.txt":
                packed["nothing"] = path.read_text().split()
            elif path.suffix == ".json":
                rows = json.loads(path.read_text())
                packed["cases"][path.stem] = [row for row in rows if "getitem" not in row["op"]]
            elif path.name.endswith("_out.npy"):
                output = values(path)
                if len(output) <= 256:
                    packed["outputs"][path.name[: -len("_out.npy")]] = [float(f"{value:.7g}") for value in output]
        target = here / folder.parent.name / (folder.name + ".json.gz")
        target.parent.mkdir(exist_ok=True)
        text = json.dumps(packed, separators=(",", ":")).encode()
        target.write_bytes(gzip.compress(text, 9, mtime=0))


main()
