"""Parsed HTML pages, and the facts of runs for a report."""

from collections.abc import Collection
from html.parser import HTMLParser

from tests.helpers.scored_sentences import ENTITY_EXAMPLES, PLAIN_EXAMPLES, PLAIN_TAGS, example

PAYLOAD = "</td></style><script>alert('x')</script><img src=x onerror=alert(1)>\"'&amp;"
SPLIT_IN_TWO = example(
    "O B-ORG I-ORG I-ORG O", "O B-ORG B-ORG I-ORG O", [1.0] * 5, "said Szeged Electric Co. today"
)


class Element:
    """An element of a page: its name, its attributes, and its texts and elements in order."""

    def __init__(self, name: str, attributes: dict[str, str | None]):
        self.name, self.attributes = name, attributes
        self.children: list[str | Element] = []

    @property
    def css(self) -> str:
        return self.attributes.get("class") or ""

    def all(self, name: str | None = None, css: str | None = None) -> "list[Element]":
        """Return the elements inside this one, in order, filtered by name and whole `class`."""
        below = [child for child in self.children if isinstance(child, Element)]
        return [
            element
            for child in below
            for element in (child, *child.all())
            if name in (None, element.name) and css in (None, element.css)
        ]

    def content(self, without: Collection[str] = ()) -> str:
        """Return the text with its white space, without elements of the given names or classes."""
        return "".join(
            child
            if isinstance(child, str)
            else ""
            if {child.name, child.css} & set(without)
            else child.content(without)
            for child in self.children
        )

    @property
    def text(self) -> str:
        """The text with each run of white space collapsed to one space."""
        return " ".join(self.content().split())


class Page(HTMLParser):
    """A page as a tree; elements that are not properly nested are an error."""

    def __init__(self, source: str):
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self.open = [self.root]
        self.feed(source)
        self.close()
        assert self.open == [self.root]

    def handle_starttag(self, name, attributes):
        self.handle_startendtag(name, attributes)
        if name not in ("meta", "br", "input"):
            self.open.append(self.open[-1].children[-1])

    def handle_startendtag(self, name, attributes):
        self.open[-1].children.append(Element(name, dict(attributes)))

    def handle_endtag(self, name):
        assert self.open.pop().name == name

    def handle_data(self, data):
        self.open[-1].children.append(data)

    @property
    def elements(self) -> list[tuple[str, dict]]:
        return [(element.name, element.attributes) for element in self.root.all()]

    @property
    def all_text(self) -> str:
        return " ".join(self.root.content(without=["style"]).split())

    @property
    def rows(self) -> list[list[str]]:
        """The cells of every row of every table."""
        return [
            [cell.text for cell in row.all("th") + row.all("td")] for row in self.root.all("tr")
        ]

    @property
    def headings(self) -> list[str]:
        return [element.text for level in ("h1", "h2", "h3") for element in self.root.all(level)]

    @property
    def mistakes(self) -> list[list[str]]:
        """The parts of the line above the sentence of each mistake."""
        return [
            [part.text for part in article.all("p")[0].children if isinstance(part, Element)]
            for article in self.root.all("article")
            if "mistake" in article.css.split()
        ]

    @property
    def texts(self) -> list[str]:
        """The tagged texts, without labels and scores."""
        return [
            text.content(without=["label", "pill t", "quiet"])
            for text in self.root.all("div", "text")
        ]

    @property
    def wording(self) -> str:
        """The visible text, one line per block and row, without the pictures."""
        lines = [""]

        def read(element: Element) -> None:
            if element.name in BLOCKS:
                lines.append("")
            for child in element.children:
                if isinstance(child, str):
                    lines[-1] += child
                elif child.name not in ("style", "svg"):
                    lines[-1] += " | " * (child.name in ("td", "th"))
                    read(child)
            if element.name in BLOCKS:
                lines.append("")

        read(self.root)
        return "\n".join(filter(None, (" ".join(line.split()) for line in lines)))


