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
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

Row = tuple[str, str, str]  # word, part of speech, entity tag
TaggedRow = tuple[str, str, str, str]  # word, part of speech, chunk, entity tag
Name = dict[str, tuple[str, str]]  # form of a name ("" for the full one): text, entity type
Document = list[list[TaggedRow]]  # sentences
Item = TypeVar("Item")

SOURCE = Path(__file__).parent / "source"
SAMPLE = Path(__file__).parent / "sample"
SENTENCES = {"train": 3700, "validation": 400, "test": 400}
SPLITS = tuple(SENTENCES)

PUNCTUATION_TAGS = {'"', "''", "#", "$", "(", ")", ",", ".", ":", "``"}
WORD_TAGS = """
    CC CD DT EX FW IN JJ JJR JJS LS MD NN NNP NNPS NNS NN|SYM PDT POS PRP PRP$ RB RBR RBS RP SYM TO
    UH VB VBD VBG VBN VBP VBZ WDT WP WP$ WRB
"""
POS_TAGS = PUNCTUATION_TAGS | set(WORD_TAGS.split())
SLOT = re.compile(r"\{([a-z]+)(\d*)(?:\.([a-z]+))?\}")
NAME_WORDS = {"of": "IN", "and": "CC", "&": "CC", "the": "DT", "for": "IN", "on": "IN", "'s": "POS"}
NAME_WORDS |= {"'": "POS", ",": ",", "in": "IN", "at": "IN", "to": "TO", "with": "IN", "from": "IN"}
CASUAL = {"forum", "tweet", "mail", "review", "chat"}


# --- names -------------------------------------------------------------------------------------


def read_sections(path: Path) -> dict[str, list[str]]:
    """Return the items of each [section] of a name file.

    Patterns are separated by ";", all other items by ",".
    """
    sections: dict[str, list[str]] = {}
    section = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            separator = ";" if "patterns" in section else ", "
            items = [item.strip().rstrip(",") for item in line.split(separator)]
            sections.setdefault(section, []).extend(item for item in items if item)
    return sections


def read_countries(path: Path) -> list[dict[str, Any]]:
    """Return a dict for each name of each country: split, name, adj, people, cities, regions."""
    countries: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        split, _, rest = line.rpartition(": ")
        names, adj, people, cities, regions = (field.strip() for field in rest.split(";"))
        countries += [
            {
                "split": split or "train",
                "name": name,
                "adj": adj,
                "people": people,
                "cities": cities.split(", "),
                "regions": regions.split(", "),
            }
            for name in names.split(" / ")
        ]
    return countries


def split_of(name: str, place_split: dict[str, str]) -> str:
    """Return the split that a name belongs to.

    A name that contains a place belongs to the split of that place. For all other names, a
    checksum of the name decides.
    """
    words = name.lower().split()
    for length in range(len(words), 0, -1):
        for start in range(len(words) - length + 1):
            part = " ".join(words[start : start + length])
            if part in place_split:
                return place_split[part]
    return {0: "test", 1: "validation"}.get(zlib.crc32(name.lower().encode()) % 8, "train")


class Deck(Generic[Item]):
    """Items in an endless shuffled order: every item is drawn once before any is drawn again."""

    def __init__(self, items: Iterable[Item], rng: random.Random):
        self.items, self.rng = list(items), rng
        self.remaining: list[Item] = []

    def draw(self) -> Item:
        """Return the next item."""
        if not self.remaining:
            self.remaining = self.items[:]
            self.rng.shuffle(self.remaining)
        return self.remaining.pop()


EMPLOYERS = {  # relative frequency of each kind in a slot that takes any employer
    "company": 9,
    "bank": 2,
    "government": 5,
    "university": 4,
    "media": 3,
    "ngo": 3,
    "place of business": 2,
}
ORGANISATIONS = {*EMPLOYERS, "party", "band", "team", "club", "nickname", "shop", "airline"}
ORGANISATIONS |= {"platform", "newsagency", "hospital", "school", "museum", "union", "police"}
ORGANISATIONS |= {"court"}
COMMON_WORDS = {"place prefix", "place suffix"}  # parts of place names, shared by all splits
MISCELLANEOUS = {"event", "war", "holiday", "work", "law", "product", "award", "language"}
MISCELLANEOUS |= {"belief", "believer", "believers", "software", "gadget", "car"}
SHORT_KINDS = {"gov": "government", "univ": "university", "biz": "place of business"}


