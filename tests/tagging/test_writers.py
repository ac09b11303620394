"""Tests of the writers of results: every format, the fields of records, values that JSON lacks."""

import csv
import datetime
import io
import json
from decimal import Decimal

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.formats import detect
from corpus.formats.sentence import ReadOptions
from corpus.problems import Problems
from corpus.words import word_splitter
from support.errors import UserError
from tagging.annotation_tools import as_brat
from tagging.chunks import TaggedItem
from tagging.conllu import as_conllu
from tagging.entities import TaggedText, entities_of
from tagging.entity_tables import EntityTable, as_csv, as_parquet
from tagging.writers import WriterOptions, to_pieces
from tests.helpers.tagging import KNOWN

OPTIONS = WriterOptions("my-model", ["O", "B-PER"], finite=True)
CONLLU = """\
# sent_id = s1
# text = Anna del Rio
1\tAnna\tAnna\tPROPN\t_\t_\t0\troot\t_\tSpaceAfter=No|NER=O
2-3\tdel\t_\t_\t_\t_\t_\t_\t_\t_
2\tde\tde\tADP\t_\t_\t4\tcase\t_\t_
3\tel\tel\tDET\t_\t_\t4\tdet\t_\t_
4\tParis\tParis\tPROPN\t_\t_\t1\tflat\t_\t_
4.1\tsilent\t_\t_\t_\t_\t_\t_\t_\t_

"""


def tagged(text, fields=None, rows=None, words=False, plain=None):
    """Return an item whose words have the tags of `KNOWN`, or all the plain tag."""
    split = word_splitter(None)(text)
    tags = [plain or KNOWN.get(word, "O") for word, _, _ in split]
    item = TaggedText(text, split, tags, *[[0.98765] * len(split)] * 2)
    result = {"text": text}
    if plain is None:
        result["entities"] = entities_of(item)
    if words or plain:
        result["words"] = [
            {"word": word, "tag": tag, "score": 0.98765, "start": start, "end": end}
            for (word, start, end), tag in zip(split, tags, strict=True)
        ]
    return TaggedItem(item, result, fields or {}, None, rows)


def written(items, output_format, options=OPTIONS):
    return "".join(to_pieces(items, output_format, io.StringIO(), options))


def test_a_json_array_holds_the_objects_of_json_lines():
    items = [tagged("Peter said", {"id": 1}), tagged("\u2028", {"id": 2})]
    array = written(items, "json")
    assert json.loads(array) == [json.loads(line) for line in written(items, "jsonl").splitlines()]
    assert "\u2028" not in array and len(array.splitlines()) == 4
    assert json.loads(written([], "json")) == []


def test_values_that_json_lacks_are_written_as_text():
    fields = {
        "date": datetime.date(2026, 1, 2),
        "image": b"\xff",
        "price": Decimal("1.50"),
        "missing": float("nan"),
        "inner": {"list": [float("inf"), 1]},
    }
    row = json.loads(written([tagged("Peter", fields)], "jsonl"), parse_constant=pytest.fail)
    assert {key: row[key] for key in fields} == {
        "date": "2026-01-02",
        "image": "/w==",
        "price": "1.50",
        "missing": None,
        "inner": {"list": [None, 1]},
    }


def test_csv_repeats_the_fields_of_the_record_in_each_row(snapshot):
    items = [
        tagged("Peter, EU", {"id": 1, "tags": ["a"], "note": None}),
        tagged("said", {"id": 2, "n": 0.123456}),
    ]
    content = written(items, "csv")
    assert content == snapshot
    rows = list(csv.DictReader(io.StringIO(content)))
    assert [(row["id"], row["entity"], row["entity_type"]) for row in rows] == [
        ("1", "Peter", "PER"),
        ("1", "EU", "ORG"),
        ("2", "", ""),
    ]
    assert written([tagged("said", words=True)], "csv") == snapshot
    assert written([tagged("said", plain="VERB")], "csv") == snapshot
    assert written([], "csv").count("\n") == 1


def test_any_line_end_in_a_cell_of_csv_stays_in_the_cell():
    texts = ["Peter\rsaid", "Peter\nsaid", "Peter\r\nsaid", "said\r"]
    content = written([tagged(text, {"note": text}) for text in texts], "csv")
    rows = list(csv.DictReader(io.StringIO(content, newline=""), strict=True))
    assert [(row["text"], row["note"]) for row in rows] == list(zip(texts, texts, strict=True))


