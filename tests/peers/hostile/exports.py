"""torch.export's `.pt2` with other contents, and pickles."""

import copy
import json
import struct
import zipfile

import archives
from archives import LARGE, LEAST

OWN = b"X\x10\x00\x00\x00touch /tmp/owned"
PICKLES = {
    "system": b"\x80\x02cos\nsystem\n" + OWN + b"\x85R.",
    "posix": b"\x80\x02cposix\nsystem\n" + OWN + b"\x85R.",
    "eval": b"\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R.",
    "instance": b"(X\x01\x00\x00\x00aios\nsystem\n.",
    "stacked": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01a\x85R.",
    "marks": b"\x80\x02" + b"(" * 5_000_000 + b".",
    "lists": b"\x80\x02](" + b"]" * 5_000_000 + b"e.",
    "copies": b"\x80\x02]" + b"2" * 5_000_000 + b".",
    "long": b"\x80\x02\x8b\xff\xff\xff\x7f" + b"\xff" * 100 + b".",
    "negative_long": b"\x80\x02\x8b\xff\xff\xff\xff.",
    "text": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 63) + b"a.",
    "bytes": b"\x80\x04\x8e" + struct.pack("<Q", (1 << 64) - 1) + b"a.",
    "frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"N.",
    "far_memo": b"\x80\x02Nr\xff\xff\xff\xff.",
    "scattered_memo": b"\x80\x02" + b"".join(b"Nr" + struct.pack("<I", i * 4097 & 0xFFFFFFFF) for i in range(500_000)),
    "no_memo": b"\x80\x02j\xff\xff\xff\xff.",
    "persistent": b"\x80\x02Pfoo\n.",
    "extension": b"\x80\x02\x82\x01.",
    "doubling": b"\x80\x02)q\x00" + b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(100)) + b".",
    "circle": b"\x80\x02]q\x00h\x00a.",
    "digits": b"I" + b"9" * 5_000_000 + b"\n.",
    "state": b"\x80\x02ctorch\nTensor\n)\x81}X\x04\x00\x00\x00dataNsb.",
    "long_name": b"\x80\x02c" + b"a" * 1_000_000 + b"\nb\n.",
}
TARGETS = [
    "torch.ops.aten.from_file.default", "torch.ops.aten.set_.source_Tensor", "os.system", "builtins.eval",
    "torch.ops.higher_order.call_torchbind", "torch.ops.higher_order.while_loop", "torch.ops.aten.linear.out",
    "torch.ops.higher_order.triton_kernel_wrapper_mutation", "torch.ops.inductor._alloc_from_pool.default",
    "torch.ops.aten.linear.default\nerror: x", "torch.ops." * 10000, "", "torch.ops.aten.save.default",
]


def number(value):
    return b"J" + struct.pack("<i", value) if -(1 << 31) <= value < 1 << 31 else b"\x8a\x08" + struct.pack("<q", value)


def numbers(values):
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(offset, sizes, strides, key=b"0", elements=4, storage=b"FloatStorage"):
    """The pickle of {'w': a tensor}, its view as said."""
    place = b"X\x07\x00\x00\x00storagectorch\n" + storage + b"\nX" + struct.pack("<I", len(key)) + key
    view = number(offset) + numbers(sizes) + numbers(strides)
    called = b"((" + place + b"X\x03\x00\x00\x00cpu" + number(elements) + b"tQ" + view + b"\x89ccollections\nOrderedDict\n)RtR"
    return b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n" + called + b"s."


VIEWS = {
    "stride_least": (0, (4,), (LEAST,)),
    "stride_negative": (3, (4,), (-1,)),
    "offset_least": (LEAST, (4,), (1,)),
    "offset_large": (LARGE, (4,), (1,)),
    "size_least": (0, (LEAST,), (1,)),
    "sizes_large": (0, (LARGE, LARGE), (0, 0)),
    "expanded": (0, (1 << 20, 1 << 20), (0, 0)),
    "dimensions": (0, (1,) * 5000, (1,) * 5000),
}


def saved(pickled, storages=None):
    members = {"archive/data.pkl": pickled, "archive/version": b"3\n", "archive/byteorder": b"little"}
    return archives.plain({**members, **{f"archive/data/{key}": data for key, data in (storages or {}).items()}})


class Export:
    """A valid export that is changed in one place."""

    def __init__(self, path):
        archive = zipfile.ZipFile(path)
        self.members = {entry.filename: archive.read(entry) for entry in archive.infolist()}
        self.program = next(name for name in self.members if name.endswith("models/model.json"))
        self.root = self.program[: -len("models/model.json")]
        self.config = self.root + "data/weights/model_weights_config.json"

    def with_program(self, edit=None, text=None):
        program = json.loads(self.members[self.program])
        if edit is not None:
            edit(program)
        return archives.plain({**self.members, self.program: text or json.dumps(program)}, 8)

    def with_graph(self, edit):
        return self.with_program(lambda program: edit(program["graph_module"]["graph"]))

    def with_input(self, **says):
        return self.with_graph(lambda graph: graph["tensor_values"]["input"].update(says))

    def with_weight(self, **says):
        config = json.loads(self.members[self.config])
        weight = config["config"]["0.weight"]
        for key, value in says.items():
            (weight if key in weight else weight["tensor_meta"])[key] = value
        return archives.plain({**self.members, self.config: json.dumps(config)})

    def in_old_layout(self, state):
        members = {"version": b"8.14", "serialized_exported_program.json": self.members[self.program]}
        return archives.plain({**members, "serialized_state_dict.pt": state,
                               "serialized_constants.pt": saved(b"\x80\x02}.")})


