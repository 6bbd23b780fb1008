"""HEIC files made for tests, since nothing that is installed writes any: the boxes of ISO/IEC 23008-12 by hand."""

import io
import struct

import av
import numpy as np


def write_heic(path, images, grid=None):
    """Write equal-sized RGB images as HEVC items: the first is the picture, or with `grid` (rows, columns) all are."""
    coded = [_hevc(image) for image in images]
    height, width = images[0].shape[:2]
    items = [_full(b"infe", 2, struct.pack(">HH", n, 0), b"hvc1", b"\0") for n in range(1, len(images) + 1)]
    payload = [data for _, data in coded]
    properties, belongs, references = [], b"", b""
    for n, (config, _) in enumerate(coded, 1):
        properties += [config, _full(b"ispe", 0, struct.pack(">II", width, height))]
        belongs += struct.pack(">HBBB", n, 2, 0x80 | (2 * n - 1), 2 * n)
    primary = 1
    if grid:
        rows, columns = grid
        primary = len(images) + 1
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


def _hevc(image):
    """The decoder's configuration (a box) and one coded picture."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx265", rate=25, options={"x265-params": "log-level=none", "crf": "5"})
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt, stream.codec_context.codec_tag = "yuv420p", "hvc1"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        container.mux(stream.encode(None))
    raw = file.getvalue()
    at = raw.index(b"hvcC") - 4
    config = raw[at : at + struct.unpack(">I", raw[at : at + 4])[0]]
    file.seek(0)
    with av.open(file) as container:
        return config, bytes(next(packet for packet in container.demux(video=0) if packet.size))