def test_a_field_that_the_first_texts_lack_is_reported(snapshot):
    items = [tagged("Peter", {"id": 1}), tagged("EU", {"id": 2, "late": 1})]
    for table in (EntityTable(items, 1, False), EntityTable(iter(items), 1, True)):
        with pytest.raises(UserError) as error:
            list(as_csv(table))
        assert str(error.value) == snapshot
    assert "late" in "".join(as_csv(EntityTable(items, 2, False)))


def test_safe_csv_has_no_formulas():
    values = ["=1+2", "+cmd", "-2+3", "@x", "\t=1", "a=1", "-5", "+1.5", "", "-"]
    items = [tagged("=Peter", {"=key": value}) for value in values]
    content = written(items, "csv", OPTIONS._replace(csv_safe=True))
    header, *rows = csv.reader(io.StringIO(content))
    assert header[2] == "text" and header[1] == "'=key"
    assert [row[1] for row in rows] == [
        *("'=1+2", "'+cmd", "'-2+3", "'@x", "'\t=1"),
        *("a=1", "-5", "+1.5", "", "'-"),
    ]
    assert {row[2] for row in rows} == {"'=Peter"}
    plain = list(csv.reader(io.StringIO(written(items, "csv"))))
    assert [row[1] for row in plain[1:]] == values


def parquet_of(items, head=1000):
    content = b"".join(as_parquet(EntityTable(items, head, False)))
    return pyarrow.parquet.read_table(pyarrow.BufferReader(content))


def test_parquet_keeps_the_types_of_fields():
    day = datetime.date(2026, 1, 2)
    items = [
        tagged("Peter in Paris", {"id": 1, "day": day, "mixed": 1, "none": None, "l": [1]}),
        tagged("said", {"id": 2, "day": None, "mixed": "a", "none": None, "l": []}),
    ]
    table = parquet_of(items)
    rows = table.to_pylist()
    assert [row["entity"] for row in rows] == ["Peter", "Paris", None]
    assert [row["id"] for row in rows] == [1, 1, 2]
    assert rows[0]["day"] == day and rows[2]["day"] is None and rows[0]["l"] == [1]
    assert [row["mixed"] for row in rows] == ["1", "1", "a"]
    assert rows[0]["entity_score"] == 0.98765 and rows[0]["entity_end"] == 5
    empty = parquet_of([])
    assert empty.num_rows == 0 and "entity" in empty.column_names
    assert parquet_of([tagged("\ud800 Peter")]).to_pylist()[0]["text"] == "\\ud800 Peter"


def test_parquet_refuses_a_later_value_of_another_type(monkeypatch, snapshot):
    monkeypatch.setattr("tagging.entity_tables.ROW_GROUP", 1)
    items = [tagged("said", {"id": 1}), tagged("said", {"id": "a"})]
    with pytest.raises(UserError) as error:
        parquet_of(items)
    message = str(error.value)
    assert message.partition(": Could")[0] == snapshot
    assert parquet_of([tagged("a", {"id": n}) for n in range(5)]).num_rows == 5


def rows_of_conllu(content):
    """Return the lines of a sentence with the position of each word, by the ids of CoNLL-U."""
    words = 0
    rows = []
    for line in content.rstrip("\n").split("\n"):
        is_word = line.partition("\t")[0].isdecimal()
        rows.append((line, words if is_word else None))
        words += is_word
    return rows


def conllu_item(tags, plain=False):
    words = [(word, 0, 0) for word in ("Anna", "de", "el", "Paris")]
    result = {"words": []} if plain else {"entities": []}
    return TaggedItem(
        TaggedText("", words, tags, [1.0] * 4, [1.0] * 4), result, {}, None, rows_of_conllu(CONLLU)
    )


def test_conllu_keeps_everything_but_the_tags():
    (content,) = as_conllu([conllu_item(["B-PER", "I-PER", "O", "B-LOC"])], ["O", "B-PER"])
    before, after = CONLLU.split("\n"), content.split("\n")
    assert len(before) == len(after)
    changed = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    assert [new.split("\t")[9] for _, new in changed] == [
        "SpaceAfter=No|NER=B-PER",
        "NER=I-PER",
        "NER=O",
        "NER=B-LOC",
    ]
    assert all(old.split("\t")[:9] == new.split("\t")[:9] for old, new in changed)


@pytest.mark.parametrize(("labels", "column"), [(["NOUN", "VERB"], 3), (["NN", "VERB"], 4)])
def test_parts_of_speech_go_to_upos_if_they_are_universal(labels, column):
    (content,) = as_conllu([conllu_item(["VERB"] * 4, plain=True)], labels)
    words = [line.split("\t") for line in content.split("\n") if line[:1].isdecimal()]
    assert [cells[column] for cells in words] == ["VERB", "_", "VERB", "VERB", "VERB", "_"]
    assert words[0][9] == "SpaceAfter=No|NER=O"


