"""Broken corpora, each with the lines of the message that names the file and line to mend."""

import gzip
import json

import pytest

from corpus.check import check_corpus
from corpus.load import load_corpus
from settings.flags import Arguments
from support.errors import UserError

GOOD = "EU B-ORG\nrejects O\nGerman B-MISC\n\nPeter B-PER\nBlackburn I-PER\n"
ROW = '  expected: {"tokens": ["EU", "rejects"], "ner_tags": ["B-ORG", "O"]}'
SPANS = '  expected: {"text": "EU rejects", "spans": [{"start": 0, "end": 2, "label": "ORG"}]}'
NAMES = "  expected: --label_names O B-PER I-PER ..., or a file of the names in their order"
ENTITY = (
    "  expected: O, or a prefix, a hyphen and a type, as in B-PER; --task_name pos has plain tags"
)
UTF8 = "  expected: UTF-8; convert with: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEWFILE"
FORMATS = "  expected: columns of text, JSON, CSV, parquet or Arrow, plain or packed by gzip"
CSV = "  expected: a first row such as: sentence_id,token,ner_tag"


def record(**fields) -> str:
    return json.dumps(fields) + "\n"


TOKENS = record(tokens=["EU", "rejects"], ner_tags=["B-ORG", "O"])
TEXT = record(text="EU rejects", spans=[[0, 2, "ORG"]])

