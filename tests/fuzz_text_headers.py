"""Ways to break an image whose header is text: NRRD and MetaImage."""

import re

from fuzz_mutations import (
    ANY,
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
)


def field(pattern, *values, count=1):
    """Exchange the value of a header field."""

    def change(content, chance):
        new = choose(chance, values).encode()
        changed, found = re.subn(pattern, lambda m: m[1] + new + b"\n", bytes(content), count=count, flags=re.M)
        assert found, pattern
        return changed

    return on_bytes(change)


def without(pattern):
    """Leave a header line out."""

    def change(content, _chance):
        changed, found = re.subn(pattern, b"", bytes(content), count=1, flags=re.M)
        assert found, pattern
        return changed

    return on_bytes(change)


def instead_of_voxels(mark, text):
    """End the header at `mark` and write `text`, which points at data elsewhere."""

    def change(content, _chance):
        head, found, _voxels = bytes(content).partition(mark)
        assert found
        return head + text

    return on_bytes(change)


def _common(header_bytes):
    return (
        Mutation("truncated", on_bytes(cut), REFUSED),
        Mutation("bit flipped", on_bytes(lambda c, g: flip_bit(c, g, header_bytes)), SOUND),
        Mutation("header bit flipped", on_bytes(lambda c, g: flip_bit(c, g, 0, header_bytes)), ANY),
        Mutation("burst of noise", on_bytes(lambda c, g: c[:header_bytes] + burst(c[header_bytes:], g)), SOUND),
        Mutation("bytes lost", on_bytes(lambda c, g: c[:header_bytes] + drop_bytes(c[header_bytes:], g)), SOUND),
        Mutation("noise", on_bytes(noise), REFUSED),
        Mutation("empty", on_bytes(lambda *_: b""), REFUSED),
    )


_SIZES = ("99999 99999 99999", "-3 4 5", "0 0 0", "1 1 1", "3", "nan 3 4", "4294967297 2 2", "4 4 4")
_VECTORS = ("(nan,0,0) (0,1,0) (0,0,1)", "(0,0,0) (0,1,0) (0,0,1)", "(1e30,0,0) (0,1,0) (0,0,1)", "(1,0,0) (0,1,0)",
            "none none none", "(1,1,0) (0,1,0) (0,0,1)", "text", "(inf,0,0) (0,1,0) (0,0,1)")  # fmt: skip

NRRD_MUTATIONS = (
    *_common(400),
    Mutation("sizes", field(rb"^(sizes: ).*\n", *_SIZES), REFUSED),
    Mutation("type", field(rb"^(type: ).*\n", "block", "double", "unsigned char", "string", ""), REFUSED),
    Mutation("encoding", field(rb"^(encoding: ).*\n", "raw", "ascii", "hex", "bzip2", "zlib", ""), REFUSED),
    Mutation("dimension", field(rb"^(dimension: ).*\n", "2", "4", "17", "-1", "x"), REFUSED),
    Mutation("directions", field(rb"^(space directions: ).*\n", *_VECTORS), REFUSED),
    Mutation("no directions", without(rb"^space directions:.*\n"), REFUSED),
    Mutation("origin", field(rb"^(space origin: ).*\n", "(nan,0,0)", "(inf,0,0)", "(0,0)", "text"), REFUSED),
    Mutation("skips", field(rb"^(encoding: ).*\n", "gzip\nline skip: 1000000000", "gzip\nbyte skip: -5"), SOUND),
    Mutation("detached", instead_of_voxels(b"\n\n", b"\ndata file: PH0002_0000.nrrd\n\n"), REFUSED),
    Mutation("detached elsewhere", instead_of_voxels(b"\n\n", b"\nDATAFILE: /etc/services\n\n"), REFUSED),
    Mutation("detached list", instead_of_voxels(b"\n\n", b"\ndata file: LIST 2\n/etc/services\n\n"), REFUSED),
    Mutation("magic", on_bytes(lambda c, g: b"NRRD9999" + c[8:]), REFUSED),
)

META_MUTATIONS = (
    *_common(300),
    Mutation("sizes", field(rb"^(DimSize = ).*\n", *_SIZES), REFUSED),
    Mutation("type", field(rb"^(ElementType = ).*\n", "MET_DOUBLE", "MET_UCHAR", "MET_STRING", "MET_OTHER"), REFUSED),
    Mutation("dimension", field(rb"^(NDims = ).*\n", "2", "4", "99", "-1"), REFUSED),
    Mutation("spacing", field(rb"^(ElementSpacing = ).*\n", "0 1 1", "nan 1 1", "1e30 1 1", "-1 1 1"), REFUSED),
    Mutation("no spacing", without(rb"^ElementSpacing =.*\n"), REFUSED),
    Mutation("matrix", field(rb"^(TransformMatrix = ).*\n", "0 0 0 0 0 0 0 0 0", "nan 0 0 0 1 0 0 0 1"), REFUSED),
    Mutation("origin", field(rb"^(Offset = ).*\n", "nan 0 0", "inf 0 0"), REFUSED),
    Mutation("channels", field(rb"^(DimSize = .*)\n", "\nElementNumberOfChannels = 1000000000"), REFUSED),
    Mutation("claimed bytes", field(rb"^(CompressedDataSize = ).*\n", "99999999999999", "-1", "0", "1"), REFUSED),
    Mutation("detached", field(rb"^(ElementDataFile = ).*\n", "PH0002_0000.mha"), REFUSED),
    Mutation("detached elsewhere", field(rb"^(ElementDataFile = ).*\n", "/etc/services", "../secret.raw"), REFUSED),
    Mutation("detached list", field(rb"^(ElementDataFile = ).*\n", "LIST 2\n/etc/services"), REFUSED),
    Mutation("detached pattern", field(rb"^(ElementDataFile = ).*\n", "slice%09d.raw 1 999999999 1"), REFUSED),
)
