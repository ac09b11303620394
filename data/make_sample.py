"""Write the embedded corpus, data/sample/{train,validation,test}.conll.

    python data/make_sample.py

The corpus consists of hand-written sentence frames (data/source/frames/*.txt). The script fills
their slots with names (data/source/*.txt). The same sources always give the same bytes. Each frame
and each name belongs to one split, so that validation and test show how a model handles sentences
and names it has not seen.

A frame file holds documents, with one sentence per line, after a header `== genre`. After a header
`== genre lines`, each line is a document of its own. In a line:

    {city}  {per1} {per1.last}     a name, a number or a date; with a digit, its value is kept
                                   for the document and can recur, also in another form
    [LOC Lake Geneva]              a fixed name
    <said|told reporters>          one of several wordings
    plans/VBZ                      a word whose part of speech differs from the lexicon's

Parts of speech come from data/source/lexicon.txt. Chunks are derived from them by rule.
"""

import random
import re
import sys
from pathlib import Path
from typing import Any

from sample_chunks import chunk_tags
from sample_names import SLOT, SOURCE, Names

Row = tuple[str, str, str]  # word, part of speech, entity tag
TaggedRow = tuple[str, str, str, str]  # word, part of speech, chunk, entity tag
Document = list[list[TaggedRow]]  # sentences

SAMPLE = Path(__file__).parent / "sample"
SENTENCES = {"train": 3700, "validation": 400, "test": 400}
SPLITS = tuple(SENTENCES)

PUNCTUATION_TAGS = {'"', "''", "#", "$", "(", ")", ",", ".", ":", "``"}
WORD_TAGS = """
    CC CD DT EX FW IN JJ JJR JJS LS MD NN NNP NNPS NNS NN|SYM PDT POS PRP PRP$ RB RBR RBS RP SYM TO
    UH VB VBD VBG VBN VBP VBZ WDT WP WP$ WRB
"""
POS_TAGS = PUNCTUATION_TAGS | set(WORD_TAGS.split())
NAME_WORDS = {"of": "IN", "and": "CC", "&": "CC", "the": "DT", "for": "IN", "on": "IN", "'s": "POS"}
NAME_WORDS |= {"'": "POS", ",": ",", "in": "IN", "at": "IN", "to": "TO", "with": "IN", "from": "IN"}
CASUAL = {"forum", "tweet", "mail", "review", "chat"}


# --- numbers and dates -------------------------------------------------------------------------

MONTHS = "January February March April May June July August September October November December"
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"
NUMBER_WORDS = "two three four five six seven eight nine ten eleven twelve fifteen twenty forty"
ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth"
HANDLES = (
    "sunny_day88 jk_writes the_real_tom mrs_bee nightowl runner42 cookiemonster_x dj_flip lena4ever"
)
TAGS = "fail win monday blessed nowplaying tbt coffee football news love random ff winning travel"


