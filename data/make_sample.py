"""Write the embedded corpus, data/sample/{train,validation,test}.conll.

    python data/make_sample.py

The corpus is made of hand-written sentence frames (data/source/frames/*.txt) whose slots are
filled with names (data/source/*.txt). The same sources always give the same bytes. Frames and names
belong to one split each, so that validation and test show what a model does with sentences and
names it has not seen.

A frame file holds documents, one sentence a line, after a header `== genre`; `== genre lines` says
that its lines are sentences on their own. In a line:

    {city}  {per1} {per1.last}     a name, a number or a date; a digit makes it the document's own,
                                   so that it can come back, also in another form
    [LOC Lake Geneva]              a name that is always this one
    <said|told reporters>          one of several wordings
    plans/VBZ                      a word whose part of speech is not the lexicon's first

Parts of speech come from data/source/lexicon.txt, chunks from the parts of speech by rule.
"""

import random
import re
import sys
import zlib
from pathlib import Path

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


def read_sections(path):
    """Map each [section] of a name file to its items: separated by ";" in patterns, else by ","."""
    sections, section = {}, None
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            separator = ";" if "patterns" in section else ", "
            items = [item.strip().rstrip(",") for item in line.split(separator)]
            sections.setdefault(section, []).extend(item for item in items if item)
    return sections


def read_countries(path):
    """One dict for each name of a country: split, name, adj, people, cities, regions."""
    countries = []
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


def split_of(name, place_split):
    """The one split a name may occur in: that of a place it holds, else the checksum's."""
    words = name.lower().split()
    for length in range(len(words), 0, -1):
        for start in range(len(words) - length + 1):
            part = " ".join(words[start : start + length])
            if part in place_split:
                return place_split[part]
    return {0: "test", 1: "validation"}.get(zlib.crc32(name.lower().encode()) % 8, "train")


class Deck:
    """Items in an endless shuffled order: all come once before one comes again."""

    def __init__(self, items, rng):
        self.items, self.rng, self.left = list(items), rng, []

    def draw(self):
        if not self.left:
            self.left = self.items[:]
            self.rng.shuffle(self.left)
        return self.left.pop()


