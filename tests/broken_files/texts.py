"""Broken CSV, svmlight and ARFF files, and broken XML files beside ARFF files."""

import gzip

from broken_files import DIGITS, ROWS


def _rows(header, row):
    return header + "\n" + (row + "\n") * ROWS


def csv_of_data():
    yield "underscored-label", _rows("a,label:b", "1,1_0")
    yield "nameless-label", _rows("a,label:,label:b", "1,0,1")
    yield "nameless-columns", _rows(",a,,label:b", "1,0,1,1")
    yield "index-alone", "id,label:b\n" + "".join(f"{j},1\n" for j in range(ROWS))
    yield "two-separators", _rows("a;label:b", "1,0")
    yield "one-text", _rows("a,label:b", "1,1") + "2021_05,1\n"
    yield "one-text-other-digits", _rows("a,label:b", "1,1") + "١٢,1\n"
    yield "prose", "a,label:b\n" + "".join(f"word {j},1\n" for j in range(ROWS))
    yield "signs", _rows("a,labels", "1,-1")
    yield "shares", _rows("a,labels", "1,0.25")
    yield "unknown-among-labels", _rows("a,labels", "1,sea;?")
    yield "no-names", _rows("a,labels", "1,;")
    yield "thousands", _rows("a;label:b", "1,234.5;0") + "1;0\n" * ROWS * 2
    yield "commas-and-points", _rows("a;label:b", "0,5;0") + "0.5;1\n"
    yield "excel", "sep=;\n" + _rows("a;label:b", "1;0")
    yield "digits", _rows("a,label:b", f"{DIGITS},1")
    yield "digits-label", _rows("a,label:b", f"1,{DIGITS}")
    yield "utf16", _rows("a,label:b", "1,0").encode("utf-16")
    yield "latin", _rows("a,label:ü", "1,0").encode("latin-1")
    yield "nul", _rows("a,label:b", "1,\0")
    yield "long-cell", _rows("a,label:b", "1" * 200_000 + ",1")
    yield "quote", _rows("a,label:b", '1,"0')
    yield "ragged", _rows("a,label:b", "1,0,1")
    yield "escape", _rows("a,label:b", "1,\x1b[31m")
    yield "newline", _rows('a,"label:b\nc","label:b\nc"', "1,0,0")
    yield "surrogate", b"a,label:\xed\xa0\x80\n" + b"1,0\n" * ROWS


def csv_without_labels():
    """Yields files without a header; the command line says that two columns are labels."""
    yield "numbers", _rows("0.93,1e-05,0,1", "0.5,0.25,1,0")
    yield "whole", _rows("5,7,0,1", "3,4,1,0")
    yield "unknown", _rows("5,7,?,1", "3,4,1,0")
    yield "infinite", _rows("inf,7,0,1", "3,4,1,0")


def csv_of_scores():
    yield "no-header", _rows("0.93,1e-05,0.2", "0.5,0.25,0.1")
    yield "no-header-whole", _rows("0,1,0.2", "0.5,0.25,0.1")
    yield "no-header-order", _rows("2,1,0", "1,2,3")
    yield "no-header-signs", _rows("-1,+2,3e1", "1,2,3")
    yield "no-header-nan", _rows("nan,2,3", "1,2,3")
    yield "underscores", _rows("sea,sun,sand", "2021_05,1,2")
    yield "other-digits", _rows("sea,sun,sand", "٣,1,2")
    yield "commas-between-tabs", _rows("sea\tsun\tsand", "0,5\t1\t2")
    yield "commas-and-points", _rows("sea;sun;sand", "0.5;1,5;2")
    yield "nameless", _rows("sea,,sand", "1,2,3")
    yield "index", _rows(",sea,sun,sand", "0,1,2,3")
    yield "twice", _rows("sea,sea,sand", "1,2,3")
    yield "empty", ""
    yield "header", "sea,sun,sand\n"
    yield "words", _rows("sea,sun,sand", "a,b,c")
    yield "missing", _rows("sea,sun,sand", "1,NA,2")
    yield "ragged", _rows("sea,sun,sand", "1,2")


