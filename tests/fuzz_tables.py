"""Ways to break dataset.json, clinical.csv and the names of files."""

import json
import os

from fuzz_mutations import ANY, LOUD, REFUSED, SOUND, Mutation, burst, choose, cut, flip_bit, noise, on_bytes, on_text


def _key(inner):
    """Exchange a part of the text of dataset.json that is there for certain."""
    old, *news = inner

    def change(text, chance):
        assert old in text, old
        return text.replace(old, choose(chance, news), 1)

    return on_text(change)


def _edited(change):
    """Change dataset.json as an object."""

    def apply(text, chance):
        content = json.loads(text)
        change(content, chance)
        return json.dumps(content)

    return on_text(apply)


NOT_TEXT = (None, 3, 1e308, True, [], {}, ["a"], {"a": 1}, "", "\x1b[2J", "\ud800", "a" * 100_000)


def _any_value(content, chance):
    """Put anything in the place of any value, at any depth."""
    places = [(content, key) for key in content]
    for holder, key in places:
        if isinstance(holder[key], dict):
            places += [(holder[key], inner) for inner in holder[key]]
    holder, key = choose(chance, places)
    holder[key] = choose(chance, NOT_TEXT)


def _deep(depth, opening, closing):
    return on_text(lambda text, _: text.replace("{", '{"x": ' + opening * depth + closing * depth + ",", 1))


JSON_MUTATIONS = (
    Mutation("truncated", on_bytes(cut), REFUSED),
    Mutation("bit flipped", on_bytes(flip_bit), ANY),
    Mutation("burst of noise", on_bytes(burst), REFUSED),
    Mutation("noise", on_bytes(noise), REFUSED),
    Mutation("NUL", on_bytes(lambda c, _: c + b"\0"), REFUSED),
    Mutation("BOM", on_bytes(lambda c, _: b"\xef\xbb\xbf" + c), SOUND),
    Mutation("UTF-16", on_bytes(lambda c, g: c.decode().encode(choose(g, ("utf-16", "utf-16-le")))), REFUSED),
    Mutation("Latin-1", _key(('"phantom"', '"Phantöm"')), ANY),
    Mutation("not UTF-8", on_bytes(lambda c, _: c.replace(b"phantom", b"ph\xe4ntom")), REFUSED),
    Mutation("key twice", _key(('"roi_channel"', '"roi_channel": "T2WI", "roi_channel"')), REFUSED),
    Mutation("key twice outside", _key(("{", '{"autodls": {},')), REFUSED),
    Mutation("NaN", _key(('"landmark": 6.0', '"landmark": NaN', '"landmark": Infinity', '"landmark": 1e999')), REFUSED),
    Mutation("NaN elsewhere", _key(("{", '{"x": NaN,', '{"x": -Infinity,', '{"x": 1e999,')), REFUSED),
    Mutation("long number", _key(('"landmark": 6.0', '"landmark": ' + "9" * 5000)), REFUSED),
    Mutation("deep lists", _deep(100_000, "[", "]"), REFUSED),
    Mutation("deep objects", _deep(50_000, '{"a":', "}"), REFUSED),
    Mutation("deep to the limit", _deep(900, "[", "]"), SOUND),
    Mutation("comments", _key(("{", "{ // channels\n")), REFUSED),
    Mutation("no object", on_bytes(lambda c, g: choose(g, (b"[]", b"null", b"3", b'"x"', b"", b" "))), REFUSED),
    Mutation("lone surrogate", _key(('"phantom"', '"\\ud800"')), REFUSED),
    Mutation("control signs", _key(('"phantom"', '"a\\u001b[2Jb\\u0007"', '"a\\nb"', '"\\u202eabc"')), ANY),
    Mutation("any value", _edited(_any_value), ANY),
    Mutation("channels", _key(('"0": "T2WI"', '"0": "../x"', '"0": ""', '"1": "T2WI"', '"00": "T2WI"')), REFUSED),
    Mutation("ending", _key(('".nii.gz"', '".dcm"', '"../x.nii.gz"', '""', '".NII.GZ"')), REFUSED),
    Mutation("labels", _key(('"tumour": 1', '"tumour": 0', '"tumour": -1', '"tumour": 1.5', '"tumour": "x"')), REFUSED),
    Mutation("label true", _key(('"tumour": 1', '"tumour": true', '"tumour": "1"')), SOUND),
    Mutation("rule", _key(('">= 20"', '">= 1e5"', '"20"', '">= nan"', '"=> 20"', '">= 20 or 1"')), REFUSED),
)