BLOCKS = {"h1", "h2", "h3", "p", "tr", "summary", "a", "div", "article", "pre", "title"}


def assert_inert(page: Page) -> None:
    """Assert that the page neither runs nor fetches anything."""
    names = {name for name, _ in page.elements}
    assert not names & {"script", "img", "iframe", "link", "object", "embed", "base", "form", "a:x"}
    for name, attributes in page.elements:
        for key, value in attributes.items():
            assert not key.startswith("on"), (name, key)
            if key in ("href", "src", "xlink:href"):
                assert value.startswith("#"), (name, key, value)
            if key == "style":
                assert "url(" not in value.replace("url(#", ""), value


def entity_run(**more) -> dict:
    """Return the facts of a run as a training script passes them, with made-up numbers."""
    scores = {
        "overall": {"precision": 0.3333, "recall": 0.2525, "f1": 0.2857, "accuracy": 0.6},
        "per_type": {
            "PER": {"precision": 0.5, "recall": 1.0, "f1": 0.6667, "number": 1},
            "LOC": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "number": 2},
        },
        "words": 10,
        "loss": 0.4242,
    }
    run = {
        "title": "tiny-bert fine-tuned on tiny-corpus",
        "base_model": "tiny-bert",
        "corpus_name": "tiny-corpus",
        "corpus_fingerprint": "f00dcafe",
        "task": "ner",
        "entity_tags": True,
        "label_names": ["O", "B-LOC", "I-LOC", "B-ORG", "B-PER", "I-PER"],
        "replaced": ["The base model was replaced."],
        "script": "train_trainer.py",
        "command": "python train_trainer.py --seed 7",
        "arguments": {"seed": 7, "learning_rate": 2e-5},
        "versions": {"torch": "2.13.0"},
        "duration_s": 372.4,
        "device": "cpu",
        "precision": "fp32",
        "processes": 2,
        "step_losses": [
            {"step": n, "loss": 2 / n, "learning_rate": 1e-4 / n} for n in range(1, 900)
        ],
        "epoch_steps": 450,
        "history": [
            {"epoch": 0, "step": 450, "train_loss": 1.0}
            | {"eval_loss": 0.8, "eval_f1": 0.3, "eval_accuracy": 0.5},
            {"epoch": 1, "step": 900, "train_loss": 0.6}
            | {"eval_loss": 0.7, "eval_f1": 0.4, "eval_accuracy": 0.6},
        ],
        "scores": {"validation": scores, "test": scores},
        "label_counts": {"train": {"O": 800, "B-PER": 100, "I-PER": 100}, "test": {"O": 7}},
        "lengths": {"train": {5: 3, 9: 1}, "test": {"7": 2, "600": 2}},
        "max_seq_length": 128,
        "windowed": {"train": 0, "test": 2},
        "examples": iter(ENTITY_EXAMPLES),
    }
    return run | more


def plain_run(**more) -> dict:
    """Return the facts of a run with plain tags."""
    scores = {
        "overall": {"accuracy": 0.5, "macro_f1": 0.4321},
        "per_type": {
            "NN": {"precision": 0.5, "recall": 0.5, "f1": 0.5, "number": 3},
            "PRP$": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "number": 1},
        },
        "words": 6,
        "loss": 1.5,
    }
    run = {
        "base_model": "tiny-bert",
        "task": "pos",
        "entity_tags": False,
        "label_names": PLAIN_TAGS,
        "history": [{"step": 9, "train_loss": 1.0, "eval_accuracy": 0.5, "eval_macro_f1": 0.4}],
        "scores": {"test": scores},
        "label_counts": {"train": {"NN": 3, "PRP$": 1}},
        "examples": PLAIN_EXAMPLES,
    }
    return run | more


def entity_in(text: str, word: str, kind: str, score: float = 0.5) -> dict:
    """Return the entity that marks the first `word` of a text."""
    start = text.index(word)
    end = start + len(word)
    return {"entity_group": kind, "score": score, "start": start, "end": end, "word": word}
