#!/usr/bin/env python3
"""What LiteRT's reference kernels make of float32, an operator a file: tests/data/litert/float.

usage: float_cases.py FOLDER      (ai-edge-litert 2.3.0)
Writes NAME.tflite, NAME_in_J.npy and NAME_out_0.npy. GELU is not among them: LiteRT computes it by approximations of
erfc and tanh that depend on how it was built.
"""
import os
import sys

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

rng = np.random.default_rng(1)
Code = schema.BuiltinOperator
TYPES = {"float32": schema.TensorType.FLOAT32, "int32": schema.TensorType.INT32, "int64": schema.TensorType.INT64,
         "bool": schema.TensorType.BOOL, "int8": schema.TensorType.INT8}


def normal(*shape, scale=1.0):
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def ints(*values):
    return np.array(values, np.int32)


def options(kind, **values):
    made = getattr(schema, kind + "T")()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def runtime_of(path):
    try:
        return Interpreter(model_path=path, num_threads=1, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    except ValueError:  # CEIL, ROUND and ELU have no reference kernel
        resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        return Interpreter(model_path=path, num_threads=1, experimental_op_resolver_type=resolver)


def write(folder, name, code, inputs, constants, shape, how=None, order=None, gives=(np.float32,)):
    model, graph, op = schema.ModelT(), schema.SubGraphT(), schema.OperatorT()
    kind = schema.OperatorCodeT()
    kind.builtinCode, kind.deprecatedBuiltinCode = code, min(code, 127)
    kind.version = 3 if code == Code.RESIZE_BILINEAR else 1
    model.version, model.operatorCodes, model.buffers, model.subgraphs = 3, [kind], [schema.BufferT()], [graph]
    graph.tensors, graph.operators = [], [op]

    def tensor(sizes, dtype, data=None):
        made = schema.TensorT()
        made.shape, made.name = np.array(sizes, np.int32), f"t{len(graph.tensors)}".encode()
        made.type = TYPES[np.dtype(dtype).name]
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            model.buffers.append(buffer)
            made.buffer = len(model.buffers) - 1
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    given = [tensor(x.shape, x.dtype) for x in inputs]
    every = given + [tensor(x.shape, x.dtype, x) for x in constants]
    op.inputs, op.outputs = [every[i] for i in order] if order else every, [tensor(shape, each) for each in gives]
    if how is not None:
        op.builtinOptions, op.builtinOptionsType = how, getattr(schema.BuiltinOptions, type(how).__name__[:-1])
    graph.inputs, graph.outputs = given, op.outputs
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = os.path.join(folder, name)
    with open(path + ".tflite", "wb") as file:
        file.write(builder.Output())
    runtime = runtime_of(path + ".tflite")
    runtime.allocate_tensors()
    for j, (place, x) in enumerate(zip(runtime.get_input_details(), inputs)):
        np.save(f"{path}_in_{j}.npy", x)
        runtime.set_tensor(place["index"], x)
    runtime.invoke()
    for j, place in enumerate(runtime.get_output_details()):
        np.save(f"{path}_out_{j}.npy", runtime.get_tensor(place["index"]))


def main(folder):
    os.makedirs(folder, exist_ok=True)
    case = lambda *values, **named: write(folder, *values, **named)
    x = normal(2, 3, 5, 40)
    for name, code in (("mean", Code.MEAN), ("sum", Code.SUM), ("reduce_max", Code.REDUCE_MAX)):
        for axes in ((3,), (1, 2), (1, 3), (0, 1, 2, 3)):
            kept = [1 if d in axes else size for d, size in enumerate(x.shape)]
            case(f"{name}_{''.join(map(str, axes))}", code, [x], [ints(*axes)], kept,
                 options("ReducerOptions", keepDims=True))
    x = normal(3, 5, 16, scale=3)
    positive = np.abs(x) + np.float32(0.01)
    for name, code in (("exp", Code.EXP), ("tanh", Code.TANH), ("logistic", Code.LOGISTIC)):
        case(name, code, [x * 2], [], x.shape)
    for name, code in (("log", Code.LOG), ("sqrt", Code.SQRT), ("rsqrt", Code.RSQRT)):
        case(name, code, [positive], [], x.shape)
    case("softmax", Code.SOFTMAX, [x], [], x.shape, options("SoftmaxOptions", beta=1.0))
    case("log_softmax", Code.LOG_SOFTMAX, [x], [], x.shape, options("LogSoftmaxOptions"))
    other = normal(3, 5, 16)
    case("div", Code.DIV, [x, positive], [], x.shape, options("DivOptions"))
    case("squared_difference", Code.SQUARED_DIFFERENCE, [x, other], [], x.shape, options("SquaredDifferenceOptions"))
    case("pow", Code.POW, [positive, other], [], x.shape, options("PowOptions"))
    for exponent in (2, 3, 7, -1, -0.5):
        case(f"pow_{exponent}".replace("-", "minus_").replace(".", "_"), Code.POW, [positive],
             [np.full([], exponent, np.float32)], x.shape, options("PowOptions"))
    image = normal(2, 7, 6, 8)
    window = dict(padding=schema.Padding.SAME, strideW=2, strideH=1)
    plain = dict(window, dilationWFactor=1, dilationHFactor=1)
    case("conv", Code.CONV_2D, [image], [normal(12, 3, 3, 8), normal(12)], [2, 7, 3, 12],
         options("Conv2DOptions", **plain))
    case("conv_groups", Code.CONV_2D, [image], [normal(12, 3, 3, 4), normal(12)], [2, 7, 3, 12],
         options("Conv2DOptions", **plain))
    case("depthwise", Code.DEPTHWISE_CONV_2D, [image], [normal(1, 3, 3, 16), normal(16)], [2, 7, 3, 16],
         options("DepthwiseConv2DOptions", depthMultiplier=2, **plain))
    case("transpose_conv", Code.TRANSPOSE_CONV, [image], [ints(2, 7, 12, 5), normal(5, 3, 3, 8)], [2, 7, 12, 5],
         options("TransposeConvOptions", **window), order=[1, 2, 0])
    case("fully_connected", Code.FULLY_CONNECTED, [normal(5, 24)], [normal(9, 24), normal(9)], [5, 9],
         options("FullyConnectedOptions"))
    case("batch_matmul", Code.BATCH_MATMUL, [normal(3, 5, 24), normal(3, 24, 7)], [], [3, 5, 7],
         options("BatchMatMulOptions"))
    case("average_pool", Code.AVERAGE_POOL_2D, [image], [], [2, 7, 3, 8],
         options("Pool2DOptions", filterWidth=3, filterHeight=3, **window))
    for name, how in (("half_pixels", dict(halfPixelCenters=True)), ("aligned", dict(alignCorners=True))):
        case("resize_bilinear_" + name, Code.RESIZE_BILINEAR, [image], [ints(10, 9)], [2, 10, 9, 8],
             options("ResizeBilinearOptions", **how))


if __name__ == "__main__":
    main(sys.argv[1])
