"""Writes the tables of src/tokenizer: what the Rust `tokenizers` do with each code point, as compact strings.

    python tools/unicode/generate.py [--output FOLDER] [--segmentation FILE]

unicodeTables.ts is what BERT needs, categoryTables.ts what byte-level BPE, normalFormTables.ts what NFC, NFKC and NFKD need beside it. graphemeTables.ts is
written only on request, from FILE, src/tables.rs of the crate unicode-segmentation at the version in the wheel's lock
file: no behaviour shows its classes one by one.

Every table is probed from the behaviour that uses it, not read from the Unicode database: the Rust crates behind these
behaviours were frozen at different Unicode versions (unicode_categories is years older than std), and only the
behaviour says which. Needs `pip install tokenizers`; the version is written into the header of the output.
"""

import argparse
import pathlib
import re
import sys
import unicodedata
from collections import Counter

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]  # Rust chars: everything but surrogates
ALPHABET = " !#&()*+,-.0123468:;=>?AEFILMOPST[]_abcdefghijklmnoprstuvwxyz{|}"  # as in src/tokenizer/tableReader.ts
HANGUL = range(0xAC00, 0xD7A4)  # decomposed by arithmetic, not by table (Unicode 3.12)
KINDS = 16  # more than there are of combinations of those classes
BITS = dict(
    removed=1, whitespace=2, chinese=4, nonspacingMarks=8, punctuation=16, marks=128, wordCharacters=256
)  # as in src/tokenizer/unicode.ts


# ---- probes -----------------------------------------------------------------------------------------------------------


def bert_normalizer(**on):
    options = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**options, **on})


def results(normalizer):
    return {c: normalizer.normalize_str(chr(c)) for c in CODE_POINTS}


def pieces(pre_tokenizer, text):
    return [piece for piece, _ in pre_tokenizer.pre_tokenize_str(text)]


def probe_sets():
    clean = results(bert_normalizer(clean_text=True))
    chinese = results(bert_normalizer(handle_chinese_chars=True))
    strip_accents = normalizers.StripAccents()
    bert, whitespace = pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Whitespace()
    nfd = results(normalizers.NFD())
    stripped = results(bert_normalizer(strip_accents=True))

    around = {c: pieces(bert, f"a{chr(c)}b") for c in CODE_POINTS}
    spaces = [c for c in CODE_POINTS if around[c] == ["a", "b"]]
    removed = [c for c in CODE_POINTS if clean[c] == ""]
    # One set of whitespace serves both stages: clean_text only removes some of it first (U+0085 and other controls).
    assert set(spaces) - set(removed) == {c for c in CODE_POINTS if clean[c] == " "}, "two kinds of whitespace"

    return {
        "removed": removed,
        "whitespace": spaces,
        "chinese": [c for c in CODE_POINTS if chinese[c] != chr(c)],
        "nonspacingMarks": [c for c in CODE_POINTS if nfd[c] == chr(c) and stripped[c] == ""],
        "marks": [c for c in CODE_POINTS if strip_accents.normalize_str(chr(c)) == ""],
        "punctuation": [c for c in CODE_POINTS if around[c] == ["a", chr(c), "b"]],
        # `\w` of the regex crate: the Whitespace pre-tokenizer joins word characters.
        "wordCharacters": [c for c in CODE_POINTS if pieces(whitespace, f"a{chr(c)}") == [f"a{chr(c)}"]],
    }


def probe_categories():
    """What byte-level BPE and its relatives tell apart: `\\p{L}` and `\\p{N}` of Oniguruma, `is_numeric` of Rust."""

    def removed(pattern):
        split = pre_tokenizers.Split(Regex(pattern), "removed")
        return [c for c in CODE_POINTS if pieces(split, chr(c)) == []]

    spaces = [c for c in CODE_POINTS if pieces(pre_tokenizers.WhitespaceSplit(), chr(c)) == []]
    assert removed(r"\s") == spaces, "two kinds of whitespace"
    assert spaces == [c for c in CODE_POINTS if pieces(pre_tokenizers.Whitespace(), chr(c)) == []], "two kinds of whitespace"
    punctuation, bert = pre_tokenizers.Punctuation("removed"), pre_tokenizers.BertPreTokenizer()
    for c in CODE_POINTS:
        assert (pieces(punctuation, chr(c)) == []) == (len(pieces(bert, f"a{chr(c)}b")) == 3), "two kinds of punctuation"
    numbers, digits = removed(r"\p{N}"), pre_tokenizers.Digits(individual_digits=True)
    numeric = {c for c in CODE_POINTS if len(pieces(digits, f"a{chr(c)}b")) == 3}
    assert numeric >= set(numbers)
    return {"letters": removed(r"\p{L}"), "numbers": numbers, "otherNumerics": sorted(numeric - set(numbers))}