def quantity(kind: str, rng: random.Random) -> list[tuple[str, str]] | None:
    """Return the words of a number, amount, date or address, each with its part of speech.

    Return None for any other kind of slot.
    """

    def between(low: int, high: int) -> int:
        return low + int(rng.random() * (high - low + 1))

    def choice(words: str) -> str:
        options = words.split()
        return options[between(0, len(options) - 1)]

    def tagged(text: str) -> list[tuple[str, str]]:
        pairs = (word.rsplit("/", 1) for word in text.split())
        return [(word, tag) for word, tag in pairs]

    if kind == "num":
        return tagged(f"{between(2, 900) * (1 if rng.random() < 0.6 else 25):,}/CD")
    if kind == "n":
        return tagged(f"{between(2, 30)}/CD")
    if kind == "ws":
        return tagged(f"{choice(NUMBER_WORDS)}/CD")
    if kind == "dec":
        return tagged(f"{between(0, 90)}.{between(1, 9)}/CD")
    if kind == "year":
        return tagged(f"{between(1880, 2022)}/CD")
    if kind == "month":
        return tagged(f"{choice(MONTHS)}/NNP")
    if kind == "weekday":
        return tagged(f"{choice(WEEKDAYS)}/NNP")
    if kind == "day":
        return tagged(f"{between(1, 28)}/CD")
    if kind == "date":
        month, day, year = choice(MONTHS), between(1, 28), between(1990, 2022)
        forms = [
            f"{month}/NNP {day}/CD ,/, {year}/CD",
            f"{day}/CD {month}/NNP {year}/CD",
            f"{month}/NNP {day}/CD",
            f"{year}-{between(1, 12):02d}-{day:02d}/CD",
            f"{between(1, 12)}/{day}/{year % 100:02d}/CD",
        ]
        return tagged(forms[between(0, 4)])
    if kind == "time":
        forms = [
            f"{between(1, 12)}:{between(0, 5)}0/CD",
            f"{between(1, 12)}/CD {choice('a.m. p.m.')}/NN",
        ]
        return tagged(forms[between(0, 1)])
    if kind == "money":
        sign, amount = choice("$ $ $ £ €"), f"{between(1, 95)}.{between(1, 9)}"
        tag = "$" if sign == "$" else "#"
        forms = [f"{sign}/{tag} {amount}/CD {choice('million billion')}/CD"]
        forms += [f"{sign}/{tag} {between(2, 999) * 5:,}/CD", f"{sign}/{tag} {amount}9/CD"]
        return tagged(forms[between(0, 2)])
    if kind == "pct":
        form = between(0, 1)
        return tagged(f"{between(1, 60)}.{between(0, 9)}/CD " + ("%/NN", "percent/NN")[form])
    if kind == "score":
        return tagged(f"{between(0, 6)}-{between(0, 4)}/CD")
    if kind == "big":
        return tagged(f"{between(60, 130)}-{between(60, 130)}/CD")
    if kind == "ord":
        return tagged(f"{choice(ORDINALS)}/JJ")
    if kind == "phone":
        return tagged(f"{between(201, 989)}-{between(200, 999)}-{between(1000, 9999)}/CD")
    if kind == "url":
        return tagged(f"http://t.co/{between(10**6, 10**8):x}/NN")
    if kind == "email":
        return tagged(f"{choice(HANDLES)}@{choice('mail web post net')}.example/NN")
    if kind == "at":
        return tagged(f"@{choice(HANDLES)}/NN")
    if kind == "tag":
        return tagged(f"#{choice(TAGS)}/NN")
    return None


# --- frames ------------------------------------------------------------------------------------


def read_frames(split: str) -> list[tuple[str, list[str]]]:
    """Return the genre and the lines of each document of a split.

    A standalone line is a document of one line.
    """
    documents: list[tuple[str, list[str]]] = []
    for path in sorted((SOURCE / "frames").glob(f"{split}*.txt")):
        genre, standalone = "", False
        lines: list[str] = []
        for line in [*path.read_text(encoding="utf-8").splitlines(), ""]:
            if line.startswith("== "):
                genre, standalone = line.split()[1], line.endswith(" lines")
            elif line and not line.startswith("#"):
                lines.append(line)
                if standalone:
                    documents.append((genre, lines))
                    lines = []
            elif lines:
                documents.append((genre, lines))
                lines = []
    return documents


def literal_names(split: str) -> set[str]:
    """Return the names written out in a split's frames, and each word of the person names.

    All are in lower case.
    """
    names: set[str] = set()
    for _, lines in read_frames(split):
        for kind, text in re.findall(r"\[(PER|ORG|LOC|MISC) ([^\]]+)\]", "\n".join(lines)):
            words = [word.rsplit("/", 1)[0] for word in text.lower().split()]
            names.add(" ".join(words))
            if kind == "PER":
                names.update(words)
    return names


