"""Ways to break a NIfTI image, compressed or not."""

import gzip
import os
import shutil
import struct
import zipfile
import zlib
from functools import cache

import numpy as np
import SimpleITK as sitk
from fuzz_mutations import (
    ANY,
    LOUD,
    REFUSED,
    SOUND,
    Mutation,
    burst,
    choose,
    cut,
    drop_bytes,
    flip_bit,
    noise,
    on_bytes,
    on_stream,
    repeat_bytes,
    rewrite,
)

# Offsets in the header of NIfTI-1.
DIM, TYPE, BITS, PIXDIM, START, SLOPE, QFORM, SROW, MAGIC = 40, 70, 72, 76, 108, 112, 252, 280, 344
HEADER = 352
TYPES = {1: 1, 2: 8, 4: 16, 8: 32, 16: 32, 32: 64, 64: 64, 128: 24, 256: 8, 512: 16, 768: 32, 1024: 64, 1280: 64,
         1536: 128, 1792: 128, 2048: 256, 2304: 32}  # fmt: skip
ODD_NUMBERS = (float("nan"), float("inf"), -float("inf"), 0.0, 1e30, -1e30, 1e-30, 3.4e38)


def header(layout, offset, value):
    """Write numbers into the header; `value(chance)` draws them."""

    def change(content, chance):
        struct.pack_into(f"<{layout}", content, offset, *np.atleast_1d(value(chance)).tolist())
        return content

    return on_stream(change)


def other_type(same_size):
    """Call the voxels another type, of the same number of bits or of another one."""

    def change(content, chance):
        bits = struct.unpack_from("<h", content, BITS)[0]
        codes = [code for code in TYPES if (TYPES[code] == bits) == same_size]
        code = choose(chance, codes)
        struct.pack_into("<hh", content, TYPE, code, TYPES[code])
        return content

    return on_stream(change)


def axis_of(count):
    """Give one axis of the image `count(chance)` voxels; 0, 1 and negative counts are no volume."""

    def change(content, chance):
        struct.pack_into("<h", content, DIM + 2 * int(chance.integers(1, 4)), count(chance))
        return content

    return on_stream(change)


def fewer_voxels(content, chance):
    """Claim fewer voxels along one axis than the file holds: what follows would be read out of place."""
    offset = DIM + 2 * int(chance.integers(1, 4))
    size = struct.unpack_from("<h", content, offset)[0]
    struct.pack_into("<h", content, offset, int(chance.integers(2, size)))
    return content


def claim(content, chance):
    """Claim terabytes, in up to seven dimensions."""
    dimensions = int(chance.integers(3, 8))
    sizes = [32767 if axis < 3 else int(chance.integers(1, 32768)) for axis in range(dimensions)]
    struct.pack_into(f"<{dimensions + 1}h", content, DIM, dimensions, *sizes)
    return content


@cache
def _zeros(count):
    return zlib.compress(bytes(count), 1)


def bomb(claimed):
    """A compressed stream of 256 MiB of zeros; its header claims them (`claimed`), or what it was before."""

    def change(path, _chance):
        head = bytearray(gzip.decompress(path.read_bytes())[:HEADER])
        if claimed:
            struct.pack_into("<4h", head, DIM, 3, 1024, 512, 512)
            struct.pack_into("<hh", head, TYPE, 2, 8)
        packer = zlib.compressobj(1, wbits=31)
        content = packer.compress(bytes(head))
        block = bytes(1 << 20)
        content += b"".join(packer.compress(block) for _ in range(256)) + packer.flush()
        rewrite(path, content)

    return change


def voxels(*values):
    """Write impossible voxels into an image of floats, or turn whole numbers into floats first."""

    def apply(path, chance):
        image = sitk.ReadImage(str(path))
        array = sitk.GetArrayFromImage(image).astype(np.float32)
        array.flat[chance.integers(array.size, size=int(chance.integers(1, 20)))] = choose(chance, values)
        _write(path, array, image)

    return apply