def probe_decompositions():
    nfd = normalizers.NFD()
    found = {c: [ord(x) for x in nfd.normalize_str(chr(c))] for c in CODE_POINTS if c not in HANGUL}
    return {c: result for c, result in found.items() if result != [c]}


def probe_lowercase():
    lower, bert = results(normalizers.Lowercase()), results(bert_normalizer(lowercase=True))
    assert lower == bert, "Lowercase and BertNormalizer disagree"
    return {c: [ord(x) for x in result] for c, result in lower.items() if result != chr(c)}


def probe_combining_classes(decompositions):
    """Canonical combining classes, seen only through how NFD orders two marks (Unicode 3.11, D108)."""
    nfd = normalizers.NFD()

    def swaps(first, second):
        return first != second and nfd.normalize_str(first + second) == second + first

    overlay, iota = "\u0334", "\u0345"  # the lowest class (1) and the highest (240)
    marks = [c for c in CODE_POINTS if c not in decompositions and c not in HANGUL]
    marks = [c for c in marks if swaps(chr(c), overlay) or swaps(iota, chr(c)) or chr(c) in (overlay, iota)]
    representatives = {}
    for c in marks:
        representatives.setdefault(unicodedata.combining(chr(c)), chr(c))
    classes = {}
    for c in marks:
        above = [number for number in sorted(representatives) if swaps(representatives[number], chr(c))]
        below = [number for number in sorted(representatives) if swaps(chr(c), representatives[number])]
        between = [n for n in representatives if n not in above and n not in below]
        assert len(between) == 1, f"U+{c:04X} has a class Python's unicodedata does not know"
        classes[c] = between[0]
    return classes


def probe_compatibility():
    """Full compatibility decompositions that differ from the canonical ones."""
    nfd, nfkd = normalizers.NFD(), normalizers.NFKD()
    found = {c: nfkd.normalize_str(chr(c)) for c in CODE_POINTS}
    return {c: [ord(x) for x in result] for c, result in found.items() if result != nfd.normalize_str(chr(c))}


def probe_excluded(decompositions):
    """What NFC takes apart and does not put together again."""
    nfc = normalizers.NFC()
    excluded = [c for c in sorted(decompositions) if nfc.normalize_str(chr(c)) != chr(c)]
    composed = {tuple(decompositions[c]) for c in decompositions if c not in excluded}
    for parts in composed:  # what src/tokenizer/normalForms.ts builds its pairs from
        assert len(parts) == 2 or parts[:-1] in composed, "a composition without its first part"
    return excluded


GRAPHEME_CLASSES = "Any CR LF Control Extend ZWJ SpacingMark Prepend L V T Extended_Pictographic InCB_Consonant".split()


def read_segmentation(path):
    """Runs of [first, last, class] but for Hangul syllables, which go by arithmetic, and regional indicators: a cluster of
    those is longer than any that the Precompiled normalizer looks up. And the linkers of GB9c."""
    text = re.sub(r"\s+", " ", pathlib.Path(path).read_text())
    table = text[text.index("grapheme_cat_table: ") :]
    entry = r"\('\\u\{([0-9a-f]+)\}', '\\u\{([0-9a-f]+)\}', GC_(\w+)\)"
    runs = [(int(a, 16), int(b, 16), name) for a, b, name in re.findall(entry, table[: table.index("];")])]
    linkers = text[text.index("pub fn is_incb_linker") :]
    linkers = [int(c, 16) for c in re.findall(r"'\\u\{([0-9A-F]+)\}'", linkers[: linkers.index(") }")])]
    kept = [run for run in runs if run[2] not in ("LV", "LVT", "Regional_Indicator")]
    return kept, linkers


# ---- encoding: adaptive arithmetic coding; src/tokenizer/tableReader.ts is the reader, and says how it goes -------------