def ints(*values):
    return [{"as_int": value} for value in values]


def expression(text):
    return {"sizes": [{"as_expr": {"expr_str": text, "hint": {"as_int": 4}}}, {"as_int": 16}]}


def nested(depth):
    """Blocks in one another."""
    empty = {"inputs": [], "outputs": [], "nodes": [], "tensor_values": {}, "sym_int_values": {}, "sym_bool_values": {},
             "is_single_tensor_return": False, "custom_obj_values": {}, "sym_float_values": {}}
    inner = empty
    for _ in range(depth):
        arguments = [{"name": "enable_grad", "arg": {"as_bool": False}, "kind": 1},
                     {"name": "wrapped", "arg": {"as_graph": {"name": "s", "graph": inner}}, "kind": 1}]
        block = {"target": "torch.ops.higher_order.wrap_with_set_grad_enabled", "inputs": arguments, "outputs": [],
                 "metadata": {}, "name": "block"}
        inner = {**copy.copy(empty), "nodes": [block]}
    return inner["nodes"][0]


def files(path):
    export = Export(path)
    made = {f"target_{i}.pt2": export.with_graph(lambda graph, name=name: graph["nodes"][0].update(target=name))
            for i, name in enumerate(TARGETS)}
    argument = lambda graph: graph["nodes"][0]["inputs"][0]["arg"]  # noqa: E731
    made.update({
        "sizes_least.pt2": export.with_input(sizes=ints(LEAST, 16)),
        "sizes_large.pt2": export.with_input(sizes=ints(LARGE, LARGE)),
        "input_of_no_type.pt2": export.with_input(dtype=LEAST),
        "reads_itself.pt2": export.with_graph(lambda graph: argument(graph)["as_tensor"].update(name="linear")),
        "reads_nothing.pt2": export.with_graph(lambda graph: argument(graph)["as_tensor"].update(name="none")),
        "custom_object.pt2": export.with_graph(
            lambda graph: graph["nodes"][0]["inputs"][0].update(arg={"as_custom_obj": {"name": "x", "class_fqn": "X"}})),
        "operator_as_argument.pt2": export.with_graph(
            lambda graph: graph["nodes"][0]["inputs"][0].update(arg={"as_operator": "os.system"})),
        "input_twice.pt2": export.with_graph(lambda graph: graph["inputs"].append(graph["inputs"][0])),
        "no_results.pt2": export.with_graph(lambda graph: graph.update(outputs=[])),
        "deep_expression.pt2": export.with_input(**expression("(" * 30000 + "s0" + ")" * 30000)),
        "powers.pt2": export.with_input(**expression("9**9**9**9**9**9")),
        "code_as_size.pt2": export.with_input(**expression("__import__('os').system('touch /tmp/owned')")),
        "long_expression.pt2": export.with_input(**expression("*".join(["s0"] * 40000))),
        "quotient_of_least.pt2": export.with_input(**expression("(s0 - 9223372036854775807 - 1)//(s0-s0-1)")),
        "deep.pt2": export.with_program(text='{"a":' * 500_000 + "1" + "}" * 500_000),
        "no_graph.pt2": export.with_program(lambda program: program.update(graph_module={})),
        "blocks.pt2": export.with_graph(lambda graph: graph["nodes"].append(nested(20))),
        "weight_climbs.pt2": export.with_weight(path_name="../../../../../../etc/passwd"),
        "weight_elsewhere.pt2": export.with_weight(path_name="/etc/passwd"),
        "weight_name_ends.pt2": export.with_weight(path_name="weight_0\0x"),
        "weight_stride_least.pt2": export.with_weight(strides=ints(LEAST, 1)),
        "weight_stride_large.pt2": export.with_weight(strides=ints(LARGE, 1)),
        "weight_expanded.pt2": export.with_weight(strides=ints(0, 0), sizes=ints(1 << 20, 1 << 20)),
        "weight_offset_least.pt2": export.with_weight(storage_offset={"as_int": LEAST}),
        "weight_size_least.pt2": export.with_weight(sizes=ints(LEAST, 16)),
        "weight_sizes_large.pt2": export.with_weight(sizes=ints(1 << 32, 1 << 32)),
        "weight_of_no_type.pt2": export.with_weight(dtype=12),
        "weight_of_many_dimensions.pt2": export.with_weight(sizes=ints(*[1] * 100_000), strides=ints(*[1] * 100_000)),
    })
    code = ("class Net(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n"
            "  def forward(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n    return x\n")
    for name, pickled in PICKLES.items():
        script = {"net/data.pkl": pickled, "net/constants.pkl": b"\x80\x02).", "net/version": b"3"}
        made[f"pickle_{name}.pt2"] = export.in_old_layout(saved(pickled))
        made[f"pickle_{name}.pth"] = saved(pickled)
        made[f"pickle_{name}.pt"] = archives.plain({**script, "net/code/__torch__.py": code})
    for name, view in VIEWS.items():
        made[f"view_{name}.pth"] = saved(tensor(*view), {"0": b"\0" * 16})
        made[f"view_{name}.pt2"] = export.in_old_layout(saved(tensor(*view), {"0": b"\0" * 16}))
    made["storage_climbs.pth"] = saved(tensor(0, (4,), (1,), key=b"../../../etc/passwd"), {"0": b"\0" * 16})
    made["storage_too_long.pth"] = saved(tensor(0, (4,), (1,), elements=LARGE), {"0": b"\0" * 16})
    made["storage_of_no_type.pth"] = saved(tensor(0, (4,), (1,), storage=b"QInt8Storage"), {"0": b"\0" * 16})
    return made
