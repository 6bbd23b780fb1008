"""HEIC files made for tests, since nothing that is installed writes any: the boxes of ISO/IEC 23008-12 by hand."""

import struct
from base64 import b64decode

# What x265 made of flat pictures of SIDE x SIDE pixels: the decoder's configuration, and the pictures by their colour.
SIDE = 64
_CONFIGURATION = b64decode(
    "AAAAdGh2Y0MBAWAAAACQAAAAAAAe8AD8/fj4AAAPA6AAAQAYQAEMAf//AWAAAAMAkAAAAwAAAwAelZgJoQABACdCAQEBYAAAAwCQAAADAAADAB6gIIEF"
    "llZpJMrmgIAAAAMAgAAADISiAAEAB0QBwXK0IkA="
)
PICTURES = {
    (200, 30, 30): b64decode("AAAAGSgBrwQ4OCJcm/17yv/+Ufdl+0djZ3CjCvg="),
    (30, 200, 30): b64decode("AAAAHigBrwQ4OCfuEv+7E0SEY/i/v//7yc2maBmqPdyK+A=="),
}


def write_heic(path, colours, grid=None):
    """Write flat pictures as HEVC items: the first is the picture, or with `grid` (rows, columns) all are its tiles."""
    height = width = SIDE
    payload = [PICTURES[colour] for colour in colours]
    items = [_full(b"infe", 2, struct.pack(">HH", n, 0), b"hvc1", b"\0") for n in range(1, len(colours) + 1)]
    properties, belongs, references = [], b"", b""
    for n in range(1, len(colours) + 1):
        properties += [_CONFIGURATION, _full(b"ispe", 0, struct.pack(">II", width, height))]
        belongs += struct.pack(">HBBB", n, 2, 0x80 | (2 * n - 1), 2 * n)
    primary = 1
    if grid:
        rows, columns = grid
        primary = len(colours) + 1
        items.append(_full(b"infe", 2, struct.pack(">HH", primary, 0), b"grid", b"\0"))
        payload.append(struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width * columns, height * rows))
        parts = [struct.pack(">H", n) for n in range(1, primary)]
        references = _full(b"iref", 0, _box(b"dimg", struct.pack(">HH", primary, len(parts)), *parts))
        properties.append(_full(b"ispe", 0, struct.pack(">II", width * columns, height * rows)))
        belongs += struct.pack(">HBB", primary, 1, len(properties))

    def meta(start):
        places = b""
        for n, data in enumerate(payload, 1):
            places += struct.pack(">HHHII", n, 0, 1, start, len(data))
            start += len(data)
        count = struct.pack(">H", len(payload))
        return _full(
            b"meta",
            0,
            _full(b"hdlr", 0, struct.pack(">I", 0), b"pict", bytes(13)),
            _full(b"pitm", 0, struct.pack(">H", primary)),
            _full(b"iloc", 0, bytes([0x44, 0]), count, places),
            _full(b"iinf", 0, count, *items),
            references,
            _box(b"iprp", _box(b"ipco", *properties), _full(b"ipma", 0, struct.pack(">I", len(payload)), belongs)),
        )

    kind = _box(b"ftyp", b"heic", struct.pack(">I", 0), b"mif1heic")
    path.write_bytes(kind + meta(len(kind) + len(meta(0)) + 8) + _box(b"mdat", *payload))
    return path


def _box(kind, *parts):
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def _full(kind, version, *parts):
    return _box(kind, struct.pack(">I", version << 24), *parts)
