"""Seeds for the fuzz targets: small files of tests/data, and a few made here for what these lack.

    make_seeds.py DATA SEEDS      DATA is tests/data; SEEDS/TARGET/... are written

Archives become the members that fuzz.h puts together again, so that a mutation does not stop at a checksum.
"""
import gzip
import io
import json
import os
import pathlib
import pickle
import struct
import sys
import zipfile

data, seeds = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
FENCE = b"\n@@@\n"
# What no reader looks at, and what is long and only kept.
UNREAD = ("sample_inputs", "example_inputs", "serialization_id", ".data/version")
UNREAD_KEYS = ("stack_trace", "module_call_graph", "torch_fn")


def put(target, name, content, limit):
    if len(content) > limit:
        return
    folder = seeds / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def name_of(path):
    return "_".join(path.relative_to(data).parts)


def stripped(value):
    if isinstance(value, dict):
        return {k: stripped(v) for k, v in value.items() if k not in UNREAD_KEYS}
    return [stripped(v) for v in value] if isinstance(value, list) else value


def members(path):
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if any(part in info.filename for part in UNREAD):
                continue
            content = archive.read(info)
            if info.filename.endswith(".json"):
                content = json.dumps(stripped(json.loads(content)), separators=(",", ":")).encode()
            # The folder is named after the file; one letter says as much.
            first, slash, rest = info.filename.partition("/")
            yield ("m/" + rest if slash else first), content


def text_of(parts):
    return FENCE.join(name.encode() + b"\n" + content for name, content in parts)


def models_in(content):
    """The models that tests/data/onnx packs, among the tensors of a safetensors file."""
    size = struct.unpack("<Q", content[:8])[0]
    for name, entry in json.loads(content[8:8 + size]).items():
        if name.endswith(".model"):
            begin, end = entry["data_offsets"]
            yield name, content[8 + size + begin:8 + size + end]


def from_data():
    for path in sorted(data.rglob("*.pt2")):
        parts = list(members(path))
        put("pt2", name_of(path), text_of(parts), 5000)
        for name, content in parts:
            if name.endswith(".json"):
                put("json", name_of(path) + "_" + name.replace("/", "_"), content, 1500)
            if content.startswith(b"PK"):  # torch.save inside
                put("torch_save", name_of(path) + "_" + name, text_of(members(io.BytesIO(content))), 2000)
                put("zip", name_of(path) + "_" + name, content, 2000)
    for path in sorted(data.glob("formats/*.pth")):
        content = path.read_bytes()
        if not content.startswith(b"PK"):
            put("torch_save", name_of(path), content, 6000)
            put("pickle", name_of(path), content, 6000)
            continue
        parts = list(members(path))
        put("torch_save", name_of(path), text_of(parts), 6000)
        put("zip", name_of(path), content, 6000)
        for name, member in parts:
            if name.endswith("data.pkl"):
                put("pickle", name_of(path), member, 3000)
    for path in [*sorted(data.glob("torchscript/*.pt")), *data.glob("formats/torchscript.pt")]:
        parts = [(name, content) for name, content in members(path)
                 if not name.endswith("debug_pkl") and "traced_inputs" not in name and ".data/" not in name]
        put("torchscript", name_of(path), text_of(parts), 40000)
    for path in [*sorted(data.glob("images/*.jpg")), *sorted(data.glob("images/*.png")), *sorted(data.glob("images/*.webp"))]:
        put("image", name_of(path), path.read_bytes(), 4000)
    for path in sorted(data.glob("audio/*.wav")):
        put("audio", name_of(path), path.read_bytes(), 4000)
    for path in data.glob("onnx/*.onnx"):
        put("onnx", name_of(path), path.read_bytes(), 10000)
    for path in data.glob("onnx/*.safetensors"):
        for name, content in models_in(path.read_bytes()):
            put("onnx", name, content, 20000)
    for path in data.glob("formats/*.safetensors"):
        put("safetensors", name_of(path), path.read_bytes(), 4000)
    for path in data.rglob("*.tflite"):
        put("tflite", name_of(path), path.read_bytes(), 5000)
    for path in sorted(data.rglob("*.npy"), key=lambda p: (p.stat().st_size, p))[::10]:
        put("npy", name_of(path), path.read_bytes(), 700)


def npy(version, header, content):
    text = header.encode() + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + content


def made_here():
    for kind, size in [("|b1", 1), ("|u1", 1), ("<i2", 2), (">i4", 4), ("<i8", 8), ("<f2", 2), (">f8", 8), ("<c8", 8)]:
        for version, order in [(1, False), (2, True), (3, False)]:
            header = f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': (2, 3), }}"
            put("npy", f"{kind[1:]}_{version}", npy(version, header, bytes(range(6 * size))), 1000)
    put("npy", "scalar", npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (), }", b"abcd"), 1000)

    labels = struct.pack(">II", 0x801, 5) + bytes([3, 1, 4, 1, 5])
    images = struct.pack(">IIII", 0x803, 2, 3, 4) + bytes(range(24))
    for name, content in [("labels", labels), ("images", images)]:
        put("idx", name, content, 1000)
        put("idx", name + "_gz", gzip.compress(content, mtime=0), 1000)

    header = {"__metadata__": {"format": "pt"}, "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
              "b": {"dtype": "BOOL", "shape": [1, 3], "data_offsets": [8, 11]},
              "c": {"dtype": "I8", "shape": [0], "data_offsets": [11, 11]}}
    text = json.dumps(header).encode()
    put("safetensors", "three", struct.pack("<Q", len(text)) + text + bytes(range(11)), 1000)

    plain = {"epoch": 3, "lr": 0.5, "names": ["a", b"b"], "big": 1 << 40, "none": (None, True, -5, (1, 2, 3, 4))}
    for protocol in (2, 4, 5):
        put("pickle", f"plain_{protocol}", pickle.dumps(plain, protocol), 1000)

    put("json", "values", b'{"a": [1, -2, 3.5e10, "t\\u00e9xt\\n", null, true], "b": {"c": "Infinity", "d": {}}}', 1000)

    for method, name in [(zipfile.ZIP_STORED, "stored"), (zipfile.ZIP_DEFLATED, "deflated")]:
        for large in (False, True):
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w", method) as archive:
                for member, content in [("m/one", b"one " * 40), ("m/two", bytes(range(50))), ("m/empty", b"")]:
                    with archive.open(zipfile.ZipInfo(member) if large else member, "w", force_zip64=large) as to:
                        to.write(content)
            put("zip", f"{name}_{'64' if large else '32'}", buffer.getvalue(), 2000)


from_data()
made_here()
for target in sorted(os.listdir(seeds)):
    print(target, len(os.listdir(seeds / target)))
