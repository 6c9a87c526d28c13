"""A page as a headless browser shows it, without a network."""

import shutil
import struct
import subprocess
import zlib

import numpy as np

CHROMIUM = shutil.which("chromium")


def screenshot(page, folder, dark):
    """The page as a height x width x 3 array."""
    shot = folder / f"{'dark' if dark else 'light'}.png"
    subprocess.run(
        [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
         "--window-size=500,1300", f"--blink-settings=preferredColorScheme={0 if dark else 1}",
         "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'profile'}",
         f"--screenshot={shot}", page.as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return decode(shot.read_bytes())


def decode(png):
    """Pixels of an 8-bit RGB or RGBA PNG that is not interlaced."""
    at, packed = 8, b""
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        data = png[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", data[:10])
            assert depth == 8 and colour in (2, 6), (depth, colour)
        packed += data if kind == b"IDAT" else b""
        at += size + 12
    channels = 3 if colour == 2 else 4
    raw = zlib.decompress(packed)
    stride = width * channels
    above = bytearray(stride)
    rows = []
    for start in range(0, len(raw), stride + 1):
        above = unfilter(raw[start], raw[start + 1 : start + 1 + stride], above, channels)
        rows.append(np.frombuffer(bytes(above), np.uint8).reshape(width, channels))
    return np.stack(rows)[:, :, :3]


def unfilter(kind, line, above, channels):
    out = bytearray(line)
    if kind == 0:
        return out
    if kind == 2:
        return bytearray((np.frombuffer(line, np.uint8) + np.frombuffer(above, np.uint8)).data)
    for i, value in enumerate(line):
        left = out[i - channels] if i >= channels else 0
        up = above[i]
        if kind == 1:
            guess = left
        elif kind == 3:
            guess = (left + up) // 2
        else:
            corner = above[i - channels] if i >= channels else 0
            a, b, c = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
            guess = left if a <= b and a <= c else up if b <= c else corner
        out[i] = (value + guess) & 255
    return out