# name of the case: (file, content, flags, lines of the message)
CASES = {
    # Columns
    "a column too few": (
        "a.conll",
        GOOD + "\nBonn\n",
        {},
        [
            "rows of another width:",
            "  a.conll:8: 1 column in 'Bonn', elsewhere 2",
            "  expected: 'EU B-ORG'",
        ],
    ),
    "a column too many": (
        "a.tsv",
        "EU\tB-ORG\nrejects\tO\nBonn\tB-LOC\tx\n",
        {},
        [
            "rows of another width:",
            "  a.tsv:3: 3 columns in 'Bonn\\tB-LOC\\tx', elsewhere 2",
            "  expected: 'EU\\tB-ORG'",
        ],
    ),
    "two rows on one line": (
        "a.conll",
        "EU B-ORG rejects O\n" + GOOD,
        {},
        ["rows of another width:", "  a.conll:1: 4 columns in 'EU B-ORG rejects O', elsewhere 2"],
    ),
    "spaces in a tabbed file": (
        "a.conll",
        "EU\tB-ORG\nrejects O\nGerman\tB-MISC\n",
        {},
        ["rows of another width:", "  a.conll:2: 1 column in 'rejects O', elsewhere 2"],
    ),
    "tabs in a file of spaces": (
        "a.conll",
        "EU B-ORG\nnew\tYork B-LOC\nit O\n",
        {},
        ["rows of another width:", "  a.conll:2: 3 columns in 'new\\tYork B-LOC', elsewhere 2"],
    ),
    "a hashtag without a tag": (
        "a.conll",
        "#tag\nEU B-ORG\nin O\n",
        {},
        ["rows of another width:", "  a.conll:1: 1 column in '#tag', elsewhere 2"],
    ),
    "the word # with a space for the tab": (
        "a.conll",
        "# O\nEU\tB-ORG\nin\tO\n",
        {},
        ["rows of another width:", "  a.conll:1: 1 column in '# O', elsewhere 2"],
    ),
    "a comment within a sentence": (
        "a.conll",
        "EU B-ORG\n# a comment\nin O\n",
        {},
        ["rows of another width:", "  a.conll:2: 3 columns in '# a comment', elsewhere 2"],
    ),
    "an empty tag": (
        "a.tsv",
        "EU\tB-ORG\nrejects\t\n",
        {},
        [
            "empty labels:",
            "  a.tsv:2: '' of 'rejects'",
            "  expected: a label; O where there is no entity",
        ],
    ),
    "a tag of spaces": (
        "a.tsv",
        "EU\tB-ORG\nin\t \n",
        {},
        ["empty labels:", "  a.tsv:2: ' ' of 'in'"],
    ),
    "an empty file": (
        "a.conll",
        "",
        {},
        [
            "no sentence:",
            "  a.conll: the file has no row of a word and a tag",
            "  expected: EU\tB-ORG",
        ],
    ),
    "blank lines only": (
        "a.conll",
        "\n \n\t\n",
        {},
        ["no sentence:", "  a.conll: the file has no row of a word and a tag"],
    ),
    "comments only": (
        "a.conll",
        "# one\n# two\n",
        {},
        ["no sentence:", "  a.conll: the file has no row of a word and a tag"],
    ),
    "documents without a word": (
        "a.conll",
        "-DOCSTART- -X- -X- O\n\n",
        {},
        ["no sentence:", "  a.conll: the file has no row of a word and a tag"],
    ),
    "words without tags": (
        "a.txt",
        "EU\nrejects\n",
        {},
        [
            "no labels:",
            "  a.txt: words in column 0 of 1 (counted from 0, space-separated)",
            "  expected: labels in the train split; --label_column_name says where they are",
        ],
    ),
    "raw text": (
        "a.txt",
        "EU rejects German call.\nPeter Blackburn said.\nNo.\n",
        {},
        [
            "rows of another width (2):",
            "  a.txt:2: 3 columns in 'Peter Blackburn said.', elsewhere 4",
            "  a.txt:3: 1 column in 'No.', elsewhere 4",
            "  expected: 'EU rejects German call.'",
        ],
    ),
    "a label column beyond the last": (
        "a.conll",
        GOOD,
        {"label_column_name": "2"},
        [
            "no such column:",
            "  a.conll: --label_column_name 2: there are 2 columns without names",
            "  expected: a number from 0 to 1, or negative from the end",
        ],
    ),
    "a label column before the first": (
        "a.conll",
        GOOD,
        {"label_column_name": "-3"},
        ["  a.conll: --label_column_name -3: there are 2 columns without names"],
    ),
    "a named column of a file without names": (
        "a.conll",
        GOOD,
        {"text_column_name": "words"},
        ["  a.conll: --text_column_name words: there are 2 columns without names"],
    ),
    "a name that the header lacks": (
        "a.tsv",
        "token\tner\nEU\tB-ORG\n",
        {"label_column_name": "nre"},
        ["  a.tsv: --label_column_name nre: there are 2 columns called token, ner"],
    ),
    "entity tags of CoNLL-U": (
        "a.conllu",
        "1\tA\ta\tDET\tDT\t_\t_\t_\t_\t_\n2\tb\tb\tNOUN\tNN\t_\t_\t_\t_\t_\n",
        {},
        [
            "no such column:",
            "  a.conllu: CoNLL-U has no column of ner tags",
            "  expected: --task_name pos, or --label_column_name with one of id, form, lemma, "
            "upos, xpos, feats, head, deprel, deps, misc",
        ],
    ),
    "a missing blank line in CoNLL-U": (
        "a.conllu",
        "".join(f"{n}\tw\tw\tX\tX\t_\t_\t_\t_\t_\n" for n in (1, 2, 1, 2)),
        {"task_name": "pos"},
        [
            "an index out of order (2):",
            "  a.conllu:3: index '1' where 3 was due, in '1\\tw\\tw\\tX\\tX\\t_\\t_\\t_\\t_\\t_'",
            "  expected: 1, 2, 3, ... in each sentence, a blank line between sentences",
        ],
    ),
    "an index that is none": (
        "a.tsv",
        "1\tEU\tB-ORG\tO\n2\tis\tO\tO\n3\tin\tO\tO\n4\tit\tO\tO\n5\ton\tO\tO\n6\tx\tO\tO\n7\ty\tO\tO\n"
        "8\tz\tO\tO\n9\ta\tO\tO\n10\tb\tO\tO\n11\tc\tO\tO\n13\td\tO\tO\n",
        {},
        ["an index out of order:", "  a.tsv:12: index '13' where 12 was due, in '13\\td\\tO\\tO'"],
    ),
    # Tags
    "a misspelt prefix": (
        "a.conll",
        GOOD + "Bonn b-PER\n",
        {},
        ["tags that are no entity tags:", "  a.conll:7: 'b-PER' of 'Bonn'; perhaps B-PER", ENTITY],
    ),
    "an underscore for the hyphen": (
        "a.conll",
        GOOD + "Bonn B_ORG\n",
        {},
        ["tags that are no entity tags:", "  a.conll:7: 'B_ORG' of 'Bonn'; perhaps B-ORG"],
    ),
    "a small o": (
        "a.conll",
        GOOD + "Bonn o\n",
        {},
        ["tags that are no entity tags:", "  a.conll:7: 'o' of 'Bonn'; perhaps O", ENTITY],
    ),
    "a zero for O": (
        "a.conll",
        GOOD + "Bonn 0\n",
        {},
        ["tags that are no entity tags:", "  a.conll:7: '0' of 'Bonn'"],
    ),
    "a prefix without a type": (
        "a.conll",
        GOOD + "Bonn B-\n",
        {},
        ["tags that are no entity tags:", "  a.conll:7: 'B-' of 'Bonn'"],
    ),
    "a misspelt tag far down": (
        "a.conll",
        "EU B-ORG\n\n" + 2500 * "in O\n\n" + "Bonn b-ORG\n",
        {},
        ["tags that are no entity tags:", "  a.conll:5003: 'b-ORG' of 'Bonn'; perhaps B-ORG"],
    ),
    "more misspelt tags than are shown": (
        "a.conll",
        GOOD + 25 * "Bonn PER\n",
        {},
        [
            "tags that are no entity tags (25):",
            "  a.conll:26: 'PER' of 'Bonn'; perhaps I-PER",
            "  ... and 5 more",
        ],
    ),
    "two schemes in one corpus": (
        "a.conll",
        "A B-X\nb L-X\nC S-X\nD U-X\n",
        {},
        [
            "tags that BILOU does not have:",
            "  a.conll:3: 'S-X' of 'C'",
            "  expected: O and the prefixes B, I, L, U; --tag_scheme names another scheme",
        ],
    ),
    "BIOES forced to be IOB2": (
        "a.conll",
        "A S-X\nb O\n",
        {"tag_scheme": "iob2"},
        [
            "tags that IOB2 does not have:",
            "  a.conll:1: 'S-X' of 'A'",
            "  expected: O and the prefixes B, I; --tag_scheme names another scheme",
        ],
    ),
    "IOB2 forced to be IO": (
        "a.conll",
        GOOD,
        {"tag_scheme": "io"},
        ["tags that IO does not have (3):", "  a.conll:1: 'B-ORG' of 'EU'"],
    ),
    "integers without names": (
        "a.jsonl",
        record(tokens=["EU", "rejects"], ner_tags=[3, 0]),
        {},
        ["integer labels without names (2):", "  a.jsonl:1: '3' of 'EU'", NAMES],
    ),
    "integers in columns": (
        "a.conll",
        "EU 3\nrejects 0\n",
        {},
        ["integer labels without names (2):", "  a.conll:2: '0' of 'rejects'", NAMES],
    ),
    "an integer beyond the names": (
        "a.jsonl",
        record(tokens=["EU", "rejects"], ner_tags=[3, 0]),
        {"label_names": ["O", "B-ORG"]},
        ["integer labels for which there are not enough names (2):", "  a.jsonl:1: '3' of 'EU'"],
    ),
    "an integer of five thousand digits": (
        "a.conll",
        f"EU {'9' * 5000}\nin 0\n",
        {"label_names": ["O", "B-ORG"]},
        ["tags that are no entity tags:"],
    ),
    "a negative integer": (
        "a.jsonl",
        record(tokens=["EU"], ner_tags=[-100]),
        {"label_names": ["O", "B-ORG"]},
        ["integer labels for which there are not enough names (2):", "  a.jsonl:1: '-100' of 'EU'"],
    ),
    "a tag that --label_names lacks": (
        "a.conll",
        GOOD,
        {"label_names": ["O", "B-ORG", "I-ORG", "B-PER", "I-PER"]},
        [
            "labels that --label_names lacks:",
            "  a.conll:3: 'B-MISC' of 'German'",
            "  expected: one of --label_names: ORG, PER",
        ],
    ),
    "a part of speech that --label_names lacks": (
        "a.conll",
        "A DET\ndog NUON\n",
        {"task_name": "pos", "label_names": ["DET", "NOUN"]},
        [
            "labels that --label_names lacks:",
            "  a.conll:2: 'NUON' of 'dog'",
            "  expected: one of --label_names: DET, NOUN",
        ],
    ),
    # JSON
    "no JSON on a line": (
        "a.jsonl",
        TOKENS + "{'tokens': ['EU'], 'ner_tags': ['O']}\n",
        {},
        [
            "not JSON:",
            "  a.jsonl:2: Expecting property name enclosed in double quotes in "
            "\"{'tokens': ['EU'], 'ner_tags': ['O']}\"",
            ROW,
        ],
    ),
    "a line cut off": (
        "a.jsonl",
        TOKENS + '{"tokens": ["EU"',
        {},
        ["not JSON:", "  a.jsonl:2: Expecting ',' delimiter in '{\"tokens\": [\"EU\"'"],
    ),
    "a first line that is no JSON": (
        "a.jsonl",
        "{tokens}\n" + TOKENS,
        {},
        [
            "not JSON:",
            "  a.jsonl:1: Expecting property name enclosed in double quotes in '{tokens}'",
        ],
    ),
    "a number for an object": (
        "a.jsonl",
        TOKENS + "12\n",
        {},
        ["no JSON object:", "  a.jsonl:2: '12'", ROW],
    ),
    "too few labels": (
        "a.jsonl",
        TOKENS + record(tokens=["EU", "rejects"], ner_tags=["B-ORG"]),
        {},
        [
            "words and labels of different number:",
            '  a.jsonl:2: 2 words, 1 label: \'["EU", "rejects"]\', \'["B-ORG"]\'',
            ROW,
        ],
    ),
    "too many labels": (
        "a.jsonl",
        TOKENS + record(tokens=["EU"], ner_tags=["B-ORG", "O"]),
        {},
        ['  a.jsonl:2: 1 word, 2 labels: \'["EU"]\', \'["B-ORG", "O"]\''],
    ),
    "a record without labels": (
        "a.jsonl",
        TOKENS + record(tokens=["EU"]),
        {},
        [
            "records without a column:",
            "  a.jsonl:2: no 'ner_tags' in '{\"tokens\": [\"EU\"]}'",
            ROW,
        ],
    ),
    "null for labels": (
        "a.jsonl",
        TOKENS + record(tokens=["EU"], ner_tags=None),
        {},
        [
            "records without a column:",
            '  a.jsonl:2: no \'ner_tags\' in \'{"tokens": ["EU"], "ner_tags": null}\'',
        ],
    ),
    "a text for the words": (
        "a.jsonl",
        TOKENS + record(tokens="EU", ner_tags=["O"]),
        {},
        ["words that are no list:", "  a.jsonl:2: 'tokens' is 'EU'", ROW],
    ),
    "a number among the words": (
        "a.jsonl",
        TOKENS + record(tokens=["EU", 7], ner_tags=["O", "O"]),
        {},
        ["words that are no text:", "  a.jsonl:2: 'tokens'[1] is '7'", ROW],
    ),
    "a text for the labels": (
        "a.jsonl",
        TOKENS + record(tokens=["EU"], ner_tags="O"),
        {},
        ["labels that are no list:", "  a.jsonl:2: 'ner_tags' is 'O'", ROW],
    ),
    "names and integers mixed": (
        "a.jsonl",
        TOKENS + record(tokens=["EU", "is"], ner_tags=["O", 0]),
        {},
        [
            "labels of another kind:",
            "  a.jsonl:2: not all names nor all integers: '[\"O\", 0]'",
            ROW,
        ],
    ),
    "truth values for labels": (
        "a.jsonl",
        TOKENS + record(tokens=["EU"], ner_tags=[True]),
        {},
        ["labels of another kind:", "  a.jsonl:2: not all names nor all integers: '[true]'"],
    ),
    "half of an emoji": (
        "a.jsonl",
        TOKENS + '{"tokens": ["EU\\ud83d"], "ner_tags": ["O"]}\n',
        {},
        ["half a character:", "  a.jsonl:2: '\\ud83d' in \"'EU\\\\ud83d'\"", ROW],
    ),
    "no column of words": (
        "a.jsonl",
        record(sentence_words=["EU"], ner_tags=["O"]),
        {},
        [
            "no such column:",
            "  a.jsonl:1: no column of words among 'sentence_words', 'ner_tags'",
            ROW,
        ],
    ),
    "a text column that is not there": (
        "a.jsonl",
        TOKENS,
        {"text_column_name": "word"},
        ["no such column:", "  a.jsonl:1: no 'word' among 'tokens', 'ner_tags'", ROW],
    ),
    "a label column that is not there": (
        "a.jsonl",
        TOKENS,
        {"label_column_name": "pos"},
        ["no such column:", "  a.jsonl:1: no 'pos' among 'tokens', 'ner_tags'"],
    ),
    "an array cut off": (
        "a.json",
        "[" + TOKENS + "," + TOKENS,
        {},
        ["not JSON:", "  a.json:3: no ']' at its end", f"  expected: [{ROW[12:]}, ...]"],
    ),
    "an array without a comma": (
        "a.json",
        "[" + TOKENS + record(tokens=[], ner_tags=[]) + "]",
        {},
        ["not JSON:", "  a.json:2: '{\"tokens\": [], \"ner_tags\": []}\\n]' where ',' was due"],
    ),
    "an element of an array that is no JSON": (
        "a.json",
        "[" + TOKENS + ",\n{'tokens': []}]",
        {},
        [
            "not JSON:",
            "  a.json:3: Expecting property name enclosed in double quotes in \"{'tokens': []}]\"",
        ],
    ),
    "more after an array": (
        "a.json",
        "[" + TOKENS + "]\n[]",
        {},
        ["not JSON:", "  a.json:3: '[]' after the array's end"],
    ),
    "an empty array": ("a.json", "[]", {}, ["no sentence:", "  a.json: the file has none", ROW]),
    "an object over several lines cut off": (
        "a.json",
        '{\n"tokens": ["EU"],\n"ner_tags": ["O"]\n',
        {},
        ["not JSON:", "  a.json:1: Expecting ',' delimiter"],
    ),
    "labels from some line on": (
        "a.jsonl",
        1000 * record(tokens=["EU"]) + TOKENS,
        {},
        [
            "labels where earlier records have none:",
            '  a.jsonl:1001: \'{"tokens": ["EU", "rejects"], "ner_tags": ["B-ORG", "O"]}\'',
        ],
    ),
    # Character spans
    "a span that ends in a word": (
        "a.jsonl",
        TEXT + record(text="EU rejects", spans=[[0, 5, "ORG"]]),
        {},
        [
            "spans that cut a word:",
            "  a.jsonl:2: 0-5 'EU re' (ORG) cuts 'rejects' in 'EU rejects'",
            SPANS,
        ],
    ),
    "a span that begins in a word": (
        "a.jsonl",
        TEXT + record(text="EU rejects", spans=[[1, 2, "ORG"]]),
        {},
        ["spans that cut a word:", "  a.jsonl:2: 1-2 'U' (ORG) cuts 'EU' in 'EU rejects'"],
    ),
    "two spans in one word": (
        "a.jsonl",
        TEXT + record(text="ran 10km", spans=[[4, 6, "NUM"], [6, 8, "UNIT"]]),
        {},
        [
            "spans that cut a word (2):",
            "  a.jsonl:2: 4-6 '10' (NUM) cuts '10km' in 'ran 10km'",
            "  a.jsonl:2: 6-8 'km' (UNIT) cuts '10km' in 'ran 10km'",
        ],
    ),
    "a span beyond the text": (
        "a.jsonl",
        TEXT + record(text="EU", spans=[[0, 3, "ORG"]]),
        {},
        ["spans outside the text:", "  a.jsonl:2: 0-3 'EU' (ORG); the text has 2 characters: 'EU'"],
    ),
    "a span that ends before it begins": (
        "a.jsonl",
        TEXT + record(text="EU", spans=[[2, 0, "ORG"]]),
        {},
        ["spans outside the text:", "  a.jsonl:2: 2-0 '' (ORG); the text has 2 characters: 'EU'"],
    ),
    "spans that overlap": (
        "a.jsonl",
        TEXT + record(text="New York City", spans=[[0, 8, "LOC"], [4, 13, "LOC"]]),
        {},
        ["spans that overlap:", "  a.jsonl:2: 4-13 'York City' (LOC) in 'New York City'", SPANS],
    ),
    "the same span twice": (
        "a.jsonl",
        TEXT + record(text="Rome", spans=[[0, 4, "LOC"], [0, 4, "LOC"]]),
        {},
        ["spans that overlap:", "  a.jsonl:2: 0-4 'Rome' (LOC) in 'Rome'"],
    ),
    "a span of a space": (
        "a.jsonl",
        TEXT + record(text="in Rome", spans=[[2, 3, "LOC"]]),
        {},
        ["spans without a word:", "  a.jsonl:2: 2-3 ' ' (LOC) in 'in Rome'"],
    ),
    "a span without a label": (
        "a.jsonl",
        TEXT + record(text="Rome", spans=[{"start": 0, "end": 4}]),
        {},
        ["spans of another form:", '  a.jsonl:2: \'{"start": 0, "end": 4}\'', SPANS],
    ),
    "a span with two labels": (
        "a.jsonl",
        TEXT + record(text="Rome", spans=[{"start": 0, "end": 4, "labels": ["A", "B"]}]),
        {},
        ["spans of another form:", '  a.jsonl:2: \'{"start": 0, "end": 4, "labels": ["A", "B"]}\''],
    ),
    "offsets that are no numbers": (
        "a.jsonl",
        TEXT + record(text="Rome", spans=[["0", "4", "LOC"]]),
        {},
        ["spans of another form:", '  a.jsonl:2: \'["0", "4", "LOC"]\''],
    ),
    "spans that are no list": (
        "a.jsonl",
        TEXT + record(text="Rome", spans="LOC"),
        {},
        ["spans that are no list:", "  a.jsonl:2: 'LOC'"],
    ),
    "two annotations of a text": (
        "a.json",
        json.dumps([{"data": {"text": "Rome"}, "annotations": [{"result": []}, {"result": []}]}]),
        {},
        ["several annotations of one text:", "  a.json:1: 2 annotations of 'Rome'"],
    ),
    # CSV and tables
    "rows without a sentence id": (
        "a.csv",
        "word,tag\nEU,B-ORG\nrejects,O\n",
        {},
        [
            "no such column:",
            "  a.csv:2: 'word' and 'tag' hold one text each, and no column numbers the sentences",
            ROW + " a row, or a first row such as: sentence_id,token,ner_tag",
        ],
    ),
    "a CSV row too short": (
        "a.csv",
        "sentence_id,word,tag\n1,EU,B-ORG\n1,rejects\n",
        {},
        [
            "rows of another width:",
            "  a.csv:3: 2 cells in '1,rejects'",
            "  expected: 3, as in its header 'sentence_id,word,tag'",
        ],
    ),
    "a CSV without a header": (
        "a.csv",
        "EU,B-ORG\nrejects,O\n",
        {},
        ["no such column:", "  a.csv:2: no column of words among 'EU', 'B-ORG'"],
    ),
    "two columns of one name": (
        "a.csv",
        "sentence_id,word,tag,tag\n1,EU,B-ORG,O\n1,in,O,O\n",
        {},
        ["columns of one name:", "  a.csv:1: 'tag' in 'sentence_id,word,tag,tag'", CSV],
    ),
    "a quote that is never closed": (
        "a.csv",
        'sentence_id,word,tag\n1,EU,B-ORG\n1,"rejects,O\n1,in,O\n',
        {},
        [
            "not CSV:",
            "  a.csv:3: unexpected end of data",
            "  expected: quotes closed, those inside a cell doubled",
        ],
    ),
    "words of no sentence": (
        "a.csv",
        "sentence_id,word,tag\n,EU,B-ORG\n1,rejects,O\n",
        {},
        [
            "words of no sentence:",
            "  a.csv:2: no 'sentence_id' in "
            '\'{"sentence_id": "", "word": "EU", "tag": "B-ORG"}\'',
            CSV,
        ],
    ),
    "lists as numpy prints them": (
        "a.csv",
        "tokens,ner_tags\n\"['EU', 'is']\",\"['B-ORG', 'O']\"\n\"['EU' 'is']\",\"['B-ORG' 'O']\"\n",
        {},
        ["words that are no list:", "  a.csv:3: 'tokens' is \"['EU' 'is']\"", ROW],
    ),
    "parquet cut off": (
        "a.parquet",
        b"PAR1\x15\x04\x15",
        {},
        ["unreadable file:"],
    ),
    "Arrow cut off": ("a.arrow", b"ARROW1\x00\x00\xff", {}, ["unreadable file:"]),
    # Bytes
    "Latin-1": (
        "a.conll",
        "EU B-ORG\nMüller B-PER\n".encode("latin-1"),
        {},
        ["wrong encoding:", "  a.conll:2: byte 0xfc, perhaps 'Müller B-PER'", UTF8],
    ),
    "UTF-16 cut off": (
        "a.conll",
        "EU B-ORG\n".encode("utf-16")[:-1],
        {},
        ["wrong encoding:", "  a.conll: not all of it is UTF-16", UTF8],
    ),
    "UTF-16 without its mark": (
        "a.conll",
        "EU B-ORG\nin O\n".encode("utf-16-le"),
        {},
        ["no text:", "  a.conll: a binary file, or UTF-16 without its mark", FORMATS],
    ),
    "a binary file with few zeros": (
        "a.conll",
        b"EU B-ORG\n\x80" + bytes(range(1, 256)) * 3 + b"\0\n",
        {},
        ["no text:", "  a.conll: byte 0x80 and zero bytes in a line, as no text has"],
    ),
    "gzip cut off": (
        "a.conll.gz",
        gzip.compress(GOOD.encode())[:-12],
        {},
        ["unreadable file:"],
    ),
    "an Office document": (
        "a.xlsx",
        b"PK\x03\x04" + bytes(30),
        {},
        ["no text:", "  a.xlsx: it is a zip archive or an Office document", FORMATS],
    ),
    "a PDF": ("a.txt", b"%PDF-1.7\n", {}, ["no text:", "  a.txt: it is a PDF"]),
    "lines that end in CR": (
        "a.conll",
        "EU B-ORG\rin O\r\rPeter B-PER\r",
        {},
        ["no text:", "  a.conll: its lines end in CR alone, which ends no line here"],
    ),
    # Flags
    "a file that is not there": (
        "a.conll",
        GOOD,
        {"train_file": ["DIR/b.conll"]},
        ["--train_file b.conll: no such file; there is a.conll"],
    ),
    "a glob that finds nothing": (
        "a.conll",
        GOOD,
        {"train_file": ["DIR/*.iob"]},
        ["--train_file *.iob: no such file"],
    ),
    "a glob that is near to a name": (
        "dup.conll",
        GOOD,
        {"train_file": ["DIR/du*p.conll", "DIR/nope*.conll"]},
        ["--train_file nope*.conll: no such file"],
    ),
    "a name that only ends as another does": (
        "dup.conll",
        GOOD,
        {"train_file": ["DIR/nope.conll"]},
        ["--train_file nope.conll: no such file"],
    ),
    "a name with two letters swapped": (
        "train.conll",
        GOOD,
        {"train_file": ["DIR/tarin.conll"]},
        ["--train_file tarin.conll: no such file; there is train.conll"],
    ),
    "a name with another ending": (
        "train.conll",
        GOOD,
        {"train_file": ["DIR/train.txt"]},
        ["--train_file train.txt: no such file; there is train.conll"],
    ),
    "a folder for a file": (
        "a.conll",
        GOOD,
        {"train_file": ["DIR"]},
        ["--train_file DIR: a folder; --dataset_name takes a folder of split files"],
    ),
    "an unknown task": (
        "a.conll",
        GOOD,
        {"task_name": "srl"},
        ["--task_name srl: expected one of ner, pos, chunk"],
    ),
    "a labels file that is not there": (
        "a.conll",
        GOOD,
        {"label_names": ["DIR/labels.txt"]},
        ["--label_names labels.txt: no such file"],
    ),
    "a label name given twice": (
        "a.conll",
        GOOD,
        {"label_names": ["O", "B-ORG", "O"]},
        ["--label_names O: 'O' more than once; expected each name once"],
    ),
    "one sentence, and none to validate on": (
        "a.conll",
        "EU B-ORG\n",
        {},
        [
            "a.conll: 1 sentence, too few to hold some out for validation; expected more, or a "
            "--validation_file"
        ],
    ),
    "a label that only validation has": (
        "a.conll",
        GOOD,
        {"validation_file": "EU B-LOC\nin O\nBonn B-ROG\n"},
        [
            "labels of the validation split that training lacks (2):",
            "  validation.conll:1: 'B-LOC' of 'EU'",
            "  validation.conll:3: 'B-ROG' of 'Bonn'; perhaps B-ORG",
            "  expected: a label of the training split; --label_names declares others",
        ],
    ),
    "validation without labels": (
        "a.conll",
        GOOD,
        {"validation_file": "EU\nin\n"},
        [
            "no labels:",
            "  validation.conll: words in column 0 of 1 (counted from 0, space-separated)",
        ],
    ),
}