class Names:
    """The names of one split. `make` returns a new one."""

    def __init__(self, split: str, rng: random.Random, claimed: set[str]):
        """Read the names of `split`.

        `claimed`: lower-cased names that are written out in frames of other splits; they are
        excluded.
        """
        self.rng = rng
        countries = read_countries(SOURCE / "places.txt")
        place_split: dict[str, str] = {}
        for country in countries:
            for name in [country["name"], country["adj"], *country["cities"], *country["regions"]]:
                place_split.setdefault(name.lower(), country["split"])
        self.countries = Deck([c for c in countries if c["split"] == split], rng)
        by_adjective = {c["adj"]: c for c in self.countries.items}.values()  # each country once
        self.cities = Deck([(city, c) for c in by_adjective for city in c["cities"]], rng)
        self.regions = Deck([(region, c) for c in by_adjective for region in c["regions"]], rng)
        self.lists: dict[str, Deck[str]] = {}
        self.patterns: dict[str, Deck[str]] = {}
        for path in (SOURCE / "people.txt", SOURCE / "organisations.txt", SOURCE / "misc.txt"):
            for section, items in read_sections(path).items():
                kind = section.removesuffix(" patterns")
                if "patterns" in section:
                    self.patterns[kind] = Deck(items, rng)
                    continue
                short = {item.split(" = ")[1] for item in items if " = " in item}
                own_items = [
                    item
                    for item in dict.fromkeys(items)
                    if split_of(item.split(" = ")[0], place_split) == split
                    and item not in short
                    and not claimed & {part.lower() for part in item.split(" = ")}
                ]
                if section in COMMON_WORDS:
                    own_items = items
                self.lists[section] = Deck(own_items, rng)
        self.languages = sorted(
            {s.split()[0] for s in self.lists if s.endswith(" given")} - {"english"}
        )

    def pick(self, items: Sequence[str]) -> str:
        """Return one of the items at random."""
        return items[int(self.rng.random() * len(items))]

    def weighted(self, weights: Mapping[str, float]) -> str:
        """Return one of the keys at random, with the given relative frequencies."""
        remaining = self.rng.random() * sum(weights.values())
        for item, weight in weights.items():
            remaining -= weight
            if remaining < 0:
                return item
        return item

    def person_names(self) -> tuple[str, str]:
        """Return a given name and a surname, usually of the same language."""
        language = "english" if self.rng.random() < 0.42 else self.pick(self.languages)
        of_surname = self.pick(self.languages) if self.rng.random() < 0.08 else language
        given, surname = self.lists[f"{language} given"], self.lists[f"{of_surname} surname"]
        if not given.items or not surname.items:
            return self.person_names()
        return given.draw(), surname.draw()

    def person(self) -> Name:
        """Return a person: full name, first name, last name, with an initial, short."""
        given, surname = self.person_names()
        initial = self.pick("ABCDEFGHJKLMNPRSTW")
        chance = self.rng.random()
        full = f"{given} {surname}"
        if chance < 0.06:
            full = f"{given} {initial}. {surname}"
        elif chance < 0.08:
            full = f"{given[0]}.{initial}. {surname}"
        elif chance < 0.10:
            full = f"{full} Jr."
        elif chance < 0.13 and "-" not in surname:
            full = f"{given} {surname}-{self.person_names()[1].split()[-1]}"
        forms = {"": full, "first": given, "last": surname, "init": f"{given[0]}. {surname}"}
        forms["short"] = given if self.rng.random() < 0.5 else surname
        return {form: (text, "PER") for form, text in forms.items()}

    def of_country(self, country: dict[str, Any], text: str) -> Name:
        """Return a place named `text` with the names that belong to its country."""
        return {
            "": (text, "LOC"),
            "country": (country["name"], "LOC"),
            "adj": (country["adj"], "MISC"),
            "people": (country["people"], "MISC"),
            "city": (self.pick(country["cities"]), "LOC"),
            "capital": (country["cities"][0], "LOC"),
            "region": (self.pick(country["regions"]), "LOC"),
        }

    def country(self) -> Name:
        """Return a country."""
        country = self.countries.draw()
        return self.of_country(country, country["name"])

    def city(self) -> Name:
        """Return a city."""
        city, country = self.cities.draw()
        return self.of_country(country, city)

    def region(self) -> Name:
        """Return a region."""
        region, country = self.regions.draw()
        return self.of_country(country, region)

    def place(self) -> Name:
        """Return a place made of a person's name or a root."""
        core = self.person_names()[1] if self.rng.random() < 0.6 else self.lists["root"].draw()
        core = core.split()[-1].capitalize()
        if self.rng.random() < 0.3:
            text = f"{self.lists['place prefix'].draw()} {core}"
        else:
            text = f"{core} {self.lists['place suffix'].draw()}"
        return {"": (text, "LOC"), "short": (core, "LOC")}

    def loc(self) -> Name:
        """Return a location of any kind."""
        kind = self.weighted({"city": 4, "country": 3, "region": 2, "place": 1.5})
        return getattr(self, kind)()

    def listed(self, kind: str, entity_type: str) -> Name:
        """Return a name from a list, or one made with a pattern, with its short form."""
        patterns, plain = self.patterns.get(kind), self.lists.get(kind)
        share = 0.0 if patterns is None else 0.45
        if plain is None or not plain.items or self.rng.random() < share:
            assert patterns is not None, f"{kind}: neither names nor patterns"
            item = self.fill(patterns.draw())
        else:
            item = plain.draw()
        text, _, short = item.partition(" = ")
        return {"": (text, entity_type), "short": (short or text, entity_type)}

    def fill(self, pattern: str) -> str:
        """Return a pattern with its slots filled, with equal values in its full and short form."""
        full, _, short = pattern.partition(" = ")

        def value_of(match: re.Match[str]) -> str:
            kind = match.group(1)
            if kind == "city":
                return self.cities.draw()[0]
            if kind == "country":
                return self.countries.draw()["name"]
            if kind == "region":
                return self.regions.draw()[0].removeprefix("the ")
            if kind in ("surname", "given"):
                return self.person_names()[kind == "surname"]
            return self.lists[kind].draw()

        shared: dict[str, str] = {}

        def shared_value_of(match: re.Match[str]) -> str:
            if match.group(0) in short:
                shared.setdefault(match.group(0), value_of(match))
                return shared[match.group(0)]
            return value_of(match)

        full = SLOT.sub(shared_value_of, full)
        return f"{full} = {SLOT.sub(shared_value_of, short)}" if short else full

    def make(self, kind: str) -> Name:
        """Return a new name for a slot. Raises ValueError for an unknown kind of slot."""
        if kind == "per":
            return self.person()
        if kind in ("first", "last"):
            return {"": self.person()[kind]}
        if kind in ("man", "woman"):
            return {"": (self.lists[kind].draw(), "PER")}
        if kind in ("city", "country", "region", "place", "loc"):
            return getattr(self, kind)()
        if kind == "org":
            return self.listed(self.weighted(EMPLOYERS), "ORG")
        kind = SHORT_KINDS.get(kind, kind)
        if kind in ORGANISATIONS:
            return self.listed(kind, "ORG")
        if kind in MISCELLANEOUS:
            return self.listed(kind, "MISC")
        raise ValueError(f"{{{kind}}}: unknown slot in a frame")


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