def test_text_becomes_conllu_that_corpus_readers_read(tmp_path):
    items = [tagged("Peter said:\tEU!\n", {"id": "a\tb"}), tagged("Paris")]
    content = written(items, "conllu")
    path = tmp_path / "a.conllu"
    path.write_text(content)
    problems = Problems()
    opened = detect.read(path, ReadOptions(needs_labels=False), problems)
    sentences = list(opened.sentences)
    assert [list(sentence.words) for sentence in sentences] == [
        ["Peter", "said", ":", "EU", "!"],
        ["Paris"],
    ]
    assert sentences[0].record_id == "a b" and not problems
    assert "# text = Peter said: EU!\n" in content
    assert "2\tsaid\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No|NER=O\n" in content


def read_back(tmp_path, name, content):
    """Return texts and entity tags as the corpus readers read them."""
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    problems = Problems()
    opened = detect.read(path, ReadOptions(), problems)
    sentences = [(list(s.words), list(s.tags or ())) for s in opened.sentences]
    assert not problems, str(problems)
    return sentences


@pytest.mark.parametrize("output_format", ["doccano", "label_studio"])
def test_annotation_tools_get_what_the_corpus_readers_read(tmp_path, output_format, snapshot):
    texts = ["\U0001f600 Peter Blackburn in Paris", "nothing", "EU"]
    items = [tagged(text, {"id": number}) for number, text in enumerate(texts)]
    content = written(items, output_format)
    assert content == snapshot
    if output_format == "label_studio":  # as if a person had accepted the predictions
        tasks = json.loads(content)
        for task in tasks:
            task["annotations"] = task.pop("predictions")
        content = json.dumps(tasks)
    sentences = read_back(tmp_path, "a.json", content)
    assert sentences == [
        ([word for word, _, _ in item.tagged.words], item.tagged.tags) for item in items
    ]


def test_brat_is_read_as_it_was_written(tmp_path):
    items = [tagged("Peter said"), tagged("Anna\nEU said \U0001f600 New York")]
    text = io.StringIO()
    annotations = "".join(as_brat(items, text))
    (tmp_path / "a.ann").write_text(annotations)
    words, tags = [], []
    for read_words, read_tags in read_back(tmp_path, "a.txt", text.getvalue()):
        words += read_words
        tags += read_tags
    assert words == [word for item in items for word, _, _ in item.tagged.words]
    assert tags == [tag for item in items for tag in item.tagged.tags]


def test_a_span_with_a_line_end_is_written_in_parts():
    text = "New\r\nYork"
    words = [("New", 0, 3), ("York", 5, 9)]
    item = TaggedText(text, words, ["B-LOC", "I-LOC"], [1.0, 1.0], [1.0, 1.0])
    result = {"text": text, "entities": entities_of(item)}
    (content,) = as_brat([TaggedItem(item, result, {})], io.StringIO())
    assert content.splitlines()[0] == "T1\tLOC 0 3;5 9\tNew York"


@settings(deadline=None)  # the first example imports spaCy
@given(st.lists(st.sampled_from([*KNOWN, " ", "  ", "\n", "said", "\u3000", "."])))
def test_a_doc_bin_holds_texts_and_entities(parts):
    spacy = pytest.importorskip("spacy", exc_type=ImportError)
    item = tagged("".join(parts), {"id": 7})
    (content,) = to_pieces([item], "spacy", io.BytesIO(), OPTIONS)
    (document,) = (
        spacy.tokens.DocBin(store_user_data=True)
        .from_bytes(content)
        .get_docs(spacy.blank("xx").vocab)
    )
    assert document.text == item.tagged.text
    assert document.user_data["fields"] == {"id": 7}
    entities = [(e.start_char, e.end_char, e.label_) for e in document.ents]
    assert entities == [(e["start"], e["end"], e["entity_group"]) for e in item.result["entities"]]


def test_a_doc_bin_holds_plain_tags():
    spacy = pytest.importorskip("spacy", exc_type=ImportError)
    item = tagged("Peter  said", plain="NN")
    (content,) = to_pieces([item], "spacy", io.BytesIO(), OPTIONS)
    (document,) = spacy.tokens.DocBin().from_bytes(content).get_docs(spacy.blank("xx").vocab)
    assert [(token.text, token.tag_) for token in document] == [
        ("Peter", "NN"),
        (" ", "_SP"),
        ("said", "NN"),
    ]
