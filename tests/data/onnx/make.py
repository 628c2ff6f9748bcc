"""Writes the files of this folder: ONNX models and what onnxruntime computes of them.

    pip install torch onnx onnxruntime onnxscript numpy safetensors
    python make.py

operators.safetensors: a model an operator, NAME.model (bytes), NAME.in.I, NAME.out.I.
networks.safetensors: the same for small networks, as torch's two exporters write them and as onnxruntime's static
quantizer does. network.onnx, external.onnx (and its weights) and qdq.onnx are three of them as files of their own.
"""
import io
import os
import pathlib
import tempfile
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from torch import nn

warnings.filterwarnings("ignore")
here = pathlib.Path(__file__).parent
random = np.random.default_rng(0)
F, I64 = np.float32, np.int64


def infer(model_bytes, inputs):
    """onnxruntime's plain kernels, each node by itself."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model_bytes, options, providers=["CPUExecutionProvider"])
    return session.run(None, {i.name: x for i, x in zip(session.get_inputs(), inputs)})


packed = {}


def keep(into, name, model_bytes, inputs):
    into[name + ".model"] = np.frombuffer(model_bytes, np.uint8)
    for i, x in enumerate(inputs):
        into[f"{name}.in.{i}"] = np.array(x, order="C")
    for i, y in enumerate(infer(model_bytes, inputs)):
        into[f"{name}.out.{i}"] = np.array(y, order="C")


def x(*shape):
    return random.standard_normal(shape).astype(F)


def case(name, op, inputs, constants=(), opset=17, outputs=1, domain="", **attributes):
    """`inputs`: arrays that the program is given; `constants`: (place, array) of the others; None leaves one out."""
    places = dict(constants)
    names, given, initializers, left = [], [], [], list(inputs)
    while left or any(p >= len(names) for p in places):
        place = len(names)
        if place in places:
            if places[place] is None:
                names.append("")
                continue
            names.append(f"c{place}")
            initializers.append(numpy_helper.from_array(np.asarray(places[place]), f"c{place}"))
        else:
            value = left.pop(0)
            names.append(f"x{place}")
            given.append((f"x{place}", value))
    node = helper.make_node(op, names, [f"y{i}" for i in range(outputs)], name=name, domain=domain, **attributes)
    graph = helper.make_graph(
        [node], "case",
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in given],
        [helper.make_empty_tensor_value_info(f"y{i}") for i in range(outputs)], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    if name + ".model" in packed:
        raise ValueError(name + " stands twice")
    keep(packed, name, model.SerializeToString(), [v for _, v in given])


def ints(*values):
    return np.array(values, I64)


def operators():
    w = x(4, 3, 3, 3)
    case("conv", "Conv", [x(1, 3, 7, 6)], [(1, w), (2, x(4))], pads=[1, 1, 1, 1], strides=[2, 1])
    case("conv_1d", "Conv", [x(1, 4, 9)], [(1, x(6, 2, 3))], group=2, dilations=[2])
    case("conv_3d", "Conv", [x(1, 2, 4, 4, 4)], [(1, x(3, 2, 2, 2, 2))])
    case("conv_uneven_pads", "Conv", [x(1, 3, 6, 6)], [(1, w)], pads=[0, 1, 2, 1])
    case("conv_same_upper", "Conv", [x(1, 3, 7, 8)], [(1, x(4, 3, 2, 3))], auto_pad="SAME_UPPER", strides=[2, 2])
    case("conv_same_lower", "Conv", [x(1, 3, 7, 8)], [(1, x(4, 3, 2, 3))], auto_pad="SAME_LOWER", strides=[2, 2])
    case("conv_valid", "Conv", [x(1, 3, 7, 8)], [(1, w)], auto_pad="VALID")
    case("conv_transpose", "ConvTranspose", [x(1, 3, 4, 5)], [(1, x(3, 2, 3, 3)), (2, x(2))], strides=[2, 2],
         pads=[1, 1, 1, 1], output_padding=[1, 1])
    case("conv_transpose_groups", "ConvTranspose", [x(1, 4, 5)], [(1, x(4, 2, 3))], group=2, strides=[2])
    case("conv_transpose_uneven", "ConvTranspose", [x(1, 3, 4, 5)], [(1, x(3, 2, 3, 3))], strides=[2, 2],
         pads=[0, 1, 1, 0])
    case("conv_transpose_shape", "ConvTranspose", [x(1, 3, 4, 5)], [(1, x(3, 2, 3, 3))], strides=[2, 2],
         output_shape=[8, 10])
    case("conv_transpose_same", "ConvTranspose", [x(1, 3, 4, 5)], [(1, x(3, 2, 3, 3))], strides=[2, 2],
         auto_pad="SAME_UPPER")
    case("max_pool", "MaxPool", [x(1, 3, 8, 8)], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    case("max_pool_ceil", "MaxPool", [x(1, 3, 8, 8)], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    case("max_pool_uneven", "MaxPool", [x(1, 3, 8, 8)], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])
    case("max_pool_dilated", "MaxPool", [x(1, 3, 8, 8)], kernel_shape=[2, 2], dilations=[2, 2])
    case("max_pool_1d", "MaxPool", [x(1, 3, 8)], kernel_shape=[2], strides=[2])
    case("average_pool", "AveragePool", [x(1, 3, 8, 8)], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    case("average_pool_counted", "AveragePool", [x(1, 3, 8, 8)], kernel_shape=[3, 3], pads=[1, 1, 1, 1],
         count_include_pad=1)
    case("average_pool_plain", "AveragePool", [x(1, 3, 8, 8)], kernel_shape=[2, 2], strides=[2, 2])
    case("global_average_pool", "GlobalAveragePool", [x(1, 3, 5, 4)])
    case("global_max_pool", "GlobalMaxPool", [x(1, 3, 5, 4)])
    case("gemm", "Gemm", [x(2, 5)], [(1, x(3, 5)), (2, x(3))], transB=1)
    case("gemm_scaled", "Gemm", [x(2, 5)], [(1, x(5, 3)), (2, x(1, 3))], alpha=0.5, beta=2.0)
    case("gemm_of_inputs", "Gemm", [x(5, 2), x(5, 3), x(2, 1)], transA=1, alpha=0.5)
    case("mat_mul", "MatMul", [x(2, 3, 5)], [(1, x(5, 4))])
    case("mat_mul_of_inputs", "MatMul", [x(2, 1, 3, 5), x(3, 5, 4)])
    case("einsum", "Einsum", [x(2, 3, 4), x(2, 4, 5)], equation="bij,bjk->bik")
    case("batch_norm", "BatchNormalization", [x(2, 3, 4, 4)],
         [(1, x(3)), (2, x(3)), (3, x(3)), (4, np.abs(x(3)) + F(0.1))], epsilon=1e-3)
    case("layer_norm", "LayerNormalization", [x(2, 3, 8)], [(1, x(8)), (2, x(8))], axis=-1)
    case("layer_norm_two", "LayerNormalization", [x(2, 3, 8)], [(1, x(3, 8))], axis=1, epsilon=1e-3)
    case("instance_norm", "InstanceNormalization", [x(2, 3, 4, 4)], [(1, x(3)), (2, x(3))])
    case("group_norm", "GroupNormalization", [x(2, 4, 5)], [(1, x(4)), (2, x(4))], opset=21, num_groups=2)
    case("lp_norm", "LpNormalization", [x(2, 5)], axis=1, p=2)
    for op in ("Relu Sigmoid Tanh HardSwish Softplus Softsign Selu Abs Neg Exp Erf Floor Ceil Round Sign Sin Cos Atan "
               "Reciprocal").split():
        case("unary_" + op.lower(), op, [x(2, 7) * F(2)])
    case("unary_mish", "Mish", [x(2, 7)], opset=18)
    case("unary_sqrt", "Sqrt", [np.abs(x(2, 7))])
    case("unary_log", "Log", [np.abs(x(2, 7)) + F(0.1)])
    case("clip_relu6", "Clip", [x(2, 7) * F(5)], [(1, F(0)), (2, F(6))])
    case("clip_low", "Clip", [x(2, 7)], [(1, F(-0.5))])
    case("clip_high", "Clip", [x(2, 7)], [(1, None), (2, F(0.5))])
    case("clip_computed", "Clip", [x(2, 7), np.asarray(F(-0.5)), np.asarray(F(0.5))])
    case("leaky_relu", "LeakyRelu", [x(2, 7)], alpha=0.2)
    case("prelu", "PRelu", [x(2, 3, 4, 4)], [(1, x(3, 1, 1))])
    case("prelu_one", "PRelu", [x(2, 3, 4, 4)], [(1, x(1))])
    case("prelu_by_place", "PRelu", [x(2, 3, 4)], [(1, x(3, 4))])
    case("elu", "Elu", [x(2, 7)], alpha=0.7)
    case("celu", "Celu", [x(2, 7)], alpha=0.7)
    case("hard_sigmoid", "HardSigmoid", [x(2, 7) * F(3)])
    case("hard_sigmoid_of_torch", "HardSigmoid", [x(2, 7) * F(3)], alpha=1 / 6, beta=0.5)
    case("gelu", "Gelu", [x(2, 7)], opset=20)
    case("gelu_tanh", "Gelu", [x(2, 7)], opset=20, approximate="tanh")
    case("softmax", "Softmax", [x(2, 3, 4)], axis=1)
    case("log_softmax", "LogSoftmax", [x(2, 3, 4)])
    for op in ("Add", "Sub", "Mul", "Div"):
        case(f"{op.lower()}_inputs", op, [x(2, 3, 4), x(3, 1)])
        case(f"{op.lower()}_number", op, [x(2, 3)], [(1, F(1.5))])
        case(f"{op.lower()}_of_number", op, [x(2, 3)], [(0, F(1.5))])
    case("div_of_integers", "Div", [ints(7, -7, 6)], [(1, ints(2))])
    case("mod", "Mod", [ints(7, -7, 6)], [(1, ints(4))])
    case("pow_square", "Pow", [x(2, 3)], [(1, F(2))])
    case("pow_inputs", "Pow", [np.abs(x(2, 3)), x(2, 3)])
    case("min_inputs", "Min", [x(2, 3), x(2, 3), x(3)])
    case("max_number", "Max", [x(2, 3)], [(1, F(0.1))])
    case("sum", "Sum", [x(2, 3), x(2, 3), x(3)])
    case("mean", "Mean", [x(2, 3), x(2, 3), x(3)])
    for op in ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"):
        case("compare_" + op.lower(), op, [np.round(x(2, 6)), np.round(x(2, 6))])
        case("compare_number_" + op.lower(), op, [np.round(x(2, 6))], [(0, F(0))])
    for op in ("And", "Or", "Xor"):
        case("logical_" + op.lower(), op, [x(2, 6) > 0, x(2, 6) > 0])
    case("logical_not", "Not", [x(2, 6) > 0])
    case("where", "Where", [x(2, 3) > 0, x(2, 3)], [(2, F(-1))])
    case("cast", "Cast", [x(2, 3) * F(5)], to=TensorProto.INT64)
    for op in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare",
               "ReduceLogSumExp"):
        case(op.lower() + "_attribute", op, [x(2, 3, 4)], axes=[-1, 1], keepdims=0)
        case(op.lower() + "_input", op, [x(2, 3, 4)], [(1, ints(1))], opset=18)
    case("reducesum_input", "ReduceSum", [x(2, 3, 4)], [(1, ints(1, 2))])
    case("reducesum_all", "ReduceSum", [x(2, 3, 4)], keepdims=0)
    case("reducesum_none", "ReduceSum", [x(2, 3, 4)], noop_with_empty_axes=1)
    case("arg_max", "ArgMax", [x(2, 5)], axis=1, keepdims=0)
    case("arg_min", "ArgMin", [x(2, 5)], axis=-1)
    case("cum_sum", "CumSum", [x(2, 5)], [(1, np.array(1, np.int64))])
    case("top_k", "TopK", [x(2, 5)], [(1, ints(3))], outputs=2)
    case("reshape", "Reshape", [x(2, 3, 4)], [(1, ints(0, -1))])
    case("flatten", "Flatten", [x(2, 3, 4)])
    case("flatten_at_2", "Flatten", [x(2, 3, 4)], axis=2)
    case("transpose", "Transpose", [x(2, 3, 4)], perm=[2, 0, 1])
    case("transpose_all", "Transpose", [x(2, 3, 4)])
    case("squeeze", "Squeeze", [x(2, 1, 4, 1)], [(1, ints(1, -1))])
    case("squeeze_all", "Squeeze", [x(2, 1, 4, 1)])
    case("unsqueeze", "Unsqueeze", [x(2, 4)], [(1, ints(0, -1))])
    case("expand", "Expand", [x(3, 1)], [(1, ints(2, 1, 4))])
    case("tile", "Tile", [x(2, 3)], [(1, ints(2, 3))])
    case("depth_to_space", "DepthToSpace", [x(1, 8, 2, 3)], blocksize=2)
    case("depth_to_space_crd", "DepthToSpace", [x(1, 8, 2, 3)], blocksize=2, mode="CRD")
    case("space_to_depth", "SpaceToDepth", [x(1, 2, 4, 6)], blocksize=2)
    case("concat", "Concat", [x(2, 3), x(2, 4)], axis=-1)
    case("split", "Split", [x(2, 7)], [(1, ints(3, 4))], axis=1, outputs=2)
    case("split_evenly", "Split", [x(2, 6)], axis=1, outputs=3)
    case("split_uneven", "Split", [x(2, 7)], axis=1, outputs=3, opset=18, num_outputs=3)
    case("slice", "Slice", [x(4, 7)], [(1, ints(1, -6)), (2, ints(3, 1000)), (3, ints(0, -1)), (4, ints(1, 2))])
    case("slice_backwards", "Slice", [x(4, 7)], [(1, ints(-1, 5)), (2, ints(-1000, 0)), (3, ints(0, 1)),
                                                 (4, ints(-1, -2))])
    case("pad", "Pad", [x(1, 2, 3, 4)], [(1, ints(0, 1, 2, 0, 0, 0, 1, 3)), (2, F(0.5))])
    case("pad_reflect", "Pad", [x(1, 2, 3, 4)], [(1, ints(0, 0, 2, 1, 0, 0, 1, 3))], mode="reflect")
    case("pad_edge", "Pad", [x(1, 2, 3, 4)], [(1, ints(0, 0, 2, 1, 0, 0, 1, 3))], mode="edge")
    case("pad_axes", "Pad", [x(1, 2, 3, 4)], [(1, ints(1, 2)), (2, None), (3, ints(-1))], opset=18)
    case("gather_one", "Gather", [x(3, 4)], [(1, np.array(-1, np.int64))], axis=1)
    case("gather_some", "Gather", [x(3, 4)], [(1, ints(2, -3, 2))], axis=1)
    case("gather_square", "Gather", [x(3, 4)], [(1, np.array([[0, 2], [1, 1]], np.int64))], axis=0)
    case("gather_rows", "Gather", [np.array([[0, 2], [1, 1]], np.int64)], [(0, x(3, 4))])
    case("gather_elements", "GatherElements", [x(3, 4)], [(1, np.array([[0, -1], [1, 1], [2, 3]], np.int64))], axis=1)
    e = np.zeros(0, F)
    up = np.array([1, 1, 2, 3], F)
    r = [(1, None), (2, up)]
    case("resize_nearest", "Resize", [x(1, 2, 3, 4)], r, mode="nearest",
         coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    case("resize_nearest_half", "Resize", [x(1, 2, 3, 4)], r, mode="nearest")
    for how in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
        for where in ("half_pixel", "asymmetric", "align_corners"):
            case(f"resize_nearest_{how}_{where}", "Resize", [x(1, 1, 4, 5)], [(1, e), (2, e), (3, ints(1, 1, 7, 3))],
                 mode="nearest", nearest_mode=how, coordinate_transformation_mode=where)
    case("resize_linear", "Resize", [x(1, 2, 3, 4)], r, mode="linear")
    case("resize_linear_sizes", "Resize", [x(1, 2, 5, 4)], [(1, None), (2, None), (3, ints(1, 2, 3, 7))], mode="linear",
         coordinate_transformation_mode="pytorch_half_pixel")
    case("resize_linear_corners", "Resize", [x(1, 2, 5, 4)], [(1, None), (2, None), (3, ints(1, 2, 3, 7))],
         mode="linear", coordinate_transformation_mode="align_corners")
    case("resize_linear_1d", "Resize", [x(1, 2, 5)], [(1, None), (2, np.array([1, 1, 2], F))], mode="linear")
    case("resize_cubic", "Resize", [x(1, 2, 5, 4)], r, mode="cubic")
    case("resize_axes", "Resize", [x(1, 2, 5, 4)], [(1, None), (2, None), (3, ints(10, 8))], opset=18, axes=[2, 3],
         mode="linear")
    g = dict(outputs=2, hidden_size=3)
    case("gru", "GRU", [x(4, 2, 5)], [(1, x(1, 9, 5)), (2, x(1, 9, 3)), (3, x(1, 18))], linear_before_reset=1, **g)
    case("gru_both", "GRU", [x(4, 2, 5)], [(1, x(2, 9, 5)), (2, x(2, 9, 3)), (3, x(2, 18)), (4, None), (5, x(2, 2, 3))],
         linear_before_reset=1, direction="bidirectional", **g)
    case("gru_reverse", "GRU", [x(4, 2, 5)], [(1, x(1, 9, 5)), (2, x(1, 9, 3))], linear_before_reset=1,
         direction="reverse", **g)
    case("lstm", "LSTM", [x(4, 2, 5)], [(1, x(1, 12, 5)), (2, x(1, 12, 3)), (3, x(1, 24))], outputs=3, hidden_size=3)
    case("lstm_both", "LSTM", [x(4, 2, 5)], [(1, x(2, 12, 5)), (2, x(2, 12, 3))], outputs=3, hidden_size=3,
         direction="bidirectional")
    case("rnn", "RNN", [x(4, 2, 5)], [(1, x(1, 3, 5)), (2, x(1, 3, 3)), (3, x(1, 6))], **g)
    case("rnn_relu", "RNN", [x(4, 2, 5)], [(1, x(1, 3, 5)), (2, x(1, 3, 3))], activations=["Relu"], **g)
    for kind, zero in (("int8", np.int8(-3)), ("uint8", np.uint8(120))):
        case(f"quantize_{kind}", "QuantizeLinear", [x(2, 9)], [(1, F(0.02)), (2, zero)])
        case(f"dequantize_{kind}", "DequantizeLinear", [random.integers(0, 100, (2, 9)).astype(kind)],
             [(1, F(0.02)), (2, zero)])
    case("quantize_by_channel", "QuantizeLinear", [x(2, 3, 4)],
         [(1, np.array([0.01, 0.02, 0.05], F)), (2, np.array([0, 3, -7], np.int8))], axis=1)
    case("dequantize_by_channel", "DequantizeLinear", [random.integers(-90, 90, (2, 3)).astype(np.int32)],
         [(1, np.array([0.01, 0.02, 0.05], F))], axis=1)


# ---- networks


class Cnn(nn.Module):
    """What small image networks consist of: padding, depthwise, squeeze and excite, activations of all kinds."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.depthwise = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.BatchNorm2d(8), nn.Hardswish())
        self.squeeze, self.excite = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.norm, self.mix = nn.GroupNorm(2, 8), nn.Conv2d(8, 8, 1)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        x = self.depthwise(self.stem(x))
        gate = self.excite(nn.functional.silu(self.squeeze(nn.functional.adaptive_avg_pool2d(x, 1))))
        x = x * nn.functional.hardsigmoid(gate)
        x = x + nn.functional.gelu(self.mix(self.norm(x)))
        y = nn.functional.interpolate(nn.functional.max_pool2d(x, 2), scale_factor=2, mode="bilinear")
        return self.head(torch.flatten(torch.cat([x, y], 1).mean((2, 3)), 1))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.place = nn.Linear(6, 8), nn.Parameter(torch.randn(1, 5, 8))
        self.norm, self.qkv, self.out = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)
        self.mlp = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))

    def forward(self, x):
        x = self.embed(x) + self.place
        q, k, v = self.qkv(self.norm(x)).reshape(x.shape[0], 5, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(y.transpose(1, 2).reshape(x.shape[0], 5, 8))
        return (x + self.mlp(x)).mean(1)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 5, 2, batch_first=True, bidirectional=True)
        self.lstm, self.head = nn.LSTM(10, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x):
        y, _ = self.lstm(self.gru(x)[0])
        return self.head(y[:, -1])


