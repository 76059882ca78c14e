"""Ways to break a table of scores that `evaluate --scores` is given."""

import numpy as np
from fuzz_mutations import ANY, LOUD, REFUSED, SOUND, Mutation, burst, choose, cut, flip_bit, noise, on_bytes, on_text

HEADER = "case,cohort,label,dls,other,time,event"


def write_scores(path):
    """Forty cases in two cohorts."""
    chance = np.random.default_rng(0)
    lines = [HEADER]
    for number in range(40):
        label = number % 3 == 0
        dls = 1 / (1 + np.exp(-chance.normal(label, 1)))
        lines.append(
            f"c{number:02d},{'ab'[number % 2]},{int(label)},{dls:.4f},{chance.uniform():.4f},"
            f"{chance.exponential(10):.2f},{int(chance.uniform() < 0.6)}"
        )
    path.write_text("\n".join(lines) + "\n")


def column(name, *values, every=False):
    """Another value in one cell of a column, or in all of them."""

    def change(text, chance):
        header, *lines = text.splitlines()
        index = header.split(",").index(name)
        rows = [line.split(",") for line in lines]
        value = choose(chance, values)
        for row in rows if every else [choose(chance, rows)]:
            row[index] = value
        return "\n".join([header, *(",".join(row) for row in rows)]) + "\n"

    return on_text(change)


NO_NUMBERS = ("high", "=1+1", "1e999", "inf", "-inf", "1_0", "0x1", '"0,5"', "50%", "2020-01-02", "1.2.3", "\x1b[2J")
EXTREMES = ("1e308", "-1e308", "1e-320", "0", "1", "-5", "1e17", "9007199254740993")

SCORE_MUTATIONS = (
    Mutation("truncated", on_bytes(cut), ANY),
    Mutation("bit flipped", on_bytes(flip_bit), ANY),
    Mutation("burst of noise", on_bytes(burst), ANY),
    Mutation("noise", on_bytes(noise), REFUSED),
    Mutation("NUL", on_bytes(lambda c, _: c[:50] + b"\0" + c[50:]), REFUSED),
    Mutation("UTF-16", on_bytes(lambda c, g: c.decode().encode(choose(g, ("utf-16", "utf-16-le")))), REFUSED),
    Mutation("BOM", on_bytes(lambda c, _: b"\xef\xbb\xbf" + c), SOUND),
    Mutation("semicolons", on_bytes(lambda c, _: c.replace(b",", b";")), SOUND),
    Mutation("no rows", on_text(lambda t, _: t.partition("\n")[0]), REFUSED),
    Mutation("column twice", on_text(lambda t, _: t.replace("other", "dls", 1)), REFUSED),
    Mutation("score no number", column("dls", *NO_NUMBERS), REFUSED),
    Mutation("score extreme", column("dls", *EXTREMES), ANY),
    Mutation("all scores extreme", column("other", *EXTREMES, every=True), ANY),
    Mutation("score missing", column("dls", "", "NA", "nan"), LOUD),
    Mutation("all scores missing", column("dls", "", "NA", every=True), ANY),
    Mutation("label", column("label", "2", "yes", "-1", "positive", "0.5", "=1"), REFUSED),
    Mutation("labels missing", column("label", "", "NA", every=True), ANY),
    Mutation("one class", column("label", "0", "1", "TRUE", every=True), ANY),
    Mutation("label missing", column("label", ""), LOUD),
    Mutation("time no number", column("time", *NO_NUMBERS, "-1"), REFUSED),
    Mutation("time extreme", column("time", "1e308", "0", "1e-320", "1e17"), ANY),
    Mutation("all times", column("time", "0", "1e308", "5", every=True), ANY),
    Mutation("event", column("event", "2", "dead", "0.5"), REFUSED),
    Mutation("no events", column("event", "0", every=True), ANY),
    Mutation("all events", column("event", "1", every=True), ANY),
    Mutation("cohort missing", column("cohort", "", "NA"), LOUD),
    Mutation("odd cohort", column("cohort", "=1+1", "<b>", "a" * 10_000, "\x1b[2J", "../x"), ANY),
    Mutation("look-alike cohort", column("cohort", "A", "ａ", "b\u200b"), LOUD),
)
