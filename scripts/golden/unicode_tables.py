"""Prints lib/text/unicode_tables.h: where the system's utf8proc and Hugging Face `tokenizers` differ.

Every code point is put through `tokenizers` (BertNormalizer, BertPreTokenizer, ByteLevel, NFD, NFKD,
Precompiled) and compared with what utf8proc's category, decomposition, combining class, lower case and grapheme
clusters say. Run:
    python scripts/golden/unicode_tables.py > lib/text/unicode_tables.h && clang-format -i lib/text/unicode_tables.h
"""

import ctypes
import ctypes.util

import tokenizers
from token_ids import cluster_finder
from tokenizers import normalizers, pre_tokenizers


class Property(ctypes.Structure):
    _fields_ = [("category", ctypes.c_int16), ("combining_class", ctypes.c_int16)]


lib = ctypes.CDLL(ctypes.util.find_library("utf8proc"))
lib.utf8proc_category_string.restype = ctypes.c_char_p
lib.utf8proc_unicode_version.restype = ctypes.c_char_p
lib.utf8proc_version.restype = ctypes.c_char_p
lib.utf8proc_get_property.restype = ctypes.POINTER(Property)
lib.utf8proc_decompose_char.argtypes = [ctypes.c_int32, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p]
lib.utf8proc_decompose_char.restype = ctypes.c_ssize_t

lib.utf8proc_grapheme_break.argtypes = [ctypes.c_int32, ctypes.c_int32]
lib.utf8proc_grapheme_break.restype = ctypes.c_bool

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
CATEGORY = [lib.utf8proc_category_string(c).decode() for c in range(0x110000)]
PARTS = (ctypes.c_int32 * 32)()


def bert(**on):
    off = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
    return normalizers.BertNormalizer(**{**off, **on}).normalize_str


def decomposed(c, options=1 << 4):
    count = lib.utf8proc_decompose_char(c, PARTS, 32, options, ctypes.byref(ctypes.c_int(0)))
    return "".join(map(chr, PARTS[:count]))


def ranges(code_points):
    found = []
    for c in sorted(code_points):
        if found and found[-1][1] == c - 1:
            found[-1][1] = c
        else:
            found.append([c, c])
    return found


def table(name, comment, code_points):
    rows = ", ".join(f"{{0x{a:X}, 0x{b:X}}}" for a, b in ranges(code_points))
    print(f"// {comment}\ninline constexpr CodePointRange {name}[] = {{{rows}}};\n")


def combines_alike(c, nfd):
    """Whether `tokenizers` orders c among marks of classes 1, 220 and 230 as utf8proc's combining class says."""
    ours = lib.utf8proc_get_property(c).contents.combining_class
    swaps = lambda a, b: nfd("x" + a + b) == "x" + b + a
    before, low, high = "\u0334", "\u0317", "\u0302"
    wanted = (1 < ours, 220 < ours, 0 < ours < 220, 0 < ours < 230)
    given = (swaps(chr(c), before), swaps(chr(c), low), swaps(low, chr(c)), swaps(high, chr(c)))
    return wanted == given or chr(c) in (before, low, high)