def csv_of_labels():
    yield "no-header", _rows("0,1,0", "1,0,1")
    yield "no-header-unknown", _rows("0,NA,1", "1,0,1")
    yield "no-header-words", _rows("true,false,?", "1,0,1")
    yield "underscores", _rows("sea,sun,sand", "1_0,0,1")
    yield "minus", _rows("sea,sun,sand", "-1,0,1")
    yield "half", _rows("sea,sun,sand", "0.5,0,1")
    yield "others", _rows("sea,sun,fog", "1,0,1")
    yield "nameless", _rows("sea,sun,", "1,0,1")
    yield "few", "sea,sun,sand\n1,0,1\n"
    yield "all-unknown-words", _rows("sea,sun,sand", "null,null,null")


def jsonl():
    good = '{"x": [1, 2], "labels": ["a"]}\n'
    yield "empty", ""
    yield "array", "[1, 2]\n" * ROWS
    yield "number", "1\n" * ROWS
    yield "no-fields", "{}\n" * ROWS
    yield "one-array-of-all", "[" + ",\n".join([good.strip()] * ROWS) + "]"
    yield "cut-short", good * ROWS + good[:17]
    yield "deep", '{"x": ' + "[" * 100_000 + "\n"
    yield "digits", f'{{"x": {DIGITS}, "labels": ["a"]}}\n' * ROWS
    yield "huge", f'{{"x": {10**400}, "labels": ["a"]}}\n' * ROWS
    yield "infinite", '{"x": Infinity, "labels": ["a"]}\n' * ROWS
    yield "twice", '{"x": 1, "x": 2, "labels": ["a"]}\n' * ROWS
    yield "nested", '{"x": {"y": 1}, "labels": ["a"]}\n' * ROWS
    yield "lists-of-lists", '{"x": [[1], [2]], "labels": ["a"]}\n' * ROWS
    yield "lists-of-words", '{"x": ["a", "b"], "labels": ["a"]}\n' * ROWS
    yield "ragged", good * ROWS + '{"x": [1], "labels": ["a"]}\n'
    yield "no-list", good * ROWS + '{"x": 1, "labels": ["a"]}\n'
    yield "list-left-out", good * ROWS + '{"labels": ["a"]}\n'
    yield "no-labels", '{"x": 1, "y": 0}\n' * ROWS
    yield "ids", '{"x": 1, "labels": [3, 7]}\n' * ROWS
    yield "ragged-values", '{"x": 1, "labels": [1, 0]}\n' * ROWS + '{"x": 1, "labels": [1]}\n'
    yield "mixed-labels", '{"x": 1, "labels": ["a", 1]}\n' * ROWS
    yield "objects-as-labels", '{"x": 1, "labels": [{"a": 1}]}\n' * ROWS
    yield "list-and-text", good * ROWS + '{"x": [1, 2], "labels": "a"}\n'
    yield "lists-in-two", '{"x": 1, "label_a": [1], "label_b": [0]}\n' * ROWS
    yield "no-name", '{"": 1, "x": 2, "": 3, "labels": ["a"]}\n' * ROWS
    yield "empty-lists", '{"x": 1, "labels": []}\n' * ROWS
    yield "surrogate", '{"x": 1, "labels": ["\\ud800"]}\n' * ROWS
    yield "latin", '{"x": 1, "labels": ["ü"]}\n'.encode("latin-1")


def packed():
    """Yields broken .csv.gz files."""
    whole = gzip.compress(_rows("a,label:b", "1,0").encode())
    yield "empty", b""
    yield "plain", _rows("a,label:b", "1,0")
    yield "cut-short", whole[:-12]
    yield "damaged", whole[:14] + bytes([whole[14] ^ 0xFF]) + whole[15:]
    yield "tail", whole + b"more"
    yield "nothing-inside", gzip.compress(b"")
    yield "table", gzip.compress(_rows("a,label:b", "1,2").encode())
    yield "bomb", gzip.compress(bytes(2**30), 6)