EMPLOYERS = {  # how often each kind comes where any employer may stand
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
COMMON_WORDS = {"place prefix", "place suffix"}  # of places' names, in every split
MISCELLANEOUS = {"event", "war", "holiday", "work", "law", "product", "award", "language"}
MISCELLANEOUS |= {"belief", "believer", "believers", "software", "gadget", "car"}
SHORT_KINDS = {"gov": "government", "univ": "university", "biz": "place of business"}


class Names:
    """The names of one split; `make(kind)` gives a new one as a dict from form to (text, type)."""

    def __init__(self, split, rng, claimed):
        """`claimed`: lower-cased names that frames of other splits hold literally."""
        self.rng = rng
        countries = read_countries(SOURCE / "places.txt")
        place_split = {}
        for country in countries:
            for name in [country["name"], country["adj"], *country["cities"], *country["regions"]]:
                place_split.setdefault(name.lower(), country["split"])
        self.countries = Deck([c for c in countries if c["split"] == split], rng)
        once = {c["adj"]: c for c in self.countries.items}.values()
        self.cities = Deck([(city, c) for c in once for city in c["cities"]], rng)
        self.regions = Deck([(region, c) for c in once for region in c["regions"]], rng)
        self.lists, self.patterns = {}, {}
        for path in (SOURCE / "people.txt", SOURCE / "organisations.txt", SOURCE / "misc.txt"):
            for section, items in read_sections(path).items():
                kind = section.removesuffix(" patterns")
                if "patterns" in section:
                    self.patterns[kind] = Deck(items, rng)
                    continue
                short = {item.split(" = ")[1] for item in items if " = " in item}
                mine = [
                    item
                    for item in dict.fromkeys(items)
                    if split_of(item.split(" = ")[0], place_split) == split
                    and item not in short
                    and not claimed & {part.lower() for part in item.split(" = ")}
                ]
                if section in COMMON_WORDS:
                    mine = items
                self.lists[section] = Deck(mine, rng)
        self.languages = sorted(
            {s.split()[0] for s in self.lists if s.endswith(" given")} - {"english"}
        )

    def pick(self, items):
        return items[int(self.rng.random() * len(items))]

    def weighted(self, weights):
        at = self.rng.random() * sum(weights.values())
        for item, weight in weights.items():
            at -= weight
            if at < 0:
                return item
        return item

    def person_names(self):
        language = "english" if self.rng.random() < 0.42 else self.pick(self.languages)
        other = self.pick(self.languages) if self.rng.random() < 0.08 else language
        given, surname = self.lists[f"{language} given"], self.lists[f"{other} surname"]
        if not given.items or not surname.items:
            return self.person_names()
        return given.draw(), surname.draw()

    def person(self):
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

    def of_country(self, country, text):
        return {
            "": (text, "LOC"),
            "country": (country["name"], "LOC"),
            "adj": (country["adj"], "MISC"),
            "people": (country["people"], "MISC"),
            "city": (self.pick(country["cities"]), "LOC"),
            "capital": (country["cities"][0], "LOC"),
            "region": (self.pick(country["regions"]), "LOC"),
        }

    def country(self):
        country = self.countries.draw()
        return self.of_country(country, country["name"])

    def city(self):
        city, country = self.cities.draw()
        return self.of_country(country, city)

    def region(self):
        region, country = self.regions.draw()
        return self.of_country(country, region)

    def place(self):
        core = self.person_names()[1] if self.rng.random() < 0.6 else self.lists["root"].draw()
        core = core.split()[-1].capitalize()
        if self.rng.random() < 0.3:
            text = f"{self.lists['place prefix'].draw()} {core}"
        else:
            text = f"{core} {self.lists['place suffix'].draw()}"
        return {"": (text, "LOC"), "short": (core, "LOC")}

    def loc(self):
        kind = self.weighted({"city": 4, "country": 3, "region": 2, "place": 1.5})
        return getattr(self, kind)()

    def listed(self, kind, entity_type):
        """A name of a list, or one made by a pattern, with its short form."""
        patterns, plain = self.patterns.get(kind), self.lists.get(kind)
        share = 0.0 if patterns is None else 0.45
        if plain is None or not plain.items or self.rng.random() < share:
            item = self.fill(patterns.draw())
        else:
            item = plain.draw()
        text, _, short = item.partition(" = ")
        return {"": (text, entity_type), "short": (short or text, entity_type)}

    def fill(self, pattern):
        """A pattern with its slots filled, the short form as the full one."""
        full, _, short = pattern.partition(" = ")

        def part(match):
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

        filled = {}

        def once(match):
            if match.group(0) in short:
                filled.setdefault(match.group(0), part(match))
                return filled[match.group(0)]
            return part(match)

        full = SLOT.sub(once, full)
        return f"{full} = {SLOT.sub(once, short)}" if short else full

    def make(self, kind):
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
        raise ValueError(f"no such slot: {kind}")


# --- numbers and dates -------------------------------------------------------------------------

MONTHS = "January February March April May June July August September October November December"
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"
NUMBER_WORDS = "two three four five six seven eight nine ten eleven twelve fifteen twenty forty"
ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth"
HANDLES = (
    "sunny_day88 jk_writes the_real_tom mrs_bee nightowl runner42 cookiemonster_x dj_flip lena4ever"
)
TAGS = "fail win monday blessed nowplaying tbt coffee football news love random ff winning travel"


def quantity(kind, rng):
    """Words of a number, an amount, a date or an address, each with its part of speech."""

    def between(low, high):
        return low + int(rng.random() * (high - low + 1))

    def one(words):
        words = words.split()
        return words[between(0, len(words) - 1)]

    def tagged(text):
        return [tuple(word.rsplit("/", 1)) for word in text.split()]

    if kind == "num":
        return tagged(f"{between(2, 900) * (1 if rng.random() < 0.6 else 25):,}/CD")
    if kind == "n":
        return tagged(f"{between(2, 30)}/CD")
    if kind == "ws":
        return tagged(f"{one(NUMBER_WORDS)}/CD")
    if kind == "dec":
        return tagged(f"{between(0, 90)}.{between(1, 9)}/CD")
    if kind == "year":
        return tagged(f"{between(1880, 2022)}/CD")
    if kind == "month":
        return tagged(f"{one(MONTHS)}/NNP")
    if kind == "weekday":
        return tagged(f"{one(WEEKDAYS)}/NNP")
    if kind == "day":
        return tagged(f"{between(1, 28)}/CD")
    if kind == "date":
        month, day, year = one(MONTHS), between(1, 28), between(1990, 2022)
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
            f"{between(1, 12)}/CD {one('a.m. p.m.')}/NN",
        ]
        return tagged(forms[between(0, 1)])
    if kind == "money":
        sign, amount = one("$ $ $ £ €"), f"{between(1, 95)}.{between(1, 9)}"
        tag = "$" if sign == "$" else "#"
        forms = [f"{sign}/{tag} {amount}/CD {one('million billion')}/CD"]
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
        return tagged(f"{one(ORDINALS)}/JJ")
    if kind == "phone":
        return tagged(f"{between(201, 989)}-{between(200, 999)}-{between(1000, 9999)}/CD")
    if kind == "url":
        return tagged(f"http://t.co/{between(10**6, 10**8):x}/NN")
    if kind == "email":
        return tagged(f"{one(HANDLES)}@{one('mail web post net')}.example/NN")
    if kind == "at":
        return tagged(f"@{one(HANDLES)}/NN")
    if kind == "tag":
        return tagged(f"#{one(TAGS)}/NN")
    return None