def read_lexicon() -> dict[str, str]:
    """Return the part of speech of each word of the lexicon."""
    lexicon: dict[str, str] = {}
    for line in (SOURCE / "lexicon.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            tag, words = line.split(maxsplit=1)
            lexicon.update(dict.fromkeys(words.split(), tag))
    return lexicon


PUNCTUATION = {mark: mark for mark in ('"', ",", ".", "(", ")", ":", "$", "#", "''", "``")}
PUNCTUATION |= dict.fromkeys((";", "-", "--", "—", "...", "..", "…", "/", "|", "•"), ":")
PUNCTUATION |= dict.fromkeys(("=", "+", ">", "<", "*", "&lt;"), "SYM")
PUNCTUATION |= {"!": ".", "?": ".", "[": "(", "]": ")", "%": "NN", "£": "#", "€": "#", "&": "CC"}


def pos_of(word: str, lexicon: dict[str, str]) -> str:
    """Return the part of speech of a word in a frame.

    Raises KeyError for a word that the lexicon does not contain.
    """
    if word in PUNCTUATION:
        return PUNCTUATION[word]
    if word in lexicon:
        return lexicon[word]
    if word.lower() in lexicon:
        return lexicon[word.lower()]
    if re.fullmatch(r"[\d.,:/'-]*\d[\d.,:/'-]*", word):
        return "CD"
    if word[0] in "@#" or "://" in word or "www." in word:
        return "NN"
    raise KeyError(word)


def name_rows(text: str, entity_type: str, form: str = "") -> list[Row]:
    """Return the rows of a name, one per word."""
    rows: list[Row] = []
    for word in re.sub(r"(?<=\w)('s)(?= |$)", r" \1", text.replace(",", " ,")).split():
        word, _, tag = (
            word.partition("/") if word.rpartition("/")[2] in POS_TAGS else (word, "", "")
        )
        if not tag:
            tag = NAME_WORDS.get(word, "CD" if word.isdigit() else "NNP")
            if entity_type == "MISC" and form == "adj":
                tag = "JJ"
            elif entity_type == "MISC" and form == "people":
                tag = "NNPS"
        rows.append((word, tag, ("I-" if rows else "B-") + entity_type))
    # "the Rhine": the article is not part of the name
    if rows[0][0] == "the" and len(rows) > 1:
        (article, article_tag, _), (word, tag, _), *rest = rows
        rows = [(article, article_tag, "O"), (word, tag, "B-" + entity_type), *rest]
    return rows


ARTICLE_WORDS = """
    Agency Department Commission Ministry Bureau Council Party Foundation Association Front Union$
    Institute Institution Administration Court Senate Army Navy Organization Fund Society Alliance
    Board$ Museum Embassy Authority Center Centre Legislature Kremlin Pentagon Knesset Taliban
    Vatican Bundestag Treasury Guard Brotherhood Times Post Herald Tribune Guardian Journal
    Federation Exchange Reserve League Nations Orchestra CIA FBI EU U.N. IMF WTO WHO IRS EPA FDA SEC
    IAEA FAA FCC CDC NRA ACLU BBC NBA NFL GOP (?:Office|House|University|Board)\\sof
    (?:White\\sHouse) (?:Air\\sForce) (?:Red\\sCross)
"""
ARTICLE = re.compile(rf"\b({'|'.join(ARTICLE_WORDS.split())})\b")


def takes_article(text: str, entity_type: str) -> bool:
    """Return whether running English puts "the" before this name; only organisations do."""
    return entity_type == "ORG" and text[:4] != "The " and bool(ARTICLE.search(text))


def allows_article(rows: list[Row]) -> bool:
    """Return whether an article can follow `rows`.

    It can follow the start of a sentence, a preposition, a verb or a conjunction.
    """
    if not rows:
        return True
    _, tag, entity = rows[-1]
    return tag in ("IN", "TO", "VBD", "VBZ", "VBP", "VB", "VBG", "CC") and entity == "O"


PIECE = re.compile(r"\[(PER|ORG|LOC|MISC) ([^\]]+)\]|(\{[^}]+\})|(\S+)")


def fill_line(
    line: str, names: Names, known: dict[str, Any], lexicon: dict[str, str], rng: random.Random
) -> list[Row]:
    """Return the rows of one line of a frame.

    `known`: the names and quantities of this document so far; new ones are added.
    """
    line = re.sub(r"<([^<>]*\|[^<>]*)>", lambda m: names.pick(m.group(1).split("|")), line)
    rows: list[Row] = []
    for entity_type, text, slot, word in PIECE.findall(line):
        if entity_type:
            rows += name_rows(text, entity_type)
        elif slot:
            parsed = SLOT.fullmatch(slot)
            assert parsed is not None, f"{slot}: not a slot"
            kind, number, form = parsed.groups()
            words = quantity(kind, rng)
            if words and number:
                words = known.setdefault(slot, words)
            if words:
                rows += [(word, tag, "O") for word, tag in words]
                continue
            name = known.get(kind + number) or names.make(kind)
            if number:
                known[kind + number] = name
            text, entity_type = name.get(form or "") or name[""]
            if rows and rows[-1][0] == "a" and re.match(r"[AEIO](?!u)", text):
                rows[-1] = ("an", rows[-1][1], rows[-1][2])
            if takes_article(text, entity_type) and allows_article(rows):
                rows.append(("the" if rows else "The", "DT", "O"))
            if kind == "believer":
                form = "adj"
            elif kind == "believers":
                form = "people"
            rows += name_rows(text, entity_type, form)
        else:
            stem, _, tag = word.rpartition("/")
            if not stem or tag not in POS_TAGS:
                stem, tag = word, pos_of(word, lexicon)
            if re.match(r"-[a-z]", stem):  # "{n} -year-old"
                stem = rows.pop()[0] + stem
            rows.append((stem, tag, "O"))
    return rows


# --- writing -----------------------------------------------------------------------------------


def casing(rows: list[Row], genre: str, rng: random.Random) -> list[Row]:
    """Return the rows with the casing and the typos of their genre.

    Headlines are sometimes in capitals. Casual writing is sometimes in lower case or in capitals,
    and sometimes has two letters swapped.
    """
    chance = rng.random()
    if genre == "headline":
        return [(word.upper(), tag, entity) for word, tag, entity in rows] if chance < 0.5 else rows
    if genre not in CASUAL:
        return rows
    if chance < 0.3:
        rows = [(word.lower(), tag, entity) for word, tag, entity in rows]
    elif chance < 0.34:
        rows = [(word.upper(), tag, entity) for word, tag, entity in rows]
    typed = []
    for word, tag, entity in rows:
        if entity == "O" and len(word) > 4 and word.isalpha() and rng.random() < 0.015:
            i = 1 + int(rng.random() * (len(word) - 3))
            word = word[:i] + word[i + 1] + word[i] + word[i + 2 :]
        typed.append((word, tag, entity))
    return typed


def make_split(split: str, lexicon: dict[str, str]) -> list[Document]:
    """Return the documents of a split.

    Every frame is used once. Frames with slots are used again, in rounds, until the split is full.
    """
    rng = random.Random(f"data/sample/{split}")
    claimed = set().union(*(literal_names(name) for name in SPLITS if name != split))
    names = Names(split, rng, claimed)
    frames = read_frames(split)
    documents: list[Document] = []
    collections: dict[str, Document] = {}  # documents of standalone lines, by genre
    seen: set[str] = set()
    count = 0
    round_frames = frames
    while count < SENTENCES[split]:
        order = round_frames[:]
        rng.shuffle(order)
        for genre, lines in order:
            document = collections.get(genre, []) if len(lines) == 1 else []
            if not document or len(document) == 10:
                document = []
                documents.append(document)
            if len(lines) == 1:
                collections[genre] = document
            known: dict[str, Any] = {}
            count -= len(document)
            for line in lines:
                rows = casing(fill_line(line, names, known, lexicon, rng), genre, rng)
                words = " ".join(row[0] for row in rows).lower()
                if words not in seen:
                    seen.add(words)
                    add_sentence(document, with_chunks(rows), genre, rng)
            count += len(document)
            if count >= SENTENCES[split]:
                break
        round_frames = [document for document in frames if "{" in "".join(document[1])]
    return [document for document in documents if document]


def with_chunks(rows: list[Row]) -> list[TaggedRow]:
    """Return the rows with their chunk tags."""
    chunks = chunk_tags([row[0] for row in rows], [row[1] for row in rows])
    return [
        (word, tag, chunk, entity) for (word, tag, entity), chunk in zip(rows, chunks, strict=True)
    ]


def add_sentence(document: Document, rows: list[TaggedRow], genre: str, rng: random.Random) -> None:
    """Append a sentence to a document.

    In casual writing, half of the sentences continue the line of the previous one.
    """
    continues = genre in CASUAL and document and document[-1][-1][1] == "." and rng.random() < 0.5
    if continues and len(document[-1]) < 30:
        document[-1].extend(rows)
    else:
        document.append(rows)


def write_split(path: Path, documents: list[Document]) -> None:
    """Write a split as CoNLL columns."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for sentences in documents:
            file.write("-DOCSTART- -X- -X- O\n\n")
            for sentence in sentences:
                file.writelines(" ".join(row) + "\n" for row in sentence)
                file.write("\n")


def main(folder: str | Path = SAMPLE) -> None:
    """Write the three files of the corpus into `folder`."""
    lexicon = read_lexicon()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        write_split(folder / f"{split}.conll", make_split(split, lexicon))


if __name__ == "__main__":
    main(*sys.argv[1:])
