"""The smallest video that is one."""

from fractions import Fraction
from functools import cache
from io import BytesIO

import av


@cache
def clip() -> bytes:
    """An MP4 of one grey picture."""
    file = BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=24)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame(64, 64, "yuv420p")
        frame.pts, frame.time_base = 0, Fraction(1, 24)
        for plane in frame.planes:
            plane.update(bytes([128]) * plane.buffer_size)
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()