# --- frames ------------------------------------------------------------------------------------


def read_frames(split):
    """(genre, lines) of each document of a split; a line on its own is a document of one."""
    documents = []
    for path in sorted((SOURCE / "frames").glob(f"{split}*.txt")):
        genre, apart, lines = "", False, []
        for line in [*path.read_text(encoding="utf-8").splitlines(), ""]:
            if line.startswith("== "):
                genre, apart = line.split()[1], line.endswith(" lines")
            elif line and not line.startswith("#"):
                lines.append(line)
                if apart:
                    documents.append((genre, lines))
                    lines = []
            elif lines:
                documents.append((genre, lines))
                lines = []
    return documents


def literal_names(split):
    """Lower-cased names written out in a split's frames, and the words of people's names."""
    names = set()
    for _, lines in read_frames(split):
        for kind, text in re.findall(r"\[(PER|ORG|LOC|MISC) ([^\]]+)\]", "\n".join(lines)):
            words = [word.rsplit("/", 1)[0] for word in text.lower().split()]
            names.add(" ".join(words))
            if kind == "PER":
                names.update(words)
    return names


def read_lexicon():
    lexicon = {}
    for line in (SOURCE / "lexicon.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            tag, words = line.split(maxsplit=1)
            lexicon.update(dict.fromkeys(words.split(), tag))
    return lexicon


PUNCTUATION = {mark: mark for mark in ('"', ",", ".", "(", ")", ":", "$", "#", "''", "``")}
PUNCTUATION |= dict.fromkeys((";", "-", "--", "—", "...", "..", "…", "/", "|", "•"), ":")
PUNCTUATION |= dict.fromkeys(("=", "+", ">", "<", "*", "&lt;"), "SYM")
PUNCTUATION |= {"!": ".", "?": ".", "[": "(", "]": ")", "%": "NN", "£": "#", "€": "#", "&": "CC"}


def pos_of(word, lexicon):
    """The part of speech of a word of a frame. Raises KeyError for a word the lexicon lacks."""
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


def name_rows(text, entity_type, form=""):
    """(word, part of speech, entity tag) of each word of a name."""
    rows = []
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
        first, second, *rest = rows
        rows = [(*first[:2], "O"), (*second[:2], "B-" + entity_type), *rest]
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


def takes_article(text, entity_type):
    """Whether running English says "the" before this organisation."""
    return entity_type == "ORG" and text[:4] != "The " and ARTICLE.search(text)


def wants_article(rows):
    """Whether an article may follow `rows`: at the start, after a preposition, a verb, an "and"."""
    if not rows:
        return True
    _, tag, entity = rows[-1]
    return tag in ("IN", "TO", "VBD", "VBZ", "VBP", "VB", "VBG", "CC") and entity == "O"


PIECE = re.compile(r"\[(PER|ORG|LOC|MISC) ([^\]]+)\]|(\{[^}]+\})|(\S+)")


def fill_line(line, names, known, lexicon, rng):
    """Rows (word, part of speech, entity tag) of one frame; `known`: the document's names."""
    line = re.sub(r"<([^<>]*\|[^<>]*)>", lambda m: names.pick(m.group(1).split("|")), line)
    rows = []
    for entity_type, text, slot, word in PIECE.findall(line):
        if entity_type:
            rows += name_rows(text, entity_type)
        elif slot:
            kind, number, form = SLOT.fullmatch(slot).groups()
            words = quantity(kind, rng)
            if words and number:
                words = known.setdefault(slot, words)
            if words:
                rows += [(*word, "O") for word in words]
                continue
            name = known.get(kind + number) or names.make(kind)
            if number:
                known[kind + number] = name
            text, entity_type = name.get(form or "") or name[""]
            if rows and rows[-1][0] == "a" and re.match(r"[AEIO](?!u)", text):
                rows[-1] = ("an", *rows[-1][1:])
            if takes_article(text, entity_type) and wants_article(rows):
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


def noun_phrase_end(tags, start):
    """End of the noun phrase that begins at `start`, or `start` where none does."""
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
        elif tag not in BEFORE_NOUN and not (tag == "CC" and joins(tags, end, start)):
            break
        end += 1
    if last_noun == start and tags[start] in ("DT", "PDT"):
        return start + 1
    return last_noun


def joins(tags, at, start):
    """Whether an "and" at `at` joins two adjectives before a noun."""
    if at == start or at + 2 >= len(tags):
        return False
    return tags[at - 1] == "JJ" and tags[at + 1] == "JJ" and tags[at + 2] in NOUN


def chunk_tags(words, tags):
    """Chunks as CoNLL-2000's, by rule from the parts of speech: B-NP, I-NP, B-VP, ..."""
    chunks, at = [], 0
    while at < len(tags):
        tag, word = tags[at], words[at].lower()
        end, kind = at + 1, None
        if tag in ("PRP", "WP", "EX", "WDT"):
            kind = "NP"
        elif tag in NOUN or tag in BEFORE_NOUN:
            end, kind = noun_phrase_end(tags, at), "NP"
            if end == at:
                end, kind = at + 1, "ADJP" if tag.startswith("JJ") else None
        elif tag == "TO" or tag == "MD" or tag.startswith("VB"):
            end, kind = verb_phrase_end(tags, at), "VP"
            if tag == "TO" and end == at + 1:
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
            ["O"] * (end - at) if kind is None else [f"B-{kind}"] + [f"I-{kind}"] * (end - at - 1)
        )
        at = end
    return chunks