networks_packed = {}


def export(net, sample, opset, dynamo, path=None):
    if dynamo:
        file = path or os.path.join(tempfile.mkdtemp(), "net.onnx")
        torch.onnx.export(net, (sample,), file, opset_version=opset, dynamo=True, external_data=False, verbose=False)
        model = onnx.load(file)
        model.graph.ClearField("value_info")
        for node in model.graph.node:  # texts of several times the model's size
            node.ClearField("metadata_props")
            node.ClearField("doc_string")
        for value in list(model.graph.input) + list(model.graph.output) + list(model.graph.initializer):
            value.ClearField("metadata_props")
        model.ClearField("metadata_props")
        return model.SerializeToString()
    buffer = io.BytesIO()
    torch.onnx.export(net, (sample,), buffer, opset_version=opset, dynamo=False, input_names=["x"],
                      dynamic_axes={"x": {0: "batch"}})
    return buffer.getvalue()


def networks():
    torch.manual_seed(0)
    for name, net, shape in (("cnn", Cnn(), (1, 3, 16, 16)), ("transformer", Transformer(), (1, 5, 6)),
                             ("recurrent", Recurrent(), (1, 7, 4))):
        with torch.no_grad():
            net(torch.randn(4, *shape[1:]))
        net.eval()
        sample = torch.randn(*shape)
        for how, opset, dynamo in (("script13", 13, False), ("script17", 17, False), ("dynamo18", 18, True)):
            if name == "transformer" and opset == 13:
                opset = 14
            keep(networks_packed, f"{name}_{how}", export(net, sample, opset, dynamo), [sample.numpy()])


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1, groups=8),
                                  nn.ReLU(), nn.Conv2d(8, 12, 1), nn.ReLU())
        self.head = nn.Linear(12, 4)

    def forward(self, x):
        x = self.body(x)
        return self.head(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


def files():
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    torch.manual_seed(1)
    net = Plain().eval()
    sample = torch.randn(1, 3, 12, 12)
    plain = export(net, sample, 17, False)
    (here / "network.onnx").write_bytes(plain)
    keep(networks_packed, "plain", plain, [sample.numpy()])
    onnx.save_model(onnx.load_from_string(plain), here / "external.onnx", save_as_external_data=True,
                    location="external.onnx.data", size_threshold=0)

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.left = [{"x": torch.randn(1, 3, 12, 12).numpy()} for _ in range(8)]

        def get_next(self):
            return self.left.pop() if self.left else None

    for name, activations, by_channel in (("qdq_int8", QuantType.QInt8, True), ("qdq_uint8", QuantType.QUInt8, False)):
        file = os.path.join(tempfile.mkdtemp(), "qdq.onnx")
        quantize_static(here / "network.onnx", file, Reader(), quant_format=QuantFormat.QDQ, per_channel=by_channel,
                        activation_type=activations, weight_type=QuantType.QInt8)
        quantized = pathlib.Path(file).read_bytes()
        keep(networks_packed, name, quantized, [sample.numpy()])
        if by_channel:
            (here / "qdq.onnx").write_bytes(quantized)


operators()
networks()
files()
save_file(packed, here / "operators.safetensors")
save_file(networks_packed, here / "networks.safetensors")
