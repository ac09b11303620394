"""GLiNER's training data: words, and spans that count words."""

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
    for span in fields["ner"]:
        if not _is_span(span):
            faults.append(Fault(ProblemKind.SPAN_FORM, quote(span)))
            continue
        first, last, label = span
        if not 0 <= first <= last < len(words):
            detail = f"{quote(span)}; the text has {counted(len(words), 'word')}"
            faults.append(Fault(ProblemKind.SPAN_OUTSIDE_TEXT, detail))
        elif tags[first : last + 1] != ["O"] * (last + 1 - first):
            detail = f"{quote(span)} in {quote(words)}"
            faults.append(Fault(ProblemKind.SPANS_OVERLAP, detail))
        else:
            tags[first : last + 1] = [f"I-{label.strip()}"] * (last + 1 - first)
            tags[first] = f"B-{label.strip()}"
    others = {key: value for key, value in fields.items() if key not in ("tokenized_text", "ner")}
    new_fields: Fields = {**others, "tokens": words, "tags": tags}
    return record._replace(fields=new_fields, faults=tuple(faults))


def _is_span(span: object) -> bool:
    return (
        isinstance(span, list | tuple)
        and len(span) == 3
        and type(span[0]) is int
        and type(span[1]) is int
        and isinstance(span[2], str)
        and bool(span[2].strip())
    )
