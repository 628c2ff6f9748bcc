"""`.tflite`: a valid file with one fact changed, and small programs of absurd numbers."""

import struct

import flatbuffers
import numpy
from ai_edge_litert import schema_py_generated as schema
from archives import HALF, LARGE, LEAST

Code, Options = schema.BuiltinOperator, schema.BuiltinOptions
FLOAT, INT32, INT8 = 0, 2, 9


def packed(model):
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def changed(valid, edit):
    model = schema.ModelT.InitFromPackedBuf(valid, 0)
    edit(model, model.subgraphs[0])
    return packed(model)


def grids(graph):
    return [each.quantization for each in graph.tensors if each.quantization and each.quantization.scale is not None]


def grid(at=0, **says):
    return lambda model, graph: vars(grids(graph)[at]).update(says)


def tensor(**says):
    return lambda model, graph: vars(graph.tensors[0]).update(says)


def kind(code, name=None):
    says = {"builtinCode": code, "deprecatedBuiltinCode": min(code, 127), "customCode": name}
    return lambda model, graph: vars(model.operatorCodes[0]).update(says)


EDITS = {
    "scale_nan": grid(scale=[float("nan")]),
    "scale_infinite": grid(scale=[float("inf")]),
    "scale_0": grid(scale=[0.0]),
    "scale_negative": grid(scale=[-1.0]),
    "zero_point_large": grid(zeroPoint=[1 << 40]),
    "zero_point_least": grid(zeroPoint=[LEAST]),
    "zero_point_below": grid(zeroPoint=[-129]),
    "zero_point_none": grid(zeroPoint=[]),
    "axis_beyond": grid(-1, quantizedDimension=99),
    "axis_negative": grid(-1, quantizedDimension=-5),
    "sizes_large": tensor(shape=[HALF] * 4),
    "size_negative": tensor(shape=[-1, 3, 16, 16]),
    "size_least": tensor(shape=[-(2**31), 3, 16, 16]),
    "many_dimensions": tensor(shape=[1] * 100_000),
    "name_breaks_the_line": tensor(name=b"a\nb\x1b[2J", type=17),
    "long_name": tensor(name=b"a" * 3_000_000, type=17),
    "reads_itself": lambda model, graph: vars(graph.operators[2]).update(inputs=[graph.operators[2].outputs[0]] * 3),
    "backwards": lambda model, graph: graph.operators.reverse(),
    "custom": kind(32, b"FlexSave\nerror: x"),
    "while": kind(119),
    "call": kind(31),
    "call_once": kind(129),
    "data_outside": lambda model, graph: vars(model.buffers[3]).update(offset=LARGE, size=LARGE),
    "no_operator": lambda model, graph: vars(graph.operators[0]).update(opcodeIndex=2**32 - 1),
}


def values(kind, shape, data=None, scale=None, zero_point=0):
    return {"type": kind, "shape": shape, "data": data, "scale": scale, "zero_point": zero_point}


def program(code, tensors, inputs, options=None):
    """One operator; its result is the last tensor, the program's input the first without data."""
    model, graph, operator, named = schema.ModelT(), schema.SubGraphT(), schema.OperatorT(), schema.OperatorCodeT()
    model.version, model.buffers, model.subgraphs, model.operatorCodes = 3, [schema.BufferT()], [graph], [named]
    named.builtinCode, named.deprecatedBuiltinCode, named.version = code, min(code, 127), 1
    graph.tensors, graph.operators = [], [operator]
    for each in tensors:
        made = schema.TensorT()
        made.shape, made.type, made.name = numpy.array(each["shape"], numpy.int32), each["type"], b"t%d" % len(graph.tensors)
        if each["scale"] is not None:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = [each["scale"]], [each["zero_point"]]
        if each["data"] is not None:
            buffer = schema.BufferT()
            buffer.data = numpy.frombuffer(each["data"], numpy.uint8)
            model.buffers.append(buffer)
            made.buffer = len(model.buffers) - 1
        graph.tensors.append(made)
    operator.inputs, operator.outputs = inputs, [len(tensors) - 1]
    if options is not None:
        operator.builtinOptions = options
        operator.builtinOptionsType = getattr(Options, type(options).__name__[:-1])
    given = [i for i in inputs if tensors[i]["data"] is None]
    graph.inputs, graph.outputs = given[:1], operator.outputs
    return packed(model)


