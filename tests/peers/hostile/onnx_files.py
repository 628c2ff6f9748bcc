"""ONNX: sizes, steps and places beyond what there is; external data elsewhere; messages without end."""

import numpy
from archives import LARGE, LEAST
from onnx import TensorProto, helper, numpy_helper

MOST = (1 << 63) - 1
IMAGE = (1, 2, 4, 4)
NAN, INFINITE = float("nan"), float("inf")
node = helper.make_node


def of(name, value):
    return numpy_helper.from_array(numpy.asarray(value), name)


def ints(name, *values):
    return of(name, numpy.array(values, numpy.int64))


def floats(name, *values):
    return of(name, numpy.array(values, numpy.float32))


def one(name):
    return of(name, numpy.ones((1, 4), numpy.float32))


def model(nodes, constants=(), shape=(1, 4), functions=()):
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializer=list(constants))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    made.functions.extend(functions)
    return made.SerializeToString()


def of_x(kind, *constants, **attributes):
    """One operator that reads the input and these constants."""
    return model([node(kind, ["x", *[each.name for each in constants]], ["y"], **attributes)], constants)


def of_constant(kind, *constants, **attributes):
    """One that reads constants alone, added to the input."""
    return model([node(kind, [each.name for each in constants], ["d"], **attributes), node("Add", ["x", "d"], ["y"])],
                 constants)


def quantized(scale, zero_point, **attributes):
    steps = [node("QuantizeLinear", ["x", "s", "z"], ["q"], **attributes),
             node("DequantizeLinear", ["q", "s", "z"], ["y"], **attributes)]
    return model(steps, [of("s", numpy.float32(scale)), of("z", numpy.int8(zero_point))])


def operators():
    return {
        "reshape": of_x("Reshape", ints("s", 1 << 32, 1 << 32, 4)),
        "reshape_least": of_x("Reshape", ints("s", LEAST, -1)),
        "expand": of_x("Expand", ints("s", LARGE, 4)),
        "expand_constant": of_constant("Expand", one("c"), ints("s", 1 << 31, 4)),
        "tile": of_x("Tile", ints("s", LARGE, LARGE)),
        "tile_least": of_x("Tile", ints("s", -1, LEAST)),
        "tile_constant": of_constant("Tile", one("c"), ints("s", 1 << 28, 4)),
        "constant_of_shape": of_constant("ConstantOfShape", ints("s", LARGE, LARGE, LARGE)),
        "range": of_constant("Range", of("a", numpy.float32(0)), of("b", numpy.float32(1e30)), of("c", numpy.float32(1e-30))),
        "range_of_nan": of_constant("Range", of("a", numpy.float32(0)), of("b", numpy.float32(NAN)), of("c", numpy.float32(1))),
        "pad": of_x("Pad", ints("s", LARGE, LARGE, LARGE, LARGE)),
        "pad_least": of_x("Pad", ints("s", LEAST, LEAST, LEAST, LEAST)),
        "pad_mirrored": of_x("Pad", ints("s", 0, 1 << 40, 0, 0), mode="reflect"),
        "slice_stands": of_x("Slice", ints("a", LEAST), ints("b", MOST), ints("c", 1), ints("d", 0)),
        "gather": of_x("Gather", ints("i", 1 << 40), axis=1),
        "gather_least": of_x("Gather", ints("i", LEAST), axis=1),
        "gather_axis": of_x("Gather", ints("i", 0), axis=LEAST),
        "split": of_x("Split", ints("s", LEAST, 5), axis=1),
        "depth_to_space": of_x("DepthToSpace", blocksize=LEAST),
        "transpose": of_x("Transpose", perm=[LEAST, 1 << 40]),
        "concat_axis": of_x("Concat", axis=LEAST),
        "unsqueeze_often": of_x("Unsqueeze", ints("a", *range(100_000))),
        "one_hot": model([node("OneHot", ["i", "d", "v"], ["y"])], [ints("i", 0), ints("d", 1 << 40), floats("v", 0, 1)]),
        "cast": of_x("Cast", to=LEAST),
        "cast_to_texts": of_x("Cast", to=8),
        "scale_nan": quantized(NAN, 0),
        "scale_infinite": quantized(INFINITE, 0),
        "scale_0": quantized(0, 0),
        "scale_negative": quantized(-1, -128),
        "scale_axis": model(
            [node("QuantizeLinear", ["x", "s", "z"], ["q"], axis=LEAST), node("DequantizeLinear", ["q", "s", "z"], ["y"])],
            [floats("s", 1, 1, 1, 1), of("z", numpy.zeros(4, numpy.int8))]),
        "quotient_by_0": model(
            [node("Cast", ["x"], ["c"], to=7), node("Div", ["m", "p"], ["d"]), node("Add", ["c", "d"], ["e"]),
             node("Cast", ["e"], ["y"], to=1)], [of("m", numpy.int64(LEAST)), of("p", numpy.int64(0))]),
        "einsum": model([node("Einsum", ["x", "x"], ["y"], equation="ab,cd->" + "abcd" * 1000)]),
        "lstm": model([node("LSTM", ["u", "w", "r"], ["y"], hidden_size=LEAST)],
                      [of(name, numpy.ones(shape, numpy.float32)) for name, shape in
                       (("u", (1, 1, 4)), ("w", (1, 4, 4)), ("r", (1, 4, 1)))]),
        "groups_of_none": of_x("GroupNormalization", floats("s", 1, 1, 1, 1), floats("b", 0, 0, 0, 0), num_groups=0),
        "custom": model([node("Evil", ["x"], ["y"], domain="evil.com")]),
        "name_breaks_the_line": model([node("Evil\nerror: x\x1b[2J", ["x"], ["y"], name="a\nb")]),
        "reads_itself": model([node("Add", ["x", "y"], ["y"])]),
        "reads_ahead": model([node("Relu", ["z"], ["y"]), node("Relu", ["x"], ["z"])]),
        "twice": model([node("Relu", ["x"], ["y"]), node("Relu", ["x"], ["y"])]),
        "doubled_constant": model(
            [node("Concat", [f"a{i}"] * 2, [f"a{i + 1}"], axis=1) for i in range(45)] + [node("Add", ["x", "a45"], ["y"])],
            [one("a0")]),
    }


