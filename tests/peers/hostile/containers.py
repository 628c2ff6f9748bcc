"""octet's own files: programs of operators, documents, tensors."""

import json

import archives
from archives import HALF, LARGE, LEAST
import numpy

X = {"node": "x"}


def node(name):
    return {"node": name}


def call(name, target, *arguments):
    return {"kind": "call", "name": name, "target": target, "args": list(arguments)}


def graph(calls, values, sizes):
    nodes = [{"kind": "placeholder", "name": "x", "target": "x", "args": [], "meta": {"dtype": "float32", "sizes": sizes}}]
    for name, value in values.items():
        meta = {"dtype": str(value.dtype), "sizes": list(value.shape)}
        nodes.append({"kind": "get_attr", "name": name, "target": name, "args": [], "meta": meta})
    nodes += calls
    nodes.append({"kind": "output", "name": "output", "target": "", "args": [[node(nodes[-1]["name"])]]})
    return nodes


def document(calls=(), values=None, sizes=(1, 4), **facts):
    values = values or {}
    declared = [
        {"name": name, "kind": "constant", "requires_grad": False, "file": f"tensors/{i}", "dtype": str(value.dtype),
         "sizes": list(value.shape)}
        for i, (name, value) in enumerate(values.items())
    ]
    whole = {"version": 1, "facts": {}, "training": False, "aliases": {}, "tensors": declared, "callables": []}
    return {**whole, "graph": graph(list(calls), values, list(sizes)), **facts}


def container(calls=(), values=None, sizes=(1, 4), text=None, method=0, **facts):
    members = {"octet.json": text or json.dumps(document(calls, values, sizes, **facts))}
    for i, value in enumerate((values or {}).values()):
        members[f"tensors/{i}"] = value.tobytes()
    return archives.plain(members, method)


def image(name="i"):
    return [call("u", "aten.unsqueeze.default", X, 0), call(name, "aten.unsqueeze.default", node("u"), 0)]


def whole_numbers(value=None):
    if value is None:
        return call("c", "aten._to_copy.default", X, 4)
    return call("c", "aten.full_like.default", X, value, 4)