def _cells(change):
    """Change the lines of clinical.csv after its header, each a list of cells."""

    def apply(text, chance):
        header, *lines = text.splitlines()
        rows = [line.split(",") for line in lines]
        change(header.split(","), rows, chance)
        return "\n".join([header, *(",".join(row) for row in rows)]) + "\n"

    return on_text(apply)


def cell(column, *values):
    """Another value in `column` of a random training row."""

    def change(header, rows, chance):
        rows[int(chance.integers(8))][header.index(column)] = choose(chance, values)

    return _cells(change)


def _row_twice(_header, rows, chance):
    rows.append(list(choose(chance, rows)))


def _row_short(_header, rows, chance):
    choose(chance, rows).pop()


def _row_long(_header, rows, chance):
    choose(chance, rows).append("1,5")


def _header(old, *news):
    def change(text, chance):
        header, line_end, rest = text.partition("\n")
        assert old in header
        return header.replace(old, choose(chance, news), 1) + line_end + rest

    return on_text(change)


NO_NUMBERS = (
    "high",
    "=1+1",
    "@SUM(A1)",
    "12 %",
    "2020-01-02",
    "1.2.3",
    "1_000",
    "0x1F",
    "1e999",
    "inf",
    "TRUE",
    "20 mg",
    "<5",
    "1 000",
    "--5",
    "\x1b[31m9",
)
BAD_IDS = (
    "../PH0001",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "CON",
    "nul.txt",
    "-PH1",
    ".PH1",
    "PH1.",
    "PH 1",
    "PH\u0661",
    "ＰＨ0001",
    "P\u0397",
    "x" * 101,
    "=PH1",
    "PH1\x00",
    "PH1\x1b[2J",
    "C:PH1",
    "PH1\u202e",
    "$(id)",
)