# --- chunks ------------------------------------------------------------------------------------

NOUN = {"NN", "NNS", "NNP", "NNPS", "CD", "NN|SYM", "FW"}
BEFORE_NOUN = {"DT", "PDT", "PRP$", "WP$", "JJ", "JJR", "JJS", "$", "#", "POS"}
SUBORDINATORS = {"that", "if", "because", "while", "although", "whether", "unless", "though"}
SUBORDINATORS |= {"so", "whereas"}


def noun_phrase_end(tags: list[str], start: int) -> int:
    """Return the end of the noun phrase that begins at `start`; `start` if none begins there."""
    end, last_noun = start, start
    while end < len(tags):
        tag = tags[end]
        if tag in ("POS", "DT", "PRP$", "WP$", "PDT") and end > start and tags[end - 1] != "PDT":
            break
        if tag in NOUN:
            last_noun = end + 1
        elif tags[max(end - 2, 0) : end + 2] == ["NNP", "CD", ",", "CD"]:
            pass  # "May 3 , 1999"
        elif tag in ("VBG", "VBN", "RB", "RBR", "RBS"):
            ahead = tags[end + 1] if end + 1 < len(tags) else ""
            inside = end > start and (ahead in NOUN or ahead[:2] in ("JJ", "VB"))
            if not inside or (tag[0] == "R" and ahead[:2] not in ("JJ", "VB")):
                break
        elif tag not in BEFORE_NOUN and not (tag == "CC" and joins_adjectives(tags, end, start)):
            break
        end += 1
    if last_noun == start and tags[start] in ("DT", "PDT"):
        return start + 1
    return last_noun