WINDOWS = {
    "steps_0": {"strides": [0, 0]},
    "steps_least": {"strides": [LEAST, LEAST]},
    "padding_large": {"pads": [LARGE] * 4},
    "padding_least": {"pads": [LEAST] * 4},
    "dilation_most": {"dilations": [MOST, MOST]},
}
CONVOLUTIONS = {
    "groups_0": {"group": 0},
    "groups_least": {"group": LEAST},
    "dilation_0": {"dilations": [0, 0]},
    "steps_most": {"strides": [MOST, MOST]},
    "window_large": {"kernel_shape": [LARGE, LARGE]},
    "padding_by_no_rule": {"auto_pad": "EVIL"},
}
RESIZES = {
    "scales": ("", [1, 1, 1e30, 1e30]),
    "scale_nan": ("", [1, 1, NAN, 1]),
    "scale_negative": ("", [1, 1, -1, -1]),
    "sizes": ("sizes", [1, 2, 1 << 40, 1 << 40]),
    "sizes_least": ("sizes", [1, 2, -5, LEAST]),
}


def windows():
    weight = of("w", numpy.ones((2, 2, 3, 3), numpy.float32))
    made = {}
    for kind in ("Conv", "ConvTranspose"):
        for name, attributes in {**WINDOWS, **CONVOLUTIONS}.items():
            made[f"{kind}_{name}"] = model([node(kind, ["x", "w"], ["y"], **attributes)], [weight], IMAGE)
    for name, attributes in {"output_padding": {"output_padding": [LARGE] * 2}, "shape": {"output_shape": [LARGE] * 2}}.items():
        made[f"ConvTranspose_{name}"] = model([node("ConvTranspose", ["x", "w"], ["y"], **attributes)], [weight], IMAGE)
    for kind in ("MaxPool", "AveragePool"):
        for name, attributes in {**WINDOWS, "window_0": {"kernel_shape": [0, 0]}, "window_large": {"kernel_shape": [LARGE] * 2}}.items():
            made[f"{kind}_{name}"] = model([node(kind, ["x"], ["y"], **{"kernel_shape": [2, 2], **attributes})], (), IMAGE)
    for mode in ("nearest", "linear", "cubic"):
        for name, (by, values) in RESIZES.items():
            sizes = ints("s", *values) if by else floats("s", *values)
            made[f"Resize_{mode}_{name}"] = model(
                [node("Resize", ["x", "", "", "s"] if by else ["x", "", "s"], ["y"], mode=mode)], [sizes], IMAGE)
    return made


