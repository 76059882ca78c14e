"""Texts, tables and workbooks of a few MiB that claim as much as they can: for `fuzz_limits`."""

import io
import zipfile

import numpy as np
import openpyxl
from fuzz_mutations import choose

MOST_BYTES = 1 << 23
_TOP = "case,label,dls\n"


def many(chance, most):
    """A number up to `most`, mostly much smaller, and often just that."""
    return most if chance.random() < 0.3 else int(10 ** chance.uniform(1, np.log10(most)))


def _columns(count, _chance):
    return ",".join(["case", "label", "dls", *map(str, range(count))]) + "\n" + "a" + ",1" * (count + 2) + "\n"


def _square(side, _chance):
    return ",".join(f"c{n}" for n in range(side)) + "\n" + ("," * (side - 1) + "\n") * side


TABLES = (  # the most of what is counted, and the table with so many
    (500_000, lambda n, _: _TOP + "".join(f"c{i},{i % 2},0.5\n" for i in range(n))),
    (700_000, _columns),
    (1900, _square),
    (8_000_000, lambda n, g: f"{_TOP}a,1,{choose(g, '9x0e.') * n}\n"),
    (1_000_000, lambda n, g: _TOP + choose(g, (",,\n", "\n", " , , \n", '"",,\n')) * n + "a,1,0\n"),
    (2_700_000, lambda n, g: _TOP + 'a,"' + choose(g, ('""', "\n", ",")) * n),
    (90_000, lambda n, _: _TOP + "".join(f"{'cC'[i % 2]}{i // 2},{i % 2},0.5\n" for i in range(n))),
    (600_000, lambda n, g: f"{_TOP}a{choose(g, (chr(0x301) + chr(0x316), chr(0x202E), chr(0xFDFA))) * n},1,0.5\n"),
    (250_000, lambda n, _: _TOP + "".join(f"c{i},l{i},0.{i}\n" for i in range(n))),
    (2_000_000, lambda n, g: _TOP[:-1] + choose(g, ("\r", "\x0b", "\u2028", "\0", ";", "\t")) * n),
)
JSONS = (
    lambda n: "[" + "[]," * n + "1]",
    lambda n: "[" * n + "]" * n,
    lambda n: '{"a":' * n + "1" + "}" * n,
    lambda n: "{" + ",".join(f'"k{i}":{i}' for i in range(min(n, 600_000))) + "}",
    lambda n: "{" + ",".join(f'"k{i % 999}":0' for i in range(min(n, 600_000))) + "}",
    lambda n: "9" * n,
    lambda n: '"' + "a" * n + '"',
    lambda n: "[" + "1e308," * n + "0]",
    lambda n: '"' + "\\ud83d\\ude00" * (n // 2) + '"',
    lambda n: "[" + '"a",' * n + '"b"]',
)
CELLS = (b"<c/>", b'<c r="XFD9"><v>1</v></c>', b"<row><c t='s'><v>0</v></c></row>", b"<!-- -->", b"<a>", b" ")


def table_text(chance):
    """The text of a table, of a little less or more than may be."""
    most, make = choose(chance, TABLES)
    return make(many(chance, most), chance)[:MOST_BYTES]


def json_text(chance):
    """JSON that unfolds, by itself or as the value of a key."""
    return choose(chance, JSONS)(many(chance, 1_500_000))[:MOST_BYTES]


def write_workbook(path, chance):
    """A workbook with one part that unfolds."""
    made, book = io.BytesIO(), openpyxl.Workbook()
    for row in (["case", "label", "dls"], ["a", 1, 0.5]):
        book.active.append(row)
    book.save(made)
    more = choose(chance, CELLS) * many(chance, 2_000_000)
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            content = old.read(part)
            if choose(chance, ("sheet1", "sharedStrings", "styles", "sheet1")) in part.filename:
                content = content.replace(b"</row>", more + b"</row>", 1)
            new.writestr(part.filename, content)