def joins_adjectives(tags: list[str], position: int, start: int) -> bool:
    """Return whether a conjunction at `position` joins two adjectives before a noun."""
    if position == start or position + 2 >= len(tags):
        return False
    return tags[position - 1] == "JJ" and tags[position + 1] == "JJ" and tags[position + 2] in NOUN


def chunk_tags(words: list[str], tags: list[str]) -> list[str]:
    """Return chunk tags (B-NP, I-NP, B-VP, ...) derived by rule from the parts of speech.

    The chunks follow CoNLL-2000.
    """
    chunks: list[str] = []
    position = 0
    while position < len(tags):
        tag, word = tags[position], words[position].lower()
        end = position + 1
        kind: str | None = None
        if tag in ("PRP", "WP", "EX", "WDT"):
            kind = "NP"
        elif tag in NOUN or tag in BEFORE_NOUN:
            end, kind = noun_phrase_end(tags, position), "NP"
            if end == position:
                end, kind = position + 1, "ADJP" if tag.startswith("JJ") else None
        elif tag == "TO" or tag == "MD" or tag.startswith("VB"):
            end, kind = verb_phrase_end(tags, position), "VP"
            if tag == "TO" and end == position + 1:
                kind = "PP"
        elif tag in ("RB", "RBR", "RBS", "WRB"):
            while end < len(tags) and tags[end] in ("RB", "RBR"):
                end += 1
            ahead = tags[end] if end < len(tags) else ""
            if ahead in ("JJ", "JJR") and noun_phrase_end(tags, end) == end:
                end, kind = end + 1, "ADJP"
            elif ahead in ("CD", "JJ", "JJR", "JJS") and tag != "WRB":
                end, kind = noun_phrase_end(tags, end), "NP"
            else:
                kind = "ADVP"
        elif tag == "IN":
            kind = "SBAR" if word in SUBORDINATORS else "PP"
        elif tag == "RP":
            kind = "PRT"
        elif tag == "UH":
            kind = "INTJ"
        elif tag == "LS":
            kind = "LST"
        chunks += (
            ["O"] * (end - position)
            if kind is None
            else [f"B-{kind}"] + [f"I-{kind}"] * (end - position - 1)
        )
        position = end
    return chunks


def verb_phrase_end(tags: list[str], start: int) -> int:
    """Return the end of the verb group that begins at `start`.

    It includes auxiliaries, adverbs between verbs, and "to" with an infinitive.
    """
    end = start + 1
    while end < len(tags):
        if tags[end] in ("VB", "VBN", "VBG", "VBD", "VBP", "VBZ", "MD"):
            end += 1
        elif tags[end] == "RB" and end + 1 < len(tags) and tags[end + 1] in ("VB", "VBN", "VBG"):
            end += 2
        elif tags[end] == "RB" and tags[end - 1] in ("MD", "VBD", "VBZ", "VBP"):
            follows = tags[end + 1 : end + 3]
            if not any(tag in ("VB", "VBN", "VBG") for tag in follows):
                break
            end += 1
        elif tags[end] == "TO" and tags[end + 1 : end + 2] == ["VB"]:
            end += 2
        else:
            break
    return end


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
