"""ICC profiles made here, and colours in their spaces worked out by hand."""

import struct

import numpy as np

ROUNDED = 65_536
# Red, green and blue of each space in XYZ under D50, a row each.
SPACES = {
    "sRGB": [[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.7141]],
    "Adobe RGB": [[0.60974, 0.31111, 0.01947], [0.20528, 0.62567, 0.06087],
                  [0.14919, 0.06322, 0.74457]],
    "Display P3": [[0.51512, 0.2412, -0.00105], [0.29198, 0.69225, 0.04189],
                   [0.1571, 0.06657, 0.78407]],
    "ProPhoto": [[0.79767, 0.28804, 0.0], [0.13519, 0.71188, 0.0], [0.03134, 0.00009, 0.82491]],
}  # fmt: skip
GAMMAS = {"Adobe RGB": 563 / 256, "ProPhoto": 1.8}
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
D50 = (0.9642, 1.0, 0.8249)


def rgb(space: str) -> bytes:
    matrix = [_tag(b"XYZ ", _fixed(row)) for row in SPACES[space]]
    curve = (
        _gamma(GAMMAS[space]) if space in GAMMAS else _tag(b"para", b"\0\3\0\0", *_each(SRGB_CURVE))
    )
    names = (b"rXYZ", b"gXYZ", b"bXYZ"), (b"rTRC", b"gTRC", b"bTRC")
    return _profile(
        b"RGB ", dict(zip(names[0], matrix, strict=True)) | dict.fromkeys(names[1], curve)
    )


def grey(gamma: float) -> bytes:
    return _profile(b"GRAY", {b"kTRC": _gamma(gamma)})


def cmyk(black: float) -> bytes:
    """A press whose inks only darken: lightness falls with the sum of them, down to `black`."""
    corners = np.stack(np.meshgrid(*[[0.0, 1.0]] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    light = 255 * (1 - (1 - black) * np.minimum(corners.sum(-1), 1))
    table = np.stack([light, np.full(16, 128), np.full(16, 128)], -1).round().astype(np.uint8)
    straight = bytes(range(256))
    identity = b"".join(struct.pack(">i", ROUNDED * (n % 4 == 0)) for n in range(9))
    body = bytes([4, 3, 2, 0]) + identity + straight * 4 + table.tobytes() + straight * 3
    return _profile(b"CMYK", {b"A2B0": _tag(b"mft1", body)}, connection=b"Lab ", kind=b"prtr")


def in_space(colour, space: str) -> tuple[int, ...]:
    """What sRGB's `colour` is called there."""
    levels = np.array(colour) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    found = linear @ np.array(SPACES["sRGB"]) @ np.linalg.inv(SPACES[space])
    found = found.clip(0, 1)
    if space in GAMMAS:
        found = found ** (1 / GAMMAS[space])
    else:
        found = np.where(found <= 0.0031308, found * 12.92, 1.055 * found ** (1 / 2.4) - 0.055)
    return tuple((255 * found).round().astype(int).tolist())


def _profile(space, tags, connection=b"XYZ ", kind=b"mntr") -> bytes:
    said = {b"desc": _text(b"made for a test"), b"wtpt": _tag(b"XYZ ", _fixed(D50))} | tags
    place, index, data = 128 + 4 + 12 * len(said), b"", b""
    for name, body in said.items():
        body += bytes(-len(body) % 4)
        index += name + struct.pack(">II", place + len(data), len(body))
        data += body
    head = struct.pack(">I4sI4s4s4s12s4s", 0, b"\0" * 4, 0x02400000, kind, space, connection,
                       struct.pack(">6H", 2020, 1, 1, 0, 0, 0), b"acsp")  # fmt: skip
    head += bytes(28) + _fixed(D50) + bytes(48)
    whole = head + struct.pack(">I", len(said)) + index + data
    return struct.pack(">I", len(whole)) + whole[4:]


def _tag(kind: bytes, *parts: bytes) -> bytes:
    return kind + bytes(4) + b"".join(parts)


def _text(text: bytes) -> bytes:
    return _tag(b"desc", struct.pack(">I", len(text) + 1), text, bytes(1 + 78))


def _gamma(gamma: float) -> bytes:
    return _tag(b"curv", struct.pack(">IH", 1, round(256 * gamma)))


def _fixed(values) -> bytes:
    return b"".join(_each(values))


def _each(values) -> list[bytes]:
    return [struct.pack(">i", round(ROUNDED * value)) for value in values]
