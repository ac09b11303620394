"""Writers and naive readers of columns and rows, for `fuzz.py`."""

import csv
import io
import re
from collections.abc import Callable
from typing import Any

from random_corpora import (
    Document,
    Entities,
    Format,
    Sentence,
    entities_of,
    sentences_of,
    squeezed,
    utf16,
)

# --- Columns and rows -----------------------------------------------------------------------------


def columns(row: str, end: str = "") -> Callable[[list[Document]], str]:
    """Return a writer of columns; `row` has the fields word and tag, and `end` ends a sentence."""

    def write(corpus: list[Document]) -> str:
        return "".join(
            "".join(row.format(word=word, tag=tag) + "\n" for word, tag in pairs) + f"{end}\n"
            for pairs in sentences_of(corpus)
        )

    return write


def spelt(change: Callable[[str], str]) -> Callable[[list[Document]], str]:
    """Return a writer of columns whose entity tags are spelt in another way."""

    def write(corpus: list[Document]) -> str:
        changed = [
            [[(w, "O" if t == "O" else change(t)) for w, t in pairs] for pairs in document]
            for document in corpus
        ]
        return columns("{word}\t{tag}")(changed)

    return write


def read_columns(
    word: int, tag: int, separator: str = "\t", as_usual: Callable[[str], str] = str
) -> Callable[[str], Entities]:
    """Return a naive reader of columns; a blank row, or a blank word and O, ends a sentence."""

    def read(content: str) -> Entities:
        entities: Entities = []
        pairs: Sentence = []
        for line in [*content.split("\n"), ""]:
            cells = re.split(separator, line.removesuffix("\r"))
            if line.startswith("# ") and separator not in line:
                continue
            if not line.strip() or (not cells[word].strip() and cells[tag] == "O"):
                entities += entities_of(pairs)
                pairs = []
            else:
                label = cells[tag]
                pairs.append((cells[word], label if label == "O" else as_usual(label)))
        return entities

    return read


def write_rows(corpus: list[Document]) -> str:
    """Write one word per row; sentence ids begin again in each document."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["doc_id", "sentence_id", "token", "ner_tag"])
    for i, document in enumerate(corpus):
        for j, pairs in enumerate(document):
            writer.writerows([f"d{i}", j, word, tag] for word, tag in pairs)
    return file.getvalue()


def write_interleaved(corpus: list[Document]) -> str:
    """Write one word per row, of all sentences in turn."""
    sentences = list(sentences_of(corpus))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["sentence_id", "token", "ner_tag"])
    for position in range(max(map(len, sentences))):
        for number, pairs in enumerate(sentences):
            if position < len(pairs):
                writer.writerow([f"s{number}", *pairs[position]])
    return file.getvalue()


def read_rows(content: str) -> Entities:
    """Read rows naively: one sentence for each id; a blank row ends one, unless ids are mixed."""
    delimiter = next(d for d in ",;\t" if d in content.split("\n")[0])
    header, *rows = csv.reader(io.StringIO(content), delimiter=delimiter)
    at = {name: header.index(name) for name in header}
    keys: list[tuple[str, str] | None] = []
    for row in rows:
        blank = not any(row) or (not row[at["token"]].strip() and not row[at["sentence_id"]])
        document = row[at["doc_id"]] if "doc_id" in at and not blank else ""
        sentence_id = "" if blank else row[at["sentence_id"]]
        before = next((key for key in reversed(keys) if key), ("", ""))
        keys.append(None if blank else (document, sentence_id or before[1]))
    groups: dict[Any, Sentence] = {}
    part, mixed = 0, _is_mixed([key for key in keys if key])
    for row, key in zip(rows, keys, strict=True):
        part += key is None and not mixed
        if key is not None:
            groups.setdefault((key, part), []).append((row[at["token"]], row[at["ner_tag"]]))
    return [entity for pairs in groups.values() for entity in entities_of(pairs)]


def _is_mixed(keys: list[tuple[str, str]]) -> bool:
    """Return whether the rows of a sentence are apart."""
    runs = [key for i, key in enumerate(keys) if i == 0 or keys[i - 1] != key]
    return len(runs) > len(set(runs))


def write_kaggle(corpus: list[Document]) -> str:
    """Write one word per row; only the first row of a sentence has its id."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n", delimiter=";")
    writer.writerow(["sentence_id", "token", "POS", "ner_tag"])
    for number, pairs in enumerate(sentences_of(corpus), 1):
        for position, (word, tag) in enumerate(pairs):
            writer.writerow(["" if position else f"Sentence: {number}", word, "NN", tag])
    return file.getvalue()


