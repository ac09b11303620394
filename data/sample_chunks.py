"""Chunks by rule from parts of speech, for `make_sample.py`."""

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
