#!/usr/bin/env python3
"""What LiteRT's reference kernels compare, choose and count, an operator a file: tests/data/litert/choices.

usage: choice_cases.py FOLDER      (ai-edge-litert 2.3.0)
Writes NAME.tflite, NAME_in_J.npy and NAME_out_J.npy.
"""
import os
import sys

import numpy as np

from float_cases import Code, ints, normal, options, rng, write


def longs(*shape, low=-9, high=9):
    return rng.integers(low, high, shape, dtype=np.int64)


def bools(*shape):
    return rng.integers(0, 2, shape).astype(bool)


def main(folder):
    os.makedirs(folder, exist_ok=True)
    case = lambda *values, **named: write(folder, *values, **named)
    x, line = np.round(normal(2, 3, 4) * 2) / 2, np.round(normal(4) * 2) / 2  # some are equal
    many, few = longs(2, 3, 4), longs(4)
    for name in ("Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual"):
        code = getattr(Code, "".join("_" + c if c.isupper() else c.upper() for c in name)[1:])
        snake = "".join("_" + c.lower() if c.isupper() else c for c in name)[1:]
        case(snake, code, [x, line], [], x.shape, options(name + "Options"), gives=[bool])
        case(snake + "_int64", code, [many, few], [], x.shape, options(name + "Options"), gives=[bool])
    case("equal_bool", Code.EQUAL, [bools(2, 3, 4), bools(4)], [], x.shape, options("EqualOptions"), gives=[bool])
    for name, code in (("logical_and", Code.LOGICAL_AND), ("logical_or", Code.LOGICAL_OR)):
        case(name, code, [bools(2, 3, 4), bools(3, 1)], [], x.shape, gives=[bool])
    case("logical_not", Code.LOGICAL_NOT, [bools(2, 3, 4)], [], x.shape, options("LogicalNotOptions"), gives=[bool])
    case("select", Code.SELECT_V2, [bools(2, 3, 4), x, line], [], x.shape, options("SelectV2Options"))
    case("select_int64", Code.SELECT_V2, [bools(3, 1), many, few], [], x.shape, options("SelectV2Options"),
         gives=[np.int64])
    for axis, kept in ((0, (3, 4)), (1, (2, 4)), (-1, (2, 3))):
        for name, code in (("ArgMax", Code.ARG_MAX), ("ArgMin", Code.ARG_MIN)):
            how = options(name + "Options", outputType=4)  # INT64
            case(f"{name}_{axis}".lower().replace("-", "minus_"), code, [x], [np.array(axis, np.int32)], kept, how,
                 gives=[np.int64])
    scores = np.round(normal(5, 20) * 3) / 3
    case("topk", Code.TOPK_V2, [scores], [np.array(7, np.int32)], (5, 7), options("TopKV2Options"),
         gives=[np.float32, np.int32])
    case("topk_all_int64", Code.TOPK_V2, [longs(3, 6)], [np.array(6, np.int32)], (3, 6), options("TopKV2Options"),
         gives=[np.int64, np.int32])
    long = normal(2, 40, 3)
    for name, how in (("", {}), ("_exclusive", dict(exclusive=True)), ("_reverse", dict(reverse=True))):
        case("cumsum" + name, Code.CUMSUM, [long], [np.array(1, np.int32)], long.shape, options("CumsumOptions", **how))
    case("cumsum_int64", Code.CUMSUM, [many], [np.array(2, np.int32)], many.shape, options("CumsumOptions"),
         gives=[np.int64])
    for name, code in (("any", Code.REDUCE_ANY), ("all", Code.REDUCE_ALL)):
        case("reduce_" + name, code, [rng.random((2, 3, 4)) < 0.6], [ints(2)], (2, 3), options("ReducerOptions"),
             gives=[bool])
    case("tile", Code.TILE, [x], [ints(2, 1, 3)], (4, 3, 12), options("TileOptions"))
    case("reverse", Code.REVERSE_V2, [x], [ints(1)], x.shape, options("ReverseV2Options"))
    case("gather", Code.GATHER, [normal(9, 5), longs(2, 3, low=0, high=9)], [], (2, 3, 5), options("GatherOptions"))
    wide = normal(3, 5, 16, scale=4)
    for name, code in (("floor", Code.FLOOR), ("ceil", Code.CEIL), ("round", Code.ROUND), ("elu", Code.ELU),
                       ("sin", Code.SIN)):
        case(name, code, [np.round(wide * 2) / 2 if name == "round" else wide], [], wide.shape)
    case("cos", Code.COS, [wide], [], wide.shape, options("CosOptions"))
    case("sign", Code.SIGN, [np.round(wide)], [], wide.shape, options("SignOptions"))
    divisors = longs(4, low=1) * np.where(bools(4), 1, -1)
    for name, code in (("floor_div", Code.FLOOR_DIV), ("floor_mod", Code.FLOOR_MOD)):
        how = options("FloorDivOptions" if name == "floor_div" else "FloorModOptions")
        if name == "floor_mod":
            case(name + "_int64", code, [many], [divisors], many.shape, how, gives=[np.int64])
        whole, by = many.astype(np.int32), divisors.astype(np.int32)
        case(name + "_int32", code, [whole], [by], many.shape, how, gives=[np.int32])
        case(name, code, [x, np.abs(line) + np.float32(0.7)], [], x.shape, how)
    for name, code in (("add", Code.ADD), ("sub", Code.SUB), ("mul", Code.MUL), ("maximum", Code.MAXIMUM),
                       ("minimum", Code.MINIMUM)):
        how = options("MaximumMinimumOptions" if "imum" in name else name.capitalize() + "Options")
        case(name + "_int64", code, [many, few], [], many.shape, how, gives=[np.int64])
    for name, code in (("sum", Code.SUM), ("reduce_max", Code.REDUCE_MAX), ("reduce_min", Code.REDUCE_MIN)):
        case(name + "_int64", code, [many], [ints(1)], (2, 4), options("ReducerOptions"), gives=[np.int64])
    case("cast_bool", Code.CAST, [bools(2, 3)], [], (2, 3), options("CastOptions", inDataType=6, outDataType=0))
    case("cast_float", Code.CAST, [wide], [], wide.shape, options("CastOptions", inDataType=0, outDataType=4),
         gives=[np.int64])


if __name__ == "__main__":
    main(sys.argv[1])
