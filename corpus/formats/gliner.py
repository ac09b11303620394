"""Words, and spans that count words: of GLiNER, and of DyGIE++, whose records are documents."""

from collections.abc import Iterator

from corpus.formats.records import Fault, Fields, Record
from corpus.problems import ProblemKind
from support.text import counted, quote


def is_gliner_record(fields: Fields) -> bool:
    """Return whether a record is one of GLiNER."""
    return isinstance(fields.get("tokenized_text"), list) and isinstance(fields.get("ner"), list)


def record_of_gliner(record: Record) -> Record:
    """Return a record with the fields `tokens` and `tags`, in IOB2.

    A span is the number of its first word, that of its last word, and its label.
    """
    fields: Fields = record.fields or {}
    words = fields["tokenized_text"]
    tags, faults = ["O"] * len(words), []
    known: set[tuple[int, int, str]] = set()
    for span in fields["ner"]:
        if not _is_span(span):
            faults.append(Fault(ProblemKind.SPAN_FORM, quote(span)))
            continue
        first, last, label = span
        if not 0 <= first <= last < len(words):
            detail = f"{quote(span)}; the text has {counted(len(words), 'word')}"
            faults.append(Fault(ProblemKind.SPAN_OUTSIDE_TEXT, detail))
        elif (first, last, label) in known:
            detail = f"{quote(span)} in {quote(words)}"
            faults.append(Fault(ProblemKind.SPAN_REPEATED, detail))
        elif tags[first : last + 1] != ["O"] * (last + 1 - first):
            detail = f"{quote(span)} in {quote(words)}"
            faults.append(Fault(ProblemKind.SPANS_OVERLAP, detail))
        else:
            tags[first : last + 1] = [f"I-{label.strip()}"] * (last + 1 - first)
            tags[first] = f"B-{label.strip()}"
            known.add((first, last, label))
    others = {key: value for key, value in fields.items() if key not in ("tokenized_text", "ner")}
    new_fields: Fields = {**others, "tokens": words, "tags": tags}
    return record._replace(fields=new_fields, faults=tuple(faults))


def is_dygie_record(fields: Fields) -> bool:
    """Return whether a record is a document of DyGIE++ or SciERC: sentences, and spans of each."""
    sentences, spans = fields.get("sentences"), fields.get("ner")
    return (
        isinstance(sentences, list)
        and isinstance(spans, list)
        and len(sentences) == len(spans)
        and all(isinstance(value, list) for value in (*sentences, *spans))
    )


def records_of_dygie(record: Record) -> Iterator[Record]:
    """Yield a record with `tokens` and `tags` for each sentence of a document.

    Spans count the words of the document. Further columns of a span, such as scores, are left out.
    """
    fields: Fields = record.fields or {}
    first = 0
    document = fields.get("doc_key")
    for words, spans in zip(fields["sentences"], fields["ner"], strict=True):
        moved = [
            [span[0] - first, span[1] - first, span[2]] if _is_span(span) else span
            for span in (span[:3] if isinstance(span, list) else span for span in spans)
        ]
        sentence: Fields = {"tokenized_text": words, "ner": moved, "doc_id": document}
        yield record_of_gliner(record._replace(fields=sentence))
        first += len(words)


def _is_span(span: object) -> bool:
    return (
        isinstance(span, list | tuple)
        and len(span) == 3
        and type(span[0]) is int
        and type(span[1]) is int
        and isinstance(span[2], str)
        and bool(span[2].strip())
    )