I, C = node("i"), node("c")
NOT_TAKEN = [
    "aten.from_file.default", "aten.set_.source_Tensor", "aten.resize_.default", "aten._reshape_alias.default",
    "aten._convert_indices_from_coo_to_csr.default", "aten.to_sparse.default", "aten.to_mkldnn.default",
    "aten._coalesce.default", "aten.record_stream.default", "aten._print.default", "aten.no_such.default", "os.system",
    "inductor._reinterpret_tensor.default", "c10d.send.default", "profiler._record_function_enter_new.default",
]
# Arguments without bounds: what libtorch computes of them must be an error.
CALLS = {
    "as_strided_beyond": [call("y", "aten.as_strided.default", X, [4], [1 << 40], 0)],
    "as_strided_least": [call("y", "aten.as_strided.default", X, [4], [LEAST], 0)],
    "as_strided_before": [call("y", "aten.as_strided.default", X, [4], [1], LEAST)],
    "as_strided_copy": [call("y", "aten.as_strided_copy.default", X, [LARGE, 4], [LARGE, 1], 0)],
    "expand": [call("y", "aten.expand.default", X, [LARGE, 4])],
    "expand_least": [call("y", "aten.expand.default", X, [LEAST, 4])],
    "repeat": [call("y", "aten.repeat.default", X, [1 << 31, 1 << 31])],
    "full": [call("y", "aten.full.default", [1 << 31, 1 << 31, 4], 1.0)],
    "zeros": [call("y", "aten.zeros.default", [-1])],
    "arange": [call("y", "aten.arange.default", 10**18)],
    "arange_stands": [call("y", "aten.arange.start_step", 0, 10, 0)],
    "eye": [call("y", "aten.eye.default", 1 << 31)],
    "linspace": [call("y", "aten.linspace.default", 0, 1, 1 << 40)],
    "tril_indices": [call("y", "aten.tril_indices.default", 1 << 31, 1 << 31)],
    "pad": [call("y", "aten.constant_pad_nd.default", X, [LARGE, LARGE], 0.0)],
    "pad_least": [call("y", "aten.constant_pad_nd.default", X, [LEAST, LEAST], 0.0)],
    "reflect": [call("y", "aten.reflection_pad1d.default", X, [1 << 40, 1 << 40])],
    "roll": [call("y", "aten.roll.default", X, [LEAST], [0])],
    "flip": [call("y", "aten.flip.default", X, [LEAST])],
    "unfold": [call("y", "aten.unfold.default", X, 1, LEAST, LEAST)],
    "slice_stands": [call("y", "aten.slice.Tensor", X, 1, 0, 4, 0)],
    "select": [call("y", "aten.select.int", X, 1, LEAST)],
    "split": [call("y", "aten.split.Tensor", X, 0, 1)],
    "tensor_split": [call("y", "aten.tensor_split.sections", X, LARGE, 0)],
    "unflatten": [call("y", "aten.unflatten.int", X, 1, [LARGE] * 4)],
    "view": [call("y", "aten.view.default", X, [1 << 32, 1 << 32, 4])],
    "view_as_no_type": [call("y", "aten.view.dtype", X, 1000)],
    "permute": [call("y", "aten.permute.default", X, [0, 0])],
    "one_hot": [whole_numbers(), call("y", "aten.one_hot.default", C, 1 << 40)],
    "histc": [call("y", "aten.histc.default", X, 1 << 40)],
    "pixel_shuffle": [call("y", "aten.pixel_shuffle.default", X, LEAST)],
    "quotient_by_0": [whole_numbers(), call("y", "aten.div.Scalar_mode", C, 0, "floor")],
    "quotient_of_least": [whole_numbers(LEAST), call("y", "aten.div.Scalar_mode", C, -1, "floor")],
    "remainder_by_0": [whole_numbers(), call("y", "aten.remainder.Scalar", C, 0)],
    "conv_stands": [call("y", "aten.conv1d.default", X, X, None, [0], [0], [1], 1)],
    "conv_groups": [call("y", "aten.conv1d.default", X, X, None, [1], [0], [1], LEAST)],
    "conv_dilated": [call("y", "aten.conv1d.default", X, X, None, [1], [LARGE], [LARGE], 1)],
    "conv_transposed": [call("y", "aten.conv_transpose1d.default", X, X, None, [LARGE], [LARGE], [LARGE], 1, [LARGE])],
    "pool_stands": [*image(), call("y", "aten.max_pool2d.default", I, [1, 1], [0, 0], [0, 0], [1, 1])],
    "pool_steps": [*image(), call("y", "aten.max_pool2d.default", I, [1, 1], [LEAST] * 2, [0, 0], [LARGE] * 2, True)],
    "pool_adaptive": [*image(), call("y", "aten.adaptive_avg_pool2d.default", I, [1 << 40, 1 << 40])],
    "resize": [*image(), call("y", "aten.upsample_nearest2d.default", I, [1 << 40, 1 << 40], None, None)],
    "resize_scales": [*image(), call("y", "aten.upsample_bilinear2d.vec", I, None, False, [1e30, 1e30])],
    "im2col": [*image(), call("y", "aten.im2col.default", I, *[[LARGE, LARGE]] * 4)],
    "fft": [call("y", "aten.fft_fft.default", X, 1 << 45, -1)],
    "group_norm": [call("y", "aten.group_norm.default", X, 0)],
    "rounds_to_nothing": [call("y", "aten.fake_quantize_per_tensor_affine.default", X, 0.0, LEAST, LEAST, 2**63 - 1)],
    "reads_itself": [call("y", "aten.add.Tensor", node("y"), X)],
    "reads_ahead": [call("y", "aten.relu.default", node("z")), call("z", "aten.relu.default", node("y"))],
    "one_name": [call("y", "aten.relu.default", X), call("y", "aten.relu.default", X)],
    "name_breaks_the_line": [call("y\nerror: two\x1b[2J lines", "aten.no_such.default", X)],
    "long_name": [call("y" * (1 << 20), "aten.no_such.default", X)],
}
IDX, W = node("idx"), node("w")
# Indices beyond their tensor.
INDEXED = {
    "index": [call("y", "aten.index.Tensor", X, [IDX])],
    "index_select": [call("y", "aten.index_select.default", X, 0, IDX)],
    "gather": [call("g", "aten.expand.default", IDX, [1, 4]), call("y", "aten.gather.default", X, 1, node("g"))],
    "scatter": [call("g", "aten.expand.default", IDX, [1, 4]), call("y", "aten.scatter.src", X, 1, node("g"), X)],
    "index_put": [call("y", "aten.index_put.default", X, [IDX], X)],
    "unsafe_index": [call("y", "aten._unsafe_index.Tensor", X, [IDX])],
    "unsafe_index_put": [call("y", "aten._unsafe_index_put.default", X, [IDX], X)],
    "index_add": [call("y", "aten.index_add.default", X, 0, IDX, X)],
    "take": [call("y", "aten.take.default", X, IDX)],
    "put": [call("y", "aten.put.default", X, IDX, X)],
    "embedding": [call("y", "aten.embedding.default", W, IDX)],
    "embedding_bag": [call("y", "aten.embedding_bag.default", W, IDX, IDX)],
    "repeat_interleave": [call("y", "aten.repeat_interleave.Tensor", IDX)],
    "nll": [call("y", "aten.nll_loss.default", X, IDX)],
    "per_channel": [call("y", "aten.fake_quantize_per_channel_affine.default", X, W, IDX, LEAST, 0, 255)],
    "blocks": [call("y", "torchao.quantize_affine.default", X, [LEAST, 1 << 40], W, None, 1, -128, 127)],
}
TENSORS = {
    "large": {"sizes": [LARGE, LARGE]},
    "negative": {"sizes": [-1]},
    "of_no_type": {"dtype": "qint8"},
    "climbs": {"file": "../../../etc/passwd"},
    "elsewhere": {"file": "/etc/passwd"},
    "deep_name": {"name": ".".join("a" * 50000)},
    "of_no_kind": {"kind": "nonsense"},
}


