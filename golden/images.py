# SPDX-License-Identifier: MIT
"""Writes golden/images.safetensors and golden/pictures/: pictures resized by Pillow, and small picture files
of every kind with the pixels that they must decode to. golden/large/ has small files of large pictures, which
serve to measure memory.
"""
import io
import os
import struct
import zlib

import numpy as np
import torch
from PIL import Image, ImageOps

from common import Golden

SEED = 20220812
LARGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "large")
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pictures")

# (height, width) -> (height, width). The input of case i is torch.randint(0, 256, [height, width, 3]) with
# the seed i, which the test generates by itself.
RESIZES = [
    ((17, 23), (31, 40)), ((64, 64), (16, 16)), ((60, 96), (32, 32)), ((120, 40), (32, 32)),
    ((1, 9), (5, 7)), ((9, 1), (4, 6)), ((1, 1), (8, 8)), ((13, 13), (7, 13)), ((13, 13), (13, 7)),
    ((7, 20), (20, 20)), ((200, 3), (64, 5)), ((40, 40), (40, 40)), ((33, 35), (1, 1)), ((37, 5), (30, 2)),
    ((51, 40), (2, 15)), ((51, 40), (3, 16)), ((97, 64), (64, 64)), ((64, 97), (64, 64)),
    ((2, 3000), (16, 16)), ((3000, 2), (16, 16)), ((720, 405), (48, 48)), ((405, 720), (48, 48)),
    ((600, 800), (64, 64)),
]


def eight_bit(array):
    """Returns 8-bit values as fp16, which represents them exactly."""
    return torch.from_numpy(np.array(array, dtype=np.uint8)).to(torch.float16)


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, color, rows, extra=b"", compress=zlib.compress, interlaced=0):
    """Makes a PNG file, also of kinds that Pillow does not write. rows are the bytes of each row."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    data = compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + extra + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def on_white(rgb, alpha):
    """Blends a picture with white."""
    rgb, alpha = rgb.astype(int), alpha.astype(int)[..., None]
    return (2 * (rgb * alpha + 255 * (255 - alpha)) + 255) // 510  # rounded to nearest


def saved(image, kind, **options):
    """Returns the bytes of a file that Pillow writes."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def smooth(height, width):
    """Returns a smooth picture, which JPEG preserves well. All its sides and corners differ, so that any
    rotation shows."""
    y, x = np.mgrid[0:height, 0:width]
    blue = 120 + 60 * np.sin(x / 5) * (y < 6)
    return np.stack([255 * x / (width - 1), 255 * y / (height - 1), blue], 2).astype(np.uint8)


def exact_kinds(out, write):
    """Writes files of lossless formats, whose pixels are known exactly."""
    rng = np.random.default_rng(SEED)
    h, w = 9, 13
    rgba = rng.integers(0, 256, (h, w, 4), dtype=np.uint8)
    rgba[0, :4, 3] = [0, 255, 128, 1]
    rgb, grey, alpha = rgba[..., :3], rgba[..., 0], rgba[..., 3]
    of_grey = np.repeat(grey[..., None], 3, 2)
    write("grey.png", saved(Image.fromarray(grey), "PNG"), of_grey)
    write("grey_alpha.png", saved(Image.fromarray(np.stack([grey, alpha], 2), "LA"), "PNG"), on_white(of_grey, alpha))
    write("rgb.png", saved(Image.fromarray(rgb), "PNG"), rgb)
    write("rgba.png", saved(Image.fromarray(rgba), "PNG"), on_white(rgb, alpha))
    write("one_bit.png", saved(Image.fromarray(grey > 127), "PNG"), np.where(of_grey > 127, 255, 0))
    palette = Image.fromarray(rgb).quantize(16)
    colors = np.array(palette.convert("RGB"))
    write("palette.png", saved(palette, "PNG"), colors)
    see_through = np.array(palette) == 3
    write("palette_alpha.png", saved(palette, "PNG", transparency=3), on_white(colors, np.where(see_through, 0, 255)))
    deep = rng.integers(0, 65536, (h, w, 4), dtype=np.uint16)
    for name, color, channels in (("grey16", 0, 1), ("rgb16", 2, 3), ("rgba16", 6, 4)):
        part = deep[..., :channels]
        rows = [row.astype(">u2").tobytes() for row in part]
        high = (part >> 8).astype(np.uint8)
        want = np.repeat(high, 3, 2) if channels == 1 else high[..., :3]
        write(f"{name}.png", png(w, h, 16, color, rows), on_white(want, high[..., 3]) if channels == 4 else want)
    write("rgb.bmp", saved(Image.fromarray(rgb), "BMP"), rgb)
    write("one.png", saved(Image.fromarray(rgb[:1, :1]), "PNG"), rgb[:1, :1])
    exif = Image.Exif()
    exif[0x112] = 6
    write("turned.png", saved(Image.fromarray(rgb), "PNG", exif=exif), np.rot90(rgb, -1))


