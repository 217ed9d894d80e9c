"""A small picture and a short sound, made here, as the data URLs that calls carry."""

from __future__ import annotations

import base64
import io
import struct
import wave
import zlib

SIDE = 56


def _picture() -> bytes:
    """A square of one colour as PNG (RFC 2083): a signature and three chunks."""
    rows = (b"\0" + b"\x40\x80\xc0" * SIDE) * SIDE
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    parts = [struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _sound() -> bytes:
    """A second of silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8_000)
        sound.writeframes(bytes(16_000))
    return file.getvalue()


IMAGE = "data:image/png;base64," + base64.b64encode(_picture()).decode()
SOUND = "data:audio/wav;base64," + base64.b64encode(_sound()).decode()