CSV_MUTATIONS = (
    Mutation("truncated", on_bytes(lambda c, g: c[: int(g.integers(len(c) // 2))]), REFUSED),
    Mutation("bit flipped", on_bytes(flip_bit), ANY),
    Mutation("burst of noise", on_bytes(burst), ANY),
    Mutation("noise", on_bytes(noise), REFUSED),
    Mutation("NUL", on_bytes(lambda c, g: c[:60] + b"\0" + c[60:]), REFUSED),
    Mutation("BOM", on_bytes(lambda c, _: b"\xef\xbb\xbf" + c), SOUND),
    Mutation("UTF-16", on_bytes(lambda c, g: c.decode().encode(choose(g, ("utf-16", "utf-16-le")))), REFUSED),
    Mutation("Latin-1", on_bytes(lambda c, _: c.replace(b"male", b"m\xe4nnlich")), REFUSED),
    Mutation("Windows lines", on_bytes(lambda c, _: c.replace(b"\n", b"\r\n")), SOUND),
    Mutation("old Mac lines", on_bytes(lambda c, _: c.replace(b"\n", b"\r")), SOUND),
    Mutation("semicolons", on_bytes(lambda c, _: c.replace(b",", b";")), SOUND),
    Mutation("tabs", on_bytes(lambda c, _: c.replace(b",", b"\t")), SOUND),
    Mutation("bars", on_bytes(lambda c, _: c.replace(b",", b"|")), REFUSED),
    Mutation("mixed separators", on_text(lambda t, _: t.replace(",", ";", 12)), REFUSED),
    Mutation("blank lines", on_text(lambda t, _: t.replace("\n", "\n\n\n")), SOUND),
    Mutation("quoted", on_text(lambda t, _: t.replace("male", '"male"')), SOUND),
    Mutation("open quote", on_text(lambda t, _: t.replace(",male", ',"male', 1)), REFUSED),
    Mutation("column twice", _header("age", "cps", "sex", " cps "), REFUSED),
    Mutation("column renamed", _header("cps", "CPS", "c\u200bps", "ｃps"), REFUSED),
    Mutation("cell missing", _cells(_row_short), REFUSED),
    Mutation("cell too many", _cells(_row_long), REFUSED),
    Mutation("row twice", _cells(_row_twice), REFUSED),
    Mutation("target no number", cell("cps", *NO_NUMBERS), REFUSED),
    Mutation("decimal comma", cell("cps", '"12,5"', '"1,000"'), REFUSED),
    Mutation("target empty", cell("cps", "", "NA", "n/a", "?", "None"), LOUD),
    Mutation("time", cell("pfs_months", *NO_NUMBERS, "-1"), REFUSED),
    Mutation("event", cell("pfs_event", "2", "-1", "yes", "0.5", "=1"), REFUSED),
    Mutation("case id", cell("case", *BAD_IDS), REFUSED),
    Mutation("case id of another case", cell("case", "ph0001", "Ph0002", "PH0099", "EX0001"), REFUSED),
    Mutation("no case id", cell("case", "", "NA"), REFUSED),
    Mutation("cohort look-alike", cell("cohort", "Train", "train\u200b", "ｔrain", "TRAIN"), LOUD),
    Mutation("cohort unsafe", cell("cohort", "", "../x", "a/b", "a\\b", "a:b"), REFUSED),
    Mutation("patient shared", cell("patient_id", "patient_EX0001"), REFUSED),
    Mutation("patient look-alike", cell("patient_id", "Patient_EX0001", "patient_EX\uff10001"), LOUD),
    Mutation("patient empty", cell("patient_id", "", "-"), LOUD),
    Mutation("site look-alike", cell("site", "a", "Ａ", "A\u200b", "b"), LOUD),
    Mutation("odd site", cell("site", "=cmd|'/C calc'!A0", "<script>", "\x1b[2J", "a" * 10_000), ANY),
    Mutation("odd clinical value", cell("age", "=1+1", "old", "1e400", "<b>", "2020-01-02", "9" * 400), ANY),
    Mutation("long cell", cell("age", "9" * 200_000), REFUSED),
    Mutation("control signs", cell("sex", "\x07", "\x1b]0;x\x07", "\u2028", "\x85"), ANY),
)


def renamed(name):
    """Give a file another name; `name` makes it from the old one."""

    def apply(path, _chance):
        path.rename(path.with_name(os.fsdecode(name(os.fsencode(path.name)))))

    return apply


NAME_MUTATIONS = (
    Mutation("lower case", renamed(lambda n: n.lower()), LOUD),
    Mutation("upper-case ending", renamed(lambda n: n.replace(b".nii.gz", b".NII.GZ")), LOUD),
    Mutation("other ending", renamed(lambda n: n.replace(b".nii.gz", b".nrrd")), LOUD),
    Mutation("two endings", renamed(lambda n: n.replace(b".nii.gz", b".nii.gz.nii.gz")), LOUD),
    Mutation("channel beyond", renamed(lambda n: n[:-11] + b"9999.nii.gz"), LOUD),
    Mutation("no channel", renamed(lambda n: n[:-12] + b".nii.gz"), LOUD),
    Mutation("other digits", renamed(lambda n: n[:-11] + "٠٠٠٠.nii.gz".encode()), LOUD),
    Mutation("line end in name", renamed(lambda n: n + b"\n"), LOUD),
    Mutation("escape in name", renamed(lambda n: b"\x1b[2J" + n), LOUD),
    Mutation("not UTF-8 name", renamed(lambda n: b"\xff" + n), LOUD),
    Mutation("leading dash", renamed(lambda n: b"--" + n), LOUD),
    Mutation("blank in name", renamed(lambda n: b" " + n), LOUD),
    Mutation("look-alike name", renamed(lambda n: "ＰＨ".encode() + n[2:]), LOUD),
)