def declared(edit):
    """A container whose one tensor says what `edit` says."""
    says = {"name": "t", "kind": "constant", "requires_grad": False, "file": "tensors/0", "dtype": "float32", "sizes": [1]}
    text = json.dumps(document([call("y", "aten.relu.default", X)], tensors=[{**says, **edit}]))
    return archives.plain({"octet.json": text, "tensors/0": b"\0" * 4})


def files():
    relu = [call("y", "aten.relu.default", X)]
    made = {f"not_taken_{i}": container([call("y", name, X)]) for i, name in enumerate(NOT_TAKEN)}
    made.update({name: container(calls) for name, calls in CALLS.items()})
    for value, suffix in ((1 << 40, "beyond"), (LEAST, "least")):
        values = {"idx": numpy.array([value], numpy.int64), "w": numpy.ones((4, 4), numpy.float32)}
        made.update({f"{name}_{suffix}": container(calls, values) for name, calls in INDEXED.items()})
    made.update({f"tensor_{name}": declared(edit) for name, edit in TENSORS.items()})
    text = json.dumps(document(relu))
    made.update({
        "deep": container(text="[" * 5_000_000, method=8),
        "deep_objects": container(text='{"a":' * 1_000_000, method=8),
        "many_texts": container(text='{"version":1,"x":[' + '"",' * 8_000_000 + '""]}', method=8),
        "many_numbers": container(text="[" + "1," * 20_000_000 + "1]", method=8),
        "long_number": container(text=text.replace('"version": 1', '"version": ' + "9" * 1_000_000), method=8),
        "no_number": container(text=text.replace('"version": 1', '"version": 1e999999999')),
        "no_utf8": container(text=text.encode()[:-1] + b',"\xff\xfe\xc0\x80":1}'),
        "key_twice": container(text=text[:-1] + ',"version":1}'),
        "circle_of_aliases": container(relu, aliases={"a": "b", "b": "a"}),
        "large_input": container(relu, sizes=(LARGE, LARGE)),
        "negative_input": container(relu, sizes=(-1, 4)),
        "input_of_many_dimensions": container(relu, sizes=(1,) * 100_000),
        "half_an_int": container(relu, sizes=(HALF, HALF, 4)),
    })
    made.update({f"zip_{name}": data for name, data in archives.files(text.encode()).items()})
    return {f"{name}.octet": data for name, data in made.items()}