def _write(path, array, like):
    changed = sitk.GetImageFromArray(array)
    if changed.GetSize() == like.GetSize():
        changed.CopyInformation(like)
    path.unlink()
    sitk.WriteImage(changed, str(path))


def another_image(make):
    """Write `make(array)` in the place of the image."""

    def apply(path, _chance):
        image = sitk.ReadImage(str(path))
        path.unlink()
        sitk.WriteImage(make(sitk.GetArrayFromImage(image), image), str(path))

    return apply


def _vector(components):
    return lambda array, _image: sitk.GetImageFromArray(np.stack([array] * components, -1), isVector=True)


def _complex(array, image):
    made = sitk.GetImageFromArray(array.astype(np.complex64))
    made.CopyInformation(image)
    return made


FOREIGN = (
    b"\x89PNG\r\n\x1a\n" + bytes(500),
    bytes(128) + b"DICM" + bytes(500),
    b"\x89HDF\r\n\x1a\n" + bytes(500),
    b"CDF\x01" + bytes(500),
    b"%PDF-1.4\n",
    b"<html></html>\n",
    b"NRRD0004\ntype: float\n\n",
    b"# vtk DataFile Version 3.0\nx\nASCII\n",
    b"GIF89a" + bytes(99),
    b"\x1f\x8b" + bytes(99),
    b"\x80\x04\x95" + bytes(20),
)


def foreign(path, chance):
    """Another kind of file under the image's name, packed as its name says or not."""
    content = choose(chance, FOREIGN)
    rewrite(path, gzip.compress(content) if chance.integers(2) and path.name.endswith(".gz") else content)


def zipped(path, _chance):
    """A .zip under the image's name."""
    content = path.read_bytes()
    path.unlink()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("image", content)


def no_file(kind):
    """A folder, a pipe, a device or a link that leads nowhere instead of a file."""

    def apply(path, _chance):
        path.unlink()
        {
            "folder": path.mkdir,
            "pipe": lambda: os.mkfifo(path),
            "device": lambda: path.symlink_to("/dev/zero"),
            "loop": lambda: path.symlink_to(path),
            "dangling": lambda: path.symlink_to("nowhere"),
        }[kind]()

    return apply


def copied(path, _chance):
    """The image of another case."""
    other = next(other for other in sorted(path.parent.iterdir()) if other.name[-12:] == path.name[-12:] != path.name)
    path.unlink()
    shutil.copyfile(other, path)