def main():
    clean, cjk, strip, lower = (bert(**{k: True}) for k in ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"))
    nfd, nfkd = normalizers.NFD().normalize_str, normalizers.NFKD().normalize_str
    words = lambda pre, text: len(pre.pre_tokenize_str(text))
    bert_pre, level = pre_tokenizers.BertPreTokenizer(), pre_tokenizers.ByteLevel(add_prefix_space=False)
    kind = lambda *kinds: {c for c in CODE_POINTS if CATEGORY[c].startswith(kinds)}

    dropped = {c for c in CODE_POINTS if clean(f"a{chr(c)}b") == "ab"}
    marks = {c for c in CODE_POINTS if strip(chr(c)) == ""}
    punctuation = {c for c in CODE_POINTS if words(bert_pre, f"a{chr(c)}b") == 3}
    letters = {c for c in CODE_POINTS if words(level, "a" + chr(c)) == 1}
    numbers = {c for c in CODE_POINTS if words(level, "1" + chr(c)) == 1}
    ideographs = {c for c in CODE_POINTS if cjk(chr(c)) != chr(c)}
    lowered = [(c, lower(chr(c))) for c in CODE_POINTS if lower(chr(c)) != chr(lib.utf8proc_tolower(c))]

    print(f"// Where Hugging Face tokenizers {tokenizers.__version__} and utf8proc {lib.utf8proc_version().decode()}"
          f" (Unicode {lib.utf8proc_unicode_version().decode()}) differ, over all code\n"
          "// points. Written by scripts/golden/unicode_tables.py.\n#pragma once\n\nnamespace mtlora {\n\n"
          "struct CodePointRange {\n  char32_t first, last;\n};\n")
    table("kIdeographs", "What BertNormalizer sets between spaces.", ideographs)
    table("kNotFormat", "Category C of utf8proc that clean_text keeps.", kind("Cc", "Cf", "Co") - dropped - {9, 10, 13})
    assert dropped <= kind("Cc", "Cf", "Co") | {0, 0xFFFD}
    table("kNotMarks", "Category Mn of utf8proc that stripping accents keeps.", kind("Mn") - marks)
    table("kOnceMarks", "No longer Mn in utf8proc, yet stripped.", marks - kind("Mn"))
    table("kNotPunctuation", "Category P of utf8proc that BertPreTokenizer does not isolate.", kind("P") - punctuation)
    table("kOncePunctuation", "No longer P in utf8proc, yet isolated.", {c for c in punctuation - kind("P") if c > 127})
    table("kNewLetters", "Letters of the ByteLevel pattern that utf8proc does not know.", letters - kind("L"))
    table("kNewNumbers", "Numbers of the ByteLevel pattern that utf8proc does not know.", numbers - kind("N"))
    assert not kind("L") - letters and not kind("N") - numbers
    table("kNotDecomposed", "Decomposed by utf8proc only.", {c for c in CODE_POINTS if nfd(chr(c)) != decomposed(c)})
    table("kNotCompatible", "Of these utf8proc alone has a compatibility decomposition.",
          {c for c in CODE_POINTS if nfkd(chr(c)) != decomposed(c, 1 << 4 | 1 << 2) and nfd(chr(c)) == decomposed(c)})
    assert all(nfkd(chr(c)) in (chr(c), decomposed(c, 1 << 4 | 1 << 2)) for c in CODE_POINTS)
    table("kNotCombining", "Of combining class 0 for `tokenizers` only.",
          {c for c in CODE_POINTS if nfd(chr(c)) == chr(c) and not combines_alike(c, nfd)})
    clusters = cluster_finder()
    joined = {c for c in CODE_POINTS if clusters(f"A{chr(c)}") == "a"}
    ours = {c for c in CODE_POINTS if not lib.utf8proc_grapheme_break(0x41, c)}
    table("kExtending", "In one grapheme cluster with what stands before, but not for utf8proc.", joined - ours)
    assert ours <= joined
    print("// Lower case that utf8proc does not know: `first` becomes `lower`, and so on.\n"
          "struct LowerRange {\n  char32_t first, last, lower;\n};")
    rows = []
    for c, to in lowered:
        if len(to) > 1:
            continue
        if rows and rows[-1][1] == c - 1 and rows[-1][2] + c - rows[-1][0] == ord(to):
            rows[-1][1] = c
        else:
            rows.append([c, c, ord(to)])
    assert [c for c, to in lowered if len(to) > 1] == [0x130]
    print("inline constexpr LowerRange kNewLower[] = {", ", ".join(f"{{0x{a:X}, 0x{b:X}, 0x{d:X}}}" for a, b, d in rows), "};\n")
    print("}  // namespace mtlora")


main()