# --- CoNLL with more than words and tags ----------------------------------------------------------


UPOS = {"O": "VERB", "B": "PROPN", "I": "NOUN"}


def write_conllu(corpus: list[Document]) -> str:
    """Write CoNLL-U with documents, comments, multi-word tokens and empty nodes."""
    lines = []
    for i, document in enumerate(corpus):
        lines.append(f"# newdoc id = d{i}")
        for j, pairs in enumerate(document):
            lines += [f"# sent_id = d{i}-{j}", f"# text = {' '.join(w for w, _ in pairs)}"]
            for number, (word, tag) in enumerate(pairs, 1):
                if number == 1:
                    lines.append(f"1-2\t{word}{word}" + "\t_" * 8)
                fields = [word.lower(), UPOS[tag[0]], "_", "_", str(number - 1), "dep", "_", "_"]
                lines.append("\t".join([str(number), word, *fields]))
                if number == 2:
                    lines.append("2.1\tghost" + "\t_" * 8)
            lines.append("")
    return "\n".join(lines) + "\n"


def read_conllu(content: str) -> Entities:
    """Read the parts of speech of CoNLL-U."""
    rows = [line.removesuffix("\r").split("\t") for line in content.split("\n")]
    return [(row[3], squeezed(row[1])) for row in rows if row[0].isdigit()]


def write_uner(corpus: list[Document]) -> str:
    """Write the IOB2 files of Universal NER: index, word, tag, and two further columns."""
    lines = []
    for number, pairs in enumerate(sentences_of(corpus)):
        lines += [f"# sent_id = s{number}", f"# text = {' '.join(word for word, _ in pairs)}"]
        lines += [f"{i}\t{word}\t{tag}\t-\tx" for i, (word, tag) in enumerate(pairs, 1)]
        lines.append("")
    return "\n".join(lines) + "\n"


def write_conll2003(corpus: list[Document]) -> str:
    """Write CoNLL-2003: word, part of speech, chunk, entity, and document starts."""
    parts = []
    for document in corpus:
        parts.append("-DOCSTART- -X- -X- O\n\n")
        for pairs in document:
            parts += [f"{word} NN B-NP {tag}\n" for word, tag in pairs]
            parts.append("\n")
    return "".join(parts)


def last_letters(pairs: Sentence, single: str, last: str) -> Sentence:
    """Return IOB2 tags with other prefixes for single words and for the last of several."""
    after = [tag for _, tag in pairs[1:]] + ["O"]
    return [
        (word, (single if tag[0] == "B" else last) + tag[1:])
        if tag != "O" and not following.startswith("I")
        else (word, tag)
        for (word, tag), following in zip(pairs, after, strict=True)
    ]


def write_bioes(corpus: list[Document]) -> str:
    """Write columns in BIOES."""
    changed = [[last_letters(pairs, "S", "E") for pairs in document] for document in corpus]
    return columns("{word} {tag}")(changed)


def from_bioes(tag: str) -> str:
    """Return a tag of BIOES or BILUO in IOB2."""
    return {"S": "B", "U": "B", "E": "I", "L": "I"}.get(tag[0], tag[0]) + tag[1:]


# --- CoNLL-2012 and WebAnno -----------------------------------------------------------------------


def write_conll2012(corpus: list[Document]) -> str:
    """Write CoNLL-2012, with entities in brackets and columns for predicates."""
    lines = []
    for number, document in enumerate(corpus):
        lines.append(f"#begin document (d{number}); part 000")
        for predicates, pairs in enumerate(document):
            for position, (word, tag) in enumerate(pairs):
                last = position + 1 == len(pairs) or pairs[position + 1][1][0] != "I"
                cell = f"({tag[2:]}" if tag[0] == "B" else ""
                cell += ")" if tag != "O" and last else ""
                cell = cell if cell[:1] == "(" and last else cell.replace(")", "*)") or "*"
                cell = f"{cell}*" if cell[:1] == "(" and not last else cell
                row = [f"d{number}", "0", str(position), word, "NN", "*", "-", "-", "-", "A", cell]
                lines.append("   ".join([*row, *["*"] * predicates, "-"]))
            lines.append("")
        lines.append("#end document")
    return "\n".join(lines) + "\n"