IMAGE_MUTATIONS = (
    Mutation("truncated", on_bytes(cut), REFUSED),
    Mutation("truncated inside", on_stream(cut), REFUSED),
    Mutation("bit flipped", on_bytes(flip_bit), SOUND),
    Mutation("burst of noise", on_bytes(burst), SOUND),
    Mutation("bytes lost", on_bytes(drop_bytes), SOUND),
    Mutation("bytes twice", on_bytes(repeat_bytes), SOUND),
    Mutation("bytes lost inside", on_stream(drop_bytes), REFUSED),
    Mutation("bytes twice inside", on_stream(repeat_bytes), REFUSED),
    Mutation("noise", on_bytes(noise), REFUSED),
    Mutation("empty", on_bytes(lambda *_: b""), REFUSED),
    Mutation("foreign", foreign, REFUSED),
    Mutation("zip", zipped, REFUSED),
    Mutation("header bit flipped", on_stream(lambda c, g: flip_bit(c, g, 0, HEADER)), ANY),
    Mutation("voxel bit flipped", on_stream(lambda c, g: flip_bit(c, g, HEADER)), ANY),
    Mutation("wrong magic", header("4b", MAGIC, lambda g: g.integers(1, 128, 4)), SOUND),
    Mutation("detached magic", on_stream(lambda c, g: c[:MAGIC] + b"ni1\0" + c[MAGIC + 4 :]), SOUND),
    Mutation("type of another size", other_type(False), REFUSED),
    Mutation("type of the same size", other_type(True), ANY),
    Mutation("unknown type", header("h", TYPE, lambda g: g.integers(2305, 32767)), REFUSED),
    Mutation("terabytes", on_stream(claim), REFUSED),
    Mutation("no voxels", axis_of(lambda g: int(g.integers(-32768, 2))), REFUSED),
    Mutation("fewer voxels", on_stream(fewer_voxels), REFUSED),
    Mutation("more voxels", axis_of(lambda g: int(g.integers(60, 32767))), REFUSED),
    Mutation("dimensions", header("h", DIM, lambda g: choose(g, (-3, 0, 1, 2, 8, 99))), REFUSED),
    Mutation("spacing", header("f", PIXDIM + 4, lambda g: choose(g, ODD_NUMBERS)), REFUSED),
    Mutation("units", header("b", 123, lambda g: choose(g, (1, 3, 5, 99))), LOUD | SOUND),
    Mutation("start of voxels", header("f", START, lambda g: choose(g, (*ODD_NUMBERS, 0.5, 12.0, 1e6))), SOUND),
    Mutation("slope", header("f", SLOPE, lambda g: choose(g, ODD_NUMBERS)), ANY),
    Mutation("matrix", header("f", SROW + 4, lambda g: choose(g, ODD_NUMBERS)), ANY),
    Mutation("NaN or infinity", voxels(np.nan, np.inf, -np.inf), REFUSED),
    Mutation("2D", another_image(lambda a, _: sitk.GetImageFromArray(a[0])), REFUSED),
    Mutation("4D", another_image(lambda a, _: sitk.GetImageFromArray(np.stack([a, a]), isVector=False)), REFUSED),
    Mutation("RGB", another_image(_vector(3)), REFUSED),
    Mutation("tensor", another_image(_vector(6)), REFUSED),
    Mutation("complex", another_image(_complex), REFUSED),
    Mutation("constant", another_image(lambda a, image: image * 0 + 7), REFUSED),
    Mutation("bomb", bomb(claimed=True), REFUSED),
    Mutation("bomb behind the voxels", bomb(claimed=False), REFUSED),
    *(Mutation(f"a {kind}", no_file(kind), REFUSED) for kind in ("folder", "pipe", "device", "loop", "dangling")),
)

ROI_MUTATIONS = (
    *(mutation for mutation in IMAGE_MUTATIONS if mutation.name not in ("units",)),
    Mutation("empty ROI", another_image(lambda a, image: image * 0), REFUSED),
    Mutation("unknown label", another_image(lambda a, image: image * 2), REFUSED),
    Mutation("negative label", another_image(lambda a, image: sitk.Cast(image, sitk.sitkInt16) * -1), REFUSED),
    Mutation("fractions", another_image(lambda a, image: sitk.Cast(image, sitk.sitkFloat32) * 0.9), REFUSED),
    Mutation("label of 1e20", another_image(lambda a, image: sitk.Cast(image, sitk.sitkFloat64) * 1e20), REFUSED),
    Mutation("floats of 0 and 1", another_image(lambda a, image: sitk.Cast(image, sitk.sitkFloat64)), SOUND),
    Mutation("cropped", another_image(lambda a, image: image[1:, :, :]), LOUD),
    Mutation("shifted", another_image(lambda a, image: _moved(image, 500.0)), REFUSED),
    Mutation("coarser", another_image(lambda a, image: sitk.Shrink(image, [2, 2, 1])), REFUSED),
    Mutation("flipped", another_image(lambda a, image: sitk.DICOMOrient(image, "RAI")), SOUND),
)
IMAGES_ONLY = (Mutation("copy of another case", copied, REFUSED),)


def _moved(image, by_mm):
    x, y, z = image.GetOrigin()
    image.SetOrigin((x + by_mm, y, z))
    return image