def jpegs(out, write):
    """Writes JPEG files of all orientations and several kinds, with the pixels that Pillow decodes."""
    picture = Image.fromarray(smooth(16, 24))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x112] = orientation
        data = saved(picture, "JPEG", quality=95, subsampling=0, exif=exif)
        write(f"turned{orientation}.jpg", data, ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    for name, options in (("progressive", dict(progressive=True)), ("subsampled", dict(subsampling=2))):
        data = saved(picture, "JPEG", quality=95, **options)
        write(f"{name}.jpg", data, Image.open(io.BytesIO(data)))
    data = saved(picture.convert("L"), "JPEG", quality=95)
    write("grey.jpg", data, Image.open(io.BytesIO(data)).convert("RGB"))


def tiff(tag_type, values, order="<", extra=b""):
    """Returns EXIF data with an orientation tag. tag_type is the type of its values (4 is LONG), and extra
    holds the entries that precede it."""
    letter = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}[tag_type]
    value = struct.pack(f"{order}{len(values)}{letter}", *values)
    entries = 1 + len(extra) // 12
    if len(value) > 4:
        value, after = struct.pack(f"{order}I", 8 + 2 + 12 * entries + 4), value
    else:
        value, after = value.ljust(4, b"\0"), b""
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IH", 8, entries)
    entry = struct.pack(f"{order}HHI", 0x112, tag_type, len(values)) + value
    return head + extra + entry + struct.pack(f"{order}I", 0) + after


def text_chunk(key, text, kind=b"zTXt"):
    """Returns a text chunk of a PNG file."""
    body = {b"tEXt": text, b"zTXt": b"\0" + zlib.compress(text), b"iTXt": b"\0\0\0\0" + text}[kind]
    return png_chunk(kind, key + b"\0" + body)


def profile(data, name="exif"):
    """Returns data as the text of a "Raw profile type" chunk, in ImageMagick's format."""
    digits = data.hex()
    lines = "\n".join(digits[i:i + 72] for i in range(0, len(digits), 72))
    return f"\n{name}\n{len(data):8}\n{lines}\n".encode()


def xmp(value, element=False):
    """Returns XMP data with an orientation, as an attribute or as an element."""
    field = f"><tiff:Orientation>{value}</tiff:Orientation></x>" if element else f' tiff:Orientation="{value}"/>'
    return f"<x xmlns:tiff='http://ns.adobe.com/tiff/1.0/'{field}".encode()