def read_conll2012(content: str) -> Entities:
    """Read the brackets of CoNLL-2012."""
    entities: Entities = []
    label, words = "", ""
    for line in content.split("\n"):
        row = line.split()
        if len(row) < 12 or line.startswith("#"):
            assert not label
            continue
        if row[10].startswith("("):
            assert not label
            label, words = row[10].strip("(*)"), ""
        words += row[3]
        if row[10].endswith(")"):
            entities.append((label, words))
            label = ""
    return entities


def write_webanno(corpus: list[Document]) -> str:
    """Write WebAnno TSV 3."""
    lines = ["#FORMAT=WebAnno TSV 3.3", "#T_SP=custom.NamedEntity|value", ""]
    offset, entity = 0, 0
    for number, pairs in enumerate(sentences_of(corpus), 1):
        lines += ["", f"#Text={' '.join(word for word, _ in pairs)}"]
        for position, (word, tag) in enumerate(pairs, 1):
            entity += tag[0] == "B"
            cell = "_" if tag == "O" else f"{tag[2:]}[{entity}]"
            end = offset + utf16(word, len(word))
            lines.append(f"{number}-{position}\t{offset}-{end}\t{word}\t{cell}\t")
            offset = end + 1
    return "\n".join(lines) + "\n"


def read_webanno(content: str) -> Entities:
    """Read WebAnno TSV 3: neighbouring words with one number are an entity."""
    entities: Entities = []
    before = "_"
    for line in content.split("\n"):
        cell = line.split("\t")[3] if line[:1].isdigit() else "_"
        if cell != "_":
            word = squeezed(line.split("\t")[2])
            if cell == before:
                entities[-1] = (entities[-1][0], entities[-1][1] + word)
            else:
                entities.append((re.sub(r"\[\d+\]$", "", cell), word))
        before = cell
    return entities


FORMATS = (
    Format("a.conll", columns("{word} {tag}"), read_columns(0, 1, "[ \t]+")),
    Format("a.tsv", columns("{word}\t{tag}"), read_columns(0, 1)),
    Format("pos-last.tsv", columns("{word}\t{tag}\tNN"), read_columns(0, 1)),
    Format("confidence.conll", columns("{word} NN {tag} 0.93"), read_columns(0, 2, "[ \t]+")),
    Format("label-first.bio", columns("{tag}\t{word}"), read_columns(1, 0)),
    Format("numbered.tsv", columns("7\t{word}\t{tag}"), read_columns(1, 2)),
    Format("blank-word.tsv", columns("{word}\t{tag}", "\tO"), read_columns(0, 1)),
    Format(
        "suffix.tsv",
        spelt(lambda tag: f"{tag[2:]}-{tag[0]}"),
        read_columns(0, 1, as_usual=lambda tag: f"{tag[-1]}-{tag[:-2]}"),
    ),
    Format(
        "lower.tsv",
        spelt(lambda tag: tag[0].lower() + tag[1:]),
        read_columns(0, 1, as_usual=lambda tag: tag[0].upper() + tag[1:]),
    ),
    Format(
        "underscore.tsv",
        spelt(lambda tag: tag.replace("-", "_")),
        read_columns(0, 1, as_usual=lambda tag: tag.replace("_", "-", 1)),
    ),
    Format(
        "dash.tsv",
        spelt(lambda tag: tag.replace("-", "\u2013")),
        read_columns(0, 1, as_usual=lambda tag: tag.replace("\u2013", "-", 1)),
    ),
    Format(
        "bare.tsv",
        spelt(lambda tag: tag[0]),
        read_columns(0, 1, as_usual=lambda tag: f"{tag}-ENTITY"),
    ),
    Format("bioes.conll", write_bioes, read_columns(0, 1, "[ \t]+", from_bioes)),
    Format("conll2003.txt", write_conll2003, read_columns(0, 3, "[ \t]+")),
    Format("uner.iob2", write_uner, read_columns(1, 2)),
    Format("upos.conllu", write_conllu, read_conllu, "pos"),
    Format("rows.csv", write_rows, read_rows),
    Format("kaggle.csv", write_kaggle, read_rows),
    Format("interleaved.csv", write_interleaved, read_rows),
    Format("webanno.tsv", write_webanno, read_webanno),
    Format("ontonotes.conll", write_conll2012, read_conll2012),
)