def parquet():
    """Yields what is no Parquet file, whether or not pyarrow is there to say so."""
    yield "empty", b""
    yield "text", "a,label:b\n1,0\n"
    yield "magic", b"PAR1"
    yield "two-magics", b"PAR1" + bytes(100) + b"PAR1"
    yield "footer", b"PAR1" + bytes(64) + (2**31 - 1).to_bytes(4, "little") + b"PAR1"


def svmlight():
    yield "digits-label", f"{DIGITS} 1:1\n" * 3
    yield "digits-index", f"1 {DIGITS}:1\n" * 3
    yield "digits-header", f"{DIGITS} 2 2\n1 1:1\n"
    yield "digits-header-labels", f"1 2 {DIGITS}\n1 1:1\n"
    yield "digits-value", f"1 1:{DIGITS}\n" * 3
    yield "underscores-value", "1 1:1_0\n" * ROWS
    yield "underscores-label", "1_0 1:1\n" * ROWS
    yield "other-digits-label", "١ 1:1\n" * ROWS
    yield "other-digits-index", "1 ١:1\n" * ROWS
    yield "superscript", "1 ²:1\n" * ROWS
    yield "other-digits-value", "1 1:١\n" * ROWS
    yield "huge", "1 999999999999:1\n" * ROWS
    yield "huge-header", "3 999999999999999999 2\n" + "1 1:1\n" * 3
    yield "huge-labels", "3 2 999999999999999999\n" + "1 1:1\n" * 3
    yield "labels", "a 1:1\n" * ROWS
    yield "no-colon", "1 1\n" * ROWS
    yield "infinite", "1 1:inf\n" * ROWS
    yield "twice", "1 1:1 1:2\n" * ROWS


ARFF = "@relation r\n@attribute a {0,1}\n@attribute b real\n@attribute c real\n@data\n"


def arff():
    meka = ARFF.replace("@relation r", "@relation 'r: -C 1'")
    yield "digits-meka", ARFF.replace("@relation r", f"@relation 'r: -C {DIGITS}'") + "1,2,3\n"
    yield "other-digits-meka", ARFF.replace("@relation r", "@relation 'r: -C ١'") + "1,2,3\n"
    yield "digits-index", meka + f"{{{DIGITS} 1}}\n" * ROWS
    yield "other-digits-index", meka + "{١ 1}\n" * ROWS
    yield "digits", meka + f"1,{DIGITS},3\n" * ROWS
    yield "underscores", meka + "1,2_0,3\n" * ROWS
    yield "underscored-label", meka.replace("{0,1}", "real") + "1_0,2,3\n" * ROWS
    yield "other-digits", meka + "1,٢,3\n" * ROWS
    yield "nameless-label", meka.replace(" a {0,1}", " '' {0,1}") + "1,2,3\n" * ROWS
    yield "sparse", meka + "{0 1, 1}\n" * ROWS
    yield "no-labels", ARFF + "1,2,3\n" * ROWS
    yield "semicolons", meka + "1;2;3\n" * ROWS
    yield "missing", meka + "1,NA,3\n" * ROWS


def xml():
    label = '<labels><label name="a"/></labels>'
    for name in ("nowhere", "utf-99", "base64", "idna", "utf-7", "hex"):
        yield f"encoding-{name}", f'<?xml version="1.0" encoding="{name}"?>{label}'
    yield "binary", bytes(range(256))
    yield "empty", ""
    yield "unclosed", '<labels><label name="a">'
    yield "other", '<labels><label name="z"/></labels>'
    yield "entity", '<labels><label name="&b;"/></labels>'
    yield "nameless", '<labels><label name=""/></labels>'
    yield "doctype", f'<!DOCTYPE l [<!ENTITY a "a">]>{label}'