def orientations(write):
    """Writes files with an orientation in every place where Pillow looks for one."""
    name = b"Exif\0\0"
    short, long, big = tiff(3, [6]), tiff(4, [6]), tiff(4, [6], ">")
    other = struct.pack("<HHII", 0x10f, 2, 3, 0x4141)  # the tag "Make", which precedes it
    picture = smooth(16, 24)
    plain = saved(Image.fromarray(picture), "JPEG", quality=95, subsampling=0)

    def segment(data):
        return b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data

    ns = b"http://ns.adobe.com/xap/1.0/\0"
    jpegs_of = {
        "long": [name + long], "long_big": [name + big], "slong": [name + tiff(9, [8])], "second": [name + tiff(3, [5], extra=other)],
        "several": [name + tiff(4, [3, 1, 1])], "zero": [name + tiff(3, [0])], "nine": [name + tiff(4, [9])], "huge": [name + tiff(4, [65542])],
        "named_twice": [name + name + short], "xmp": [ns + xmp(6)], "exif_and_xmp": [name + tiff(3, [1]), ns + xmp(6)],
        "two": [name + tiff(3, [8]), name + short],
    }
    for key, segments in jpegs_of.items():
        data = plain[:2] + b"".join(segment(s) for s in segments) + plain[2:]
        write(f"turned_{key}.jpg", data, ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    small = picture[:5, :7]
    rows = [row.tobytes() for row in small]
    raw, app1 = b"Raw profile type exif", b"Raw profile type APP1"
    adobe = b"XML:com.adobe.xmp"
    pngs_of = {
        "long": png_chunk(b"eXIf", long), "big": png_chunk(b"eXIf", big), "named": png_chunk(b"eXIf", name + long),
        "raw": text_chunk(raw, profile(name + short)), "raw_plain": text_chunk(raw, profile(big), b"tEXt"),
        "raw_long": text_chunk(raw, profile(name + tiff(4, [3], extra=20 * other))),
        "raw_and_exif": text_chunk(raw, profile(name + short)) + png_chunk(b"eXIf", tiff(3, [8])),
        "raw_and_upright": text_chunk(raw, profile(name + short)) + png_chunk(b"eXIf", tiff(3, [1])),
        "raw_nine": text_chunk(raw, profile(name + tiff(3, [9]))), "xmp": text_chunk(adobe, xmp(6), b"iTXt"),
        "xmp_element": text_chunk(adobe, xmp(7, element=True), b"iTXt"),
        "raw_and_xmp": text_chunk(adobe, xmp(3), b"iTXt") + text_chunk(raw, profile(name + short)),
        "text": text_chunk(b"exif", name + short, b"tEXt"),
    }
    for key, chunks in pngs_of.items():
        data = png(7, 5, 8, 2, rows, extra=chunks)
        write(f"turned_{key}.png", data, ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    for key, text in (("", name + short), ("_xmp", ns + xmp(6))):  # Pillow ignores it, ImageMagick does not
        data = png(7, 5, 8, 2, rows, extra=text_chunk(app1, profile(text, "APP1")))
        write(f"turned_app1{key}.png", data, np.rot90(small, -1))


# For each pass of Adam7: the first column and row, and the distances between columns and between rows.
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def interlaced_png(depth, color, bits):
    """Returns a PNG of 9 x 7 pixels with the given number of bits each, in the seven passes of Adam7."""
    rows = []
    for x0, y0, dx, dy in ADAM7:
        w, h = len(range(x0, 9, dx)), len(range(y0, 7, dy))
        rows += [bytes((37 * y + 5 * i) % 256 for i in range((w * bits + 7) // 8)) for y in range(h)] if w else []
    return png(9, 7, depth, color, rows, interlaced=1)


def seeds():
    """Writes files of further kinds, from which the fuzzer starts."""
    picture = Image.fromarray(smooth(16, 24))
    key = png_chunk(b"tRNS", bytes((0, 10, 0, 20, 0, 30)))
    rows = [bytes(range(10, 10 + 18))] * 5
    files = {
        "interlaced.png": interlaced_png(8, 2, 24),
        "interlaced_deep.png": interlaced_png(16, 6, 64),
        "interlaced_bits.png": interlaced_png(2, 0, 2),
        "keyed.png": png(6, 5, 8, 2, rows, extra=key),
        "keyed_deep.png": png(3, 5, 16, 2, rows, extra=key),
        "stored.png": png(6, 5, 8, 2, rows, compress=lambda data: zlib.compress(data, 0)),
        "cmyk.jpg": saved(picture.convert("CMYK"), "JPEG"),
        "rgb.jpg": saved(picture, "JPEG", keep_rgb=True),
        "restarts.jpg": saved(picture, "JPEG", restart_marker_blocks=1),
        "halved.jpg": saved(picture, "JPEG", subsampling=1, progressive=True),
    }
    for name, data in files.items():
        with open(os.path.join(FOLDER, f"seed_{name}"), "wb") as f:
            f.write(data)


def large():
    """Writes small files of large pictures, for the test of the memory that decoding takes. Returns their
    names."""
    os.makedirs(LARGE, exist_ok=True)
    w, h = 2500, 2000
    picture = Image.new("RGB", (w, h), (200, 100, 50))
    exif = Image.Exif()
    exif[0x112] = 6

    def rows(bits):
        return [bytes((w * bits + 7) // 8)] * h

    def passes(bits):
        return [bytes((len(range(x, w, dx)) * bits + 7) // 8) for x, y, dx, dy in ADAM7 for _ in range(y, h, dy)]

    palette = png_chunk(b"PLTE", bytes((9, 8, 7))) + png_chunk(b"tRNS", b"\x80")
    files = {
        "baseline.jpg": saved(picture, "JPEG", subsampling=0, optimize=True), "subsampled.jpg": saved(picture, "JPEG", subsampling=2, optimize=True),
        "progressive.jpg": saved(picture, "JPEG", subsampling=0, progressive=True),
        "halved_progressive.jpg": saved(picture, "JPEG", subsampling=1, progressive=True),
        "grey.jpg": saved(picture.convert("L"), "JPEG", optimize=True), "cmyk.jpg": saved(picture.convert("CMYK"), "JPEG", optimize=True),
        "turned.jpg": saved(picture, "JPEG", subsampling=2, exif=exif, optimize=True), "rgb.png": png(w, h, 8, 2, rows(24)),
        "rgba.png": png(w, h, 8, 6, rows(32)), "rgb16.png": png(w, h, 16, 2, rows(48)), "rgba16.png": png(w, h, 16, 6, rows(64)),
        "grey_bit.png": png(w, h, 1, 0, rows(1)), "palette.png": png(w, h, 8, 3, rows(8), extra=palette),
        "interlaced.png": png(w, h, 8, 2, passes(24), interlaced=1), "interlaced16.png": png(w, h, 16, 6, passes(64), interlaced=1),
        "keyed.png": png(w, h, 8, 2, rows(24), extra=png_chunk(b"tRNS", bytes(6))),
    }
    for name, data in files.items():
        with open(os.path.join(LARGE, name), "wb") as f:
            f.write(data)
    return " ".join(files)


def main():
    os.makedirs(FOLDER, exist_ok=True)
    out = Golden("images.py", SEED)
    for i, (size, target) in enumerate(RESIZES):
        pixels = torch.randint(0, 256, (*size, 3), generator=torch.Generator().manual_seed(i)).to(torch.uint8)
        resized = Image.fromarray(pixels.numpy()).resize((target[1], target[0]), Image.BICUBIC)
        out.put(f"resize.{i}.from", torch.tensor(size, dtype=torch.int32))
        out.put(f"resize.{i}", eight_bit(resized))

    names = []

    def write(name, data, want):
        with open(os.path.join(FOLDER, name), "wb") as f:
            f.write(data)
        out.put(f"picture.{name}", eight_bit(want))
        names.append(name)

    exact_kinds(out, write)
    jpegs(out, write)
    orientations(write)
    out.meta("pictures", " ".join(names))
    rows = [bytes(4)] * 4
    for name, width, height in (("claims_60000", 60000, 60000), ("claims_long", 200000, 1), ("claims_more", 100, 100)):
        with open(os.path.join(FOLDER, f"{name}.png"), "wb") as f:  # the header claims a large picture
            f.write(png(width, height, 8, 0, rows))
    seeds()
    out.meta("large", large())

    # The error of Pillow's JPEG at quality 95, with which the test compares the error of ours.
    drawn = np.kron(np.random.default_rng(SEED).integers(0, 256, (6, 8, 3), dtype=np.uint8), np.ones((9, 9, 1), np.uint8))
    drawn = (0.5 * drawn + 0.5 * smooth(54, 72)).astype(np.uint8)
    decoded = np.array(Image.open(io.BytesIO(saved(Image.fromarray(drawn), "JPEG", quality=95, subsampling=0))))
    out.put("jpeg95.in", eight_bit(drawn))
    out.put("jpeg95", eight_bit(decoded))

    halves = (torch.arange(255, dtype=torch.float32) + 0.5) / 255  # halves are rounded to even
    x = torch.cat([torch.linspace(-1.2, 1.2, 689), torch.arange(256) / 127.5 - 1, halves * 2 - 1]).reshape(3, 8, 50)
    out.put("from_floats.in", x)
    y = (x * 0.5 + 0.5).clamp(0, 1).permute(1, 2, 0).numpy()
    out.put("from_floats", eight_bit((y * 255).round().astype("uint8")))
    every = np.arange(256, dtype=np.uint8)
    out.put("to_floats", torch.from_numpy((every / 127.5 - 1.0).astype(np.float32)))
    out.save("images.safetensors")


if __name__ == "__main__":
    main()
