"""Zip archives by hand: whatever a writer would not write."""

import io
import struct
import zipfile
import zlib

LARGE = 1 << 62
LEAST = -(1 << 63)
HALF = 2**31 - 1


def plain(members, method=zipfile.ZIP_STORED):
    """A zip of {name: bytes or text}, as it should be."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return made.getvalue()


class Member:
    """An entry whose headers may say other things than its bytes."""

    def __init__(self, name, data=b"", method=0, **says):
        self.name = name.encode() if isinstance(name, str) else name
        self.method = method
        packed = data
        if method == 8:
            packer = zlib.compressobj(9, zlib.DEFLATED, -15)
            packed = packer.compress(data) + packer.flush()
        self.packed = says.get("packed", packed)
        self.crc = says.get("crc", zlib.crc32(data)) & 0xFFFFFFFF
        self.size = says.get("size", len(data)) & 0xFFFFFFFF
        self.packed_size = says.get("packed_size", len(self.packed)) & 0xFFFFFFFF
        self.offset = says.get("offset")
        self.local = says.get("local", self.name)  # None: no header of its own
        self.flags = says.get("flags", 0)
        self.made_by = says.get("made_by", 20)
        self.attributes = says.get("attributes", 0)
        self.extra = says.get("extra", b"")


def raw(members, count=None, offset=None, size=None, before_end=b"", comment=b""):
    """The archive of these members; `count`, `offset` and `size` of the directory as they are, or as they are said."""
    body, directory = bytearray(), bytearray()
    for each in members:
        at = len(body) if each.offset is None else each.offset
        facts = (each.flags, each.method, 0, 0, each.crc, each.packed_size, each.size)
        directory += struct.pack("<IHHHHHHIII", 0x02014B50, each.made_by, 20, *facts)
        directory += struct.pack("<HHHHHII", len(each.name), len(each.extra), 0, 0, 0, each.attributes, at)
        directory += each.name + each.extra
        if each.local is not None:
            body += struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, *facts, len(each.local), 0) + each.local + each.packed
    count = len(members) if count is None else count
    size = len(directory) if size is None else size
    offset = len(body) if offset is None else offset
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count & 0xFFFF, count & 0xFFFF, size, offset, len(comment))
    return bytes(body + directory + before_end + end + comment)


def files(graph):
    """Archives that are none, around a document that is one."""
    good = Member("octet.json", graph)
    end64 = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, LARGE, LARGE, LARGE, 0)
    link = {"made_by": 0x314, "attributes": 0xA1FF0000}
    kernel = Member("0", b"\0" * (1 << 24), 8)
    same = {"packed": b"", "local": None, "offset": 0, "size": 1 << 24, "packed_size": len(kernel.packed)}
    both = {"size": 0xFFFFFFFF, "packed_size": 0xFFFFFFFF, "extra": struct.pack("<HHQQ", 1, 16, 1 << 63, 1 << 63)}
    return {
        "climbs": raw([good, Member("../../victim.txt", b"A" * 16), Member("/tmp/owned"), Member("..\\x")]),
        "link": raw([Member("octet.json", b"/etc/passwd", **link)]),
        "size_lies": raw([Member("octet.json", graph, size=0xFFFFFFF0)]),
        "size_lies_packed": raw([Member("octet.json", graph, 8, size=len(graph) * 1000)]),
        "size_too_small": raw([Member("octet.json", graph, 8, size=4)]),
        "encrypted": raw([Member("octet.json", graph, flags=1)]),
        "other_method": raw([Member("octet.json", graph, 14)]),
        "other_checksum": raw([Member("octet.json", graph, crc=1)]),
        "twice": raw([good, good]),
        "two_names": raw([Member("octet.json", graph, local=b"otherxjson")]),
        "overlap": raw([good, Member("t", graph, local=None, offset=0)]),
        "many_of_one": raw([kernel] + [Member(f"{i + 1}", b"", 8, **same) for i in range(200)]),
        "beyond_the_end": raw([Member("octet.json", graph, offset=0xFFFFFFFE)]),
        "directory_beyond": raw([good], offset=0xFFFFFFF0),
        "directory_too_long": raw([good], size=0xFFFFFFF0),
        "more_entries": raw([good], count=0xFFFF),
        "zip64": raw([good], before_end=end64 + struct.pack("<IIQI", 0x07064B50, 0, 0, 1)),
        "zip64_beyond": raw([good], before_end=struct.pack("<IIQI", 0x07064B50, 0, (1 << 64) - 20, 1)),
        "zip64_sizes": raw([Member("octet.json", graph, **both)]),
        "name_ends": raw([good, Member(b"a\0b")]),
        "name_breaks_the_line": raw([Member(b"octet.json\nerror: x\x1b[2J", graph)]),
        "many_entries": raw([Member(f"{i:x}") for i in range(60000)]),
        "json_bomb": raw([Member("octet.json", b"[" + b"[]," * 22_000_000 + b"0]", 8)]),
        "zeros": raw([Member("octet.json", b"\0" * (1 << 27), 8)]),
        "truncated": raw([good])[:-10],
        "end_alone": b"PK\x05\x06" + b"\xff" * 18,
    }