class Table:
    """Numbers, each with its context, as one fraction in base 64. `low` is a whole number of `digits` such digits."""

    def __init__(self):
        self.low, self.range, self.digits = 0, 1, 0
        self.counts = {}

    def number(self, value, context=0):
        bits = bin(value + 1)[3:]
        for i in range(len(bits)):
            self.bit(1, 64 * context + i)
        self.bit(0, 64 * context + len(bits))
        for bit in bits:
            self.bit(int(bit), 64 * context + 32 + len(bits))

    def signed(self, value, context=0):
        self.number(-2 * value - 1 if value < 0 else 2 * value, context)

    def bit(self, bit, place):
        while self.range < 2**24:
            self.range, self.low, self.digits = self.range * 64, self.low * 64, self.digits + 1
        counts = self.counts.setdefault(place, [0.5, 0.5])
        lower = int(self.range * counts[0] / (counts[0] + counts[1]))
        self.low, self.range = (self.low + lower, self.range - lower) if bit else (self.low, lower)
        counts[bit] += 1

    def text(self):
        """The shortest fraction in the interval."""
        for zeros in range(self.digits, -1, -1):
            shortest = -(-self.low // 64**zeros)
            if shortest * 64**zeros < self.low + self.range:
                return "".join(ALPHABET[shortest >> 6 * i & 63] for i in reversed(range(self.digits - zeros)))


def runs(code_points):
    """[first, last] of each run of consecutive numbers."""
    result = []
    for c in code_points:
        if result and result[-1][1] == c - 1:
            result[-1][1] = c
        else:
            result.append([c, c])
    return result


def encode_set(code_points):
    """How many runs, then the gap before each and its length. Surrogates never reach a table, so a run may step over them."""
    table, end, found = Table(), 0, runs(code_points)
    table.number(len(found), 2)
    for first, last in found:
        table.number(first - end, 0)
        table.number(last - first + 1, 1)
        end = last + 1
    return table.text()


def encode_classes_of_all(sets):
    """Runs of code points that are of the same classes: which of the combinations each is of, and its length.

    The combinations are bits of src/tokenizer/unicode.ts, the most frequent first.
    """
    bits = {c: 0 for c in CODE_POINTS}
    for name, code_points in sets.items():
        for c in code_points:
            bits[c] |= BITS[name]
    found = []
    for c in CODE_POINTS:  # without surrogates, which the run before them steps over
        if not found or found[-1][1] != bits[c]:
            found.append((c, bits[c]))
    assert found[-1][1] == 0, "the last code points are of no class"
    combinations = [combination for combination, _ in Counter(kind for _, kind in found).most_common()]
    table, kind, before = Table(), 0, 0
    table.number(len(found) - 1)
    for (first, bits_of_run), (following, _) in zip(found, found[1:]):
        context = 1 + KINDS * (1 + KINDS * before + kind)
        before, kind = kind, combinations.index(bits_of_run)
        table.number(kind, context)
        table.number(following - first, 1 + kind)
    return table.text(), combinations


def encode_map(mapping):
    """Runs of [gap, step, count, length, difference...]: `count` keys, `step` apart, whose values grow alongside.

    `difference` is each value's distance from the key at the first of the run; values of a run share it (step 1 or 2),
    so that A-Z and the alternating upper and lower case of Latin Extended are one run each.
    """
    found, keys, end = [], sorted(mapping), 0
    offsets = {c: [value - c for value in mapping[c]] for c in keys}
    i = 0
    while i < len(keys):
        step, count = 1, 1
        for candidate in (1, 2):
            n = 1
            while offsets.get(keys[i] + n * candidate) == offsets[keys[i]]:
                n += 1
            if n > count:
                step, count = candidate, n
        if step == 2 and any(keys[i] + 2 * k + 1 in mapping for k in range(count - 1)):
            step, count = 1, 1
        found.append((keys[i] - end, step, count, offsets[keys[i]]))
        end = keys[i] + step * (count - 1) + 1
        i += count
    table = Table()
    table.number(len(found), 0)
    for gap, step, count, differences in found:
        for context, number in enumerate([gap, step, count, len(differences)], start=1):
            table.number(number, context)
        for difference in differences:
            table.signed(difference, 5)
    return table.text()


def encode_decompositions(decompositions, longest):
    """Grouped by length: the set of keys, then their values, each as its difference from the one before it in its column."""
    groups = []
    for length in range(1, longest + 1):
        keys = [c for c in sorted(decompositions) if len(decompositions[c]) == length]
        table, before = Table(), [0] * length
        for c in keys:
            for column, (value, previous) in enumerate(zip(decompositions[c], before)):
                table.signed(value - previous, column)
            before = decompositions[c]
        groups.append((encode_set(keys), table.text()))
    return groups


def encode_scanned(decompositions, classes):
    """Runs of code points that hold all which decompose or move: of those src/tokenizer/unicode.ts asks JavaScript, once.

    Between runs that were joined lie only assigned ones that do neither, and never will (Unicode's stability policy).
    """

    def is_settled(c):
        moves = unicodedata.normalize("NFD", chr(c)) != chr(c) or unicodedata.combining(chr(c))
        return unicodedata.category(chr(c)) != "Cn" and not moves and c not in HANGUL

    joined = []
    for first, last in runs(sorted({*decompositions, *classes})):
        if joined and all(is_settled(c) for c in range(joined[-1][1] + 1, first)):
            joined[-1][1] = last
        else:
            joined.append([first, last])
    return encode_set([c for first, last in joined for c in range(first, last + 1)])


def check_of(decompositions, classes):
    """FNV-1a of all code points that decompose, each with its decomposition, then of all that move, each with the rank of its
    combining class."""
    numbers = [code for c in sorted(decompositions) for code in [c, *decompositions[c]]]
    ranks = {number: rank for rank, number in enumerate(sorted(set(classes.values())), start=1)}
    for c in sorted(classes, key=lambda c: (classes[c], c)):
        numbers += [c, ranks[classes[c]]]
    hash = 0x811C9DC5
    for number in numbers:
        hash = (hash ^ number) * 0x01000193 & 0xFFFFFFFF
    return hash


def encode_graphemes(found):
    """How many runs, then the class of each, told by the one before, the gap before it and its length."""
    table, end, before = Table(), 0, 0
    table.number(len(found), 0)
    for first, last, name in found:
        kind = GRAPHEME_CLASSES.index(name)
        table.number(kind, 3 + before)
        table.number(first - end, 1)
        table.number(last - first + 1, 2)
        end, before = last + 1, kind
    return table.text()


HEADER = """// Generated by tools/unicode/generate.py from the behaviour of tokenizers {version} (Rust). Do not edit.
// Arithmetic coding; src/tokenizer/{decoder} decodes them, and says what each is for.
"""


def literal(table):
    if isinstance(table, int):
        return str(table)
    return f"'{table}'" if isinstance(table, str) else "[" + ", ".join(map(literal, table)) + "]"


def write(path, decoder, tables, header=HEADER, start=""):
    with open(path, "w") as file:
        file.write(header.format(version=tokenizers.__version__, decoder=decoder) + start)
        for name, table in tables.items():
            file.write(f"export const {name} =\n  {literal(table)};\n")
            print(f"{name:24} {len(literal(table)):6} characters", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("src/tokenizer"))
    parser.add_argument("--segmentation", type=pathlib.Path)
    arguments = parser.parse_args()
    decompositions = probe_decompositions()
    tables = dict(zip(("classes", "kinds"), encode_classes_of_all(probe_sets())))
    tables["lowercase"] = encode_map(probe_lowercase())
    classes = probe_combining_classes(decompositions)
    tables["normalized"] = encode_scanned(decompositions, classes)
    tables["normalizedCheck"] = check_of(decompositions, classes)
    version = f"export const oracleVersion = 'tokenizers {tokenizers.__version__}';\n"
    write(arguments.output / "unicodeTables.ts", "unicode.ts", tables, start=version)
    categories = {name: encode_set(code_points) for name, code_points in probe_categories().items()}
    write(arguments.output / "categoryTables.ts", "categories.ts", categories)
    compatibility = probe_compatibility()
    normal_forms = {
        "compatibility": encode_decompositions(compatibility, max(map(len, compatibility.values()))),
        "excludedFromComposition": encode_set(probe_excluded(decompositions)),
    }
    write(arguments.output / "normalFormTables.ts", "normalForms.ts", normal_forms)
    if arguments.segmentation:
        found, linkers = read_segmentation(arguments.segmentation)
        header = HEADER.replace("from the behaviour of", "from the unicode-segmentation of")
        tables = {"graphemes": encode_graphemes(found), "linkers": encode_set(linkers)}
        write(arguments.output / "graphemeTables.ts", "graphemes.ts", tables, header)


if __name__ == "__main__":
    main()
