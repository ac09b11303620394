"""Writers and naive readers of whole documents with offsets, for `fuzz.py`."""

from random_corpora import Document, Entities, Format, sentences_of, squeezed, text_and_spans

# --- PubTator -------------------------------------------------------------------------------------


def write_pubtator(corpus: list[Document]) -> str:
    """Write a document of two sentences for each two: a title and an abstract."""
    sentences = list(sentences_of(corpus))
    parts = []
    for number, (title, abstract) in enumerate(zip(sentences[::2], sentences[1::2], strict=False)):
        first, spans = text_and_spans(title)
        second, more = text_and_spans(abstract)
        after = len(first) + 1
        spans += [(start + after, end + after, label) for start, end, label in more]
        whole = f"{first} {second}"
        parts += [f"{number}|t|{first}", f"{number}|a|{second}"]
        parts += [f"{number}\t{a}\t{b}\t{whole[a:b]}\t{label}\tD1" for a, b, label in spans]
        parts += [f"{number}\tCID\tD1\tD2", ""]
    return "\n".join(parts) + "\n"


def read_pubtator(content: str) -> Entities:
    """Read the mentions of PubTator, by the text that they carry."""
    rows = [line.removesuffix("\r").split("\t") for line in content.split("\n")]
    return [(row[4], squeezed(row[3])) for row in rows if len(row) > 4]


# --- brat -----------------------------------------------------------------------------------------


def write_brat_text(corpus: list[Document]) -> str:
    """Write the text of brat, one sentence on each line."""
    return "".join(text_and_spans(pairs)[0] + "\n" for pairs in sentences_of(corpus))


def write_brat_annotations(corpus: list[Document]) -> str:
    """Write the annotations of brat, with a note and a relation."""
    lines = ["#1\tAnnotatorNotes T1\tsure"]
    offset = number = 0
    for pairs in sentences_of(corpus):
        text, spans = text_and_spans(pairs)
        for start, end, label in spans:
            number += 1
            placed = f"{offset + start} {offset + end}"
            lines.append(f"T{number}\t{label} {placed}\t{text[start:end]}")
        offset += len(text) + 1
    return "\n".join([*lines, "R1\tKnows Arg1:T1 Arg2:T2"]) + "\n"


def read_brat(text: str, annotations: str) -> Entities:
    """Read the annotations of brat, by the text that they carry."""
    rows = [line.removesuffix("\r").split("\t") for line in annotations.split("\n")]
    spans = [(*row[1].split(" "), row[2]) for row in rows if row[0][:1] == "T"]
    ordered = sorted(spans, key=lambda span: int(span[1]))
    assert all(squeezed(own) in squeezed(text) for *_, own in ordered)
    return [(label, squeezed(own)) for label, _, _, own in ordered]


FORMATS = (
    Format("pubtator.txt", write_pubtator, read_pubtator),
    Format("brat.txt", write_brat_text, read_brat, beside=("brat.ann", write_brat_annotations)),
)