def options(name, **says):
    made = getattr(schema, name + "T")()
    vars(made).update(says)
    return made


def numbers(*each):
    return numpy.array(each, numpy.int32).tobytes()


def programs():
    row, image, weight = values(FLOAT, (1, 4)), values(FLOAT, (1, 4, 4, 1)), values(FLOAT, (1, 3, 3, 1), b"\0" * 36)
    pair = values(INT32, (2,), numbers(HALF, 1))
    wide = options("Conv2DOptions", strideH=1, strideW=1, dilationHFactor=HALF, dilationWFactor=HALF)
    far = options("TransposeConvOptions", strideH=HALF, strideW=HALF)
    window = options("Pool2DOptions", filterHeight=HALF, filterWidth=HALF, strideH=1, strideW=1)
    blocks = options("SpaceToDepthOptions", blockSize=HALF)
    most = values(INT8, (HALF, HALF, 2), None, 1.0)
    return {
        "pad": program(Code.PAD, [row, values(INT32, (2, 2), numbers(0, 0, HALF - 4, 0)), values(FLOAT, (1, HALF))], [0, 1],
                       options("PadOptions")),
        "broadcast": program(Code.BROADCAST_TO, [values(FLOAT, (1, 1)), pair, values(FLOAT, (HALF, 1))], [0, 1],
                             options("BroadcastToOptions")),
        "resize": program(Code.RESIZE_NEAREST_NEIGHBOR, [values(FLOAT, (1, 1, 1, 1)), pair, values(FLOAT, (1, HALF, 1, 1))],
                          [0, 1], options("ResizeNearestNeighborOptions")),
        "dilation": program(Code.CONV_2D, [image, weight, image], [0, 1], wide),
        "steps": program(Code.TRANSPOSE_CONV, [values(INT32, (4,), numbers(1, 4, 4, 1)), weight, image, image], [0, 1, 2], far),
        "window": program(Code.AVERAGE_POOL_2D, [image, image], [0], window),
        "blocks": program(Code.SPACE_TO_DEPTH, [image, image], [0], blocks),
        "index": program(Code.GATHER, [row, values(INT32, (1,), numbers(HALF)), values(FLOAT, (1, 1))], [0, 1],
                         options("GatherOptions", axis=1)),
        "sum": program(Code.ADD, [most, most], [0, 0], options("AddOptions")),
    }


def shared(count):
    """`count` tensors that are one table with a long name."""
    builder = flatbuffers.Builder(0)
    name = builder.CreateString("a" * 60000)
    schema.TensorStart(builder)
    schema.TensorAddName(builder, name)
    table = schema.TensorEnd(builder)
    schema.SubGraphStartTensorsVector(builder, count)
    for _ in range(count):
        builder.PrependUOffsetTRelative(table)
    tables = builder.EndVector()
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tables)
    graph = schema.SubGraphEnd(builder)
    schema.ModelStartSubgraphsVector(builder, 1)
    builder.PrependUOffsetTRelative(graph)
    graphs = builder.EndVector()
    schema.ModelStart(builder)
    schema.ModelAddVersion(builder, 3)
    schema.ModelAddSubgraphs(builder, graphs)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def files(path):
    valid = path.read_bytes()
    made = {name: changed(valid, edit) for name, edit in EDITS.items()}
    made.update({f"program_{name}": data for name, data in programs().items()})
    made.update({
        "shared_tables": shared(2_000_000),
        "half": valid[: len(valid) // 2],
        "head": valid[:8],
        "ones": b"\xff\xff\xff\x7fTFL3" + b"\xff" * 1000,
        "zeros": b"\0\0\0\0TFL3" + b"\0" * 1000,
        "table_of_itself": b"\x08\0\0\0TFL3" + struct.pack("<i", -8) * 200,
    })
    return {f"{name}.tflite": data for name, data in made.items()}