def verb_phrase_end(tags, start):
    """End of the verb group at `start`: auxiliaries, adverbs in between, "to" and infinitive."""
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


def casing(rows, genre, rng):
    """Capitals for headlines; in casual writing sometimes lower case or two letters swapped."""
    chance = rng.random()
    if genre == "headline":
        return [(word.upper(), *rest) for word, *rest in rows] if chance < 0.5 else rows
    if genre not in CASUAL:
        return rows
    if chance < 0.3:
        rows = [(word.lower(), *rest) for word, *rest in rows]
    elif chance < 0.34:
        rows = [(word.upper(), *rest) for word, *rest in rows]
    typed = []
    for word, tag, entity in rows:
        if entity == "O" and len(word) > 4 and word.isalpha() and rng.random() < 0.015:
            at = 1 + int(rng.random() * (len(word) - 3))
            word = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        typed.append((word, tag, entity))
    return typed


def make_split(split, lexicon):
    """Documents of a split: lists of sentences of rows (word, part of speech, chunk, entity).

    Every frame is used once; those with slots again, in rounds, until the split is full.
    """
    rng = random.Random(f"data/sample/{split}")
    claimed = set().union(*(literal_names(other) for other in SPLITS if other != split))
    names = Names(split, rng, claimed)
    frames = read_frames(split)
    documents, collections, seen, count = [], {}, set(), 0
    again = frames
    while count < SENTENCES[split]:
        order = again[:]
        rng.shuffle(order)
        for genre, lines in order:
            document = collections.get(genre, []) if len(lines) == 1 else []
            if not document or len(document) == 10:
                document = []
                documents.append(document)
            if len(lines) == 1:
                collections[genre] = document
            known, count = {}, count - len(document)
            for line in lines:
                rows = casing(fill_line(line, names, known, lexicon, rng), genre, rng)
                words = " ".join(row[0] for row in rows).lower()
                if words not in seen:
                    seen.add(words)
                    add_sentence(document, with_chunks(rows), genre, rng)
            count += len(document)
            if count >= SENTENCES[split]:
                break
        again = [document for document in frames if "{" in "".join(document[1])]
    return [document for document in documents if document]


def with_chunks(rows):
    chunks = chunk_tags([row[0] for row in rows], [row[1] for row in rows])
    return [(*row[:2], chunk, row[2]) for row, chunk in zip(rows, chunks, strict=True)]


def add_sentence(document, rows, genre, rng):
    """Append a sentence; people who write casually often go on in the same line."""
    goes_on = genre in CASUAL and document and document[-1][-1][1] == "." and rng.random() < 0.5
    if goes_on and len(document[-1]) < 30:
        document[-1].extend(rows)
    else:
        document.append(rows)


def write_split(path, documents):
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for sentences in documents:
            file.write("-DOCSTART- -X- -X- O\n\n")
            for sentence in sentences:
                file.writelines(" ".join(row) + "\n" for row in sentence)
                file.write("\n")


def main(folder=SAMPLE):
    lexicon = read_lexicon()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        write_split(folder / f"{split}.conll", make_split(split, lexicon))


if __name__ == "__main__":
    main(*sys.argv[1:])