# What a tensor may name as the file that holds it; the folder that they are tried in has links, a pipe, a socket.
PLACES = {
    "climbs": {"location": "../victim.bin"},
    "elsewhere": {"location": "/etc/passwd"},
    "process": {"location": "/proc/self/mem"},
    "device": {"location": "/dev/zero"},
    "link": {"location": "link.bin"},
    "linked_folder": {"location": "linked/victim.bin"},
    "pipe": {"location": "pipe"},
    "socket": {"location": "socket"},
    "folder": {"location": "folder"},
    "here": {"location": "."},
    "above": {"location": ".."},
    "nowhere": {"location": ""},
    "ends": {"location": "v\0x"},
    "absent": {"location": "no_such_file"},
    "address": {"location": "http://127.0.0.1/x"},
    "breaks_the_line": {"location": "a\nerror: b"},
    "long_name": {"location": "a" * 5000},
    "offset_most": {"location": "data.bin", "offset": (1 << 64) - 1},
    "offset_negative": {"location": "data.bin", "offset": -16},
    "length": {"location": "data.bin", "offset": 0, "length": 1 << 62},
    "beyond": {"location": "sparse.bin", "offset": 1 << 50},
}


def external(**says):
    tensor = TensorProto()
    tensor.name, tensor.data_type, tensor.data_location = "c", TensorProto.FLOAT, TensorProto.EXTERNAL
    tensor.dims.extend([1, 4])
    for key, value in says.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)
    return model([node("Add", ["x", "c"], ["y"])], [tensor])


def declared(dims, data):
    tensor = TensorProto()
    tensor.name, tensor.data_type, tensor.raw_data = "c", TensorProto.FLOAT, data
    tensor.dims.extend(dims)
    return model([node("Add", ["x", "c"], ["y"])], [tensor])


def varint(value):
    made = b""
    while value > 127:
        made += bytes([value & 127 | 128])
        value >>= 7
    return made + bytes([value])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def messages():
    head = b"\x08\x09" + field(8, b"\x10\x12")
    graphs, types = b"", b""
    for _ in range(3000):
        graphs = field(1, field(5, field(6, graphs)))
        types = field(4, field(1, types))
    function = helper.make_function("evil", "F", ["a"], ["b"], [node("F", ["a"], ["b"], domain="evil")],
                                    [helper.make_opsetid("evil", 1), helper.make_opsetid("", 18)])
    return {
        "graphs_in_graphs": head + field(7, graphs),
        "types_in_types": head + field(7, field(11, field(1, b"x") + field(2, types))),
        "groups": b"\x08\x09" + b"\x3b" * 1_000_000,
        "number_without_end": b"\x08" + b"\xff" * 100,
        "longer_than_there_is": b"\x08\x09\x3a" + b"\xff" * 9 + b"\x01",
        "many_nodes": head + field(7, b"\x0a\x00" * 3_000_000),
        "many_tensors": head + field(7, b"\x2a\x00" * 3_000_000),
        "many_dimensions": head + field(7, field(5, field(1, b"\x01" * 3_000_000) + field(8, b"c"))),
        "function_of_itself": model([node("F", ["x"], ["y"], domain="evil")], functions=[function]),
    }


def files():
    made = {**operators(), **windows(), **messages()}
    made.update({f"external_{name}": external(**says) for name, says in PLACES.items()})
    made.update({
        "tensor_large": declared([LARGE, LARGE], b"\0" * 16),
        "tensor_least": declared([LEAST, 4], b"\0" * 16),
        "input_large": model([node("Relu", ["x"], ["y"])], (), (1 << 31, 1 << 31)),
        "input_least": model([node("Relu", ["x"], ["y"])], (), (LEAST, 4)),
    })
    return {f"{name}.onnx": data for name, data in made.items()}