@pytest.fixture
def case_args(tmp_path, request):
    """Arguments for a case of the table, its files written."""
    name, content, flags, expected = CASES[request.param]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    values = {"train_file": [str(path)], "cache_dir": str(tmp_path / "cache")}
    for flag, value in flags.items():
        if flag == "validation_file":
            (tmp_path / "validation.conll").write_text(value)
            value = [str(tmp_path / "validation.conll")]
        if isinstance(value, list):
            value = [item.replace("DIR", str(tmp_path)) for item in value]
        values[flag] = value
    return Arguments(**values), expected


def lines_of(text: str, folder) -> list[str]:
    return text.replace(f"{folder}/", "").replace(str(folder), "DIR").split("\n")


def test_there_are_enough_cases():
    assert len(CASES) >= 60


@pytest.mark.parametrize("case_args", CASES, indirect=True)
def test_a_broken_corpus_is_told_by_file_and_line(case_args, tmp_path):
    args, expected = case_args
    with pytest.raises(UserError) as raised:
        load_corpus(args)
    found = lines_of(str(raised.value), tmp_path)
    assert [line for line in expected if line not in found] == [], found
    checked, would_start = check_corpus(args)
    assert not would_start
    assert checked.endswith("Training would not start.")
    assert [line for line in expected if line not in lines_of(checked, tmp_path)] == []


@pytest.mark.parametrize("case_args", CASES, indirect=True)
def test_nothing_is_left_of_a_broken_corpus(case_args, tmp_path):
    args, _ = case_args
    with pytest.raises(UserError):
        load_corpus(args)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []
