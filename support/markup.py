"""Pieces of HTML, and how numbers and texts are shown in them.

A page is one file: no script, no network, light and dark by the reader's own setting. Everything
that comes from a corpus or a text is data: `tag` escapes it, whatever it holds.
"""

import html
import math
import re
import zlib
from collections.abc import Iterable
from numbers import Real


class Html(str):
    """Markup, already escaped. `tag` escapes every string that is not of this class."""


def printable(value: object) -> str:
    """`value` as text that can be shown: control characters as pictures of themselves.

    Tabs and line ends stay; what UTF-8 cannot hold (half a surrogate pair) becomes U+FFFD.
    """
    return _CONTROL.sub(_control_picture, str(value))


_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def _control_picture(match: re.Match) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"


def escape(value: object) -> Html:
    """`value` as text of a page; markup stays markup, None is nothing."""
    if isinstance(value, Html):
        return value
    return Html("" if value is None else html.escape(printable(value)))


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """An element. `class_` gives `class`, `aria_label` gives `aria-label`; None leaves one out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in ("meta", "br"):
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{''.join(map(escape, children))}</{name}>")


def together(*parts: object) -> Html:
    return Html("".join(map(escape, parts)))


# A number, found by trying, that keeps apart the types of CoNLL-2003 and WNUT-17 and, but for one
# pair, the 17 universal parts of speech.
_HUE_SALT = 35624


def hue(name: str) -> int:
    """A hue in degrees, always the same for a type; the style sheet makes it readable."""
    return zlib.crc32(f"{_HUE_SALT}{name.upper()}".encode("utf-8", "replace")) % 24 * 15


def pill(label: str | None, kind: str | None = None) -> Html:
    """A label in the colour of its type (`kind`, by default the label itself)."""
    if label is None:
        return tag("span", "none", class_="pill none")
    style = f"--h:{hue(label if kind is None else kind)}"
    return tag("span", label, class_="pill t", style=style, dir="ltr")


def tag_pill(tag_name: str, entity_tags: bool) -> Html:
    """A tag in the colour of its entity's type, or in one of its own if it is a plain tag."""
    if entity_tags and tag_name == "O":
        return tag("span", "O", class_="pill none")
    return pill(tag_name, tag_name.partition("-")[2] if entity_tags else tag_name)


def table(
    head: list[object], rows: Iterable[list[object]], caption: str, class_: str = "numbers"
) -> Html:
    """A table in a box that scrolls by itself, so that the page never does."""
    columns = tag("tr", *(tag("th", cell, scope="col") for cell in head))
    body = (
        tag("tr", tag("th", name, scope="row"), *(tag("td", cell) for cell in cells))
        for name, *cells in rows
    )
    return tag(
        "div",
        tag(
            "table",
            tag("thead", columns) if head else None,
            tag("tbody", *body),
            class_=class_,
        ),
        class_="scroll",
        role="region",
        aria_label=caption,
        tabindex="0",
    )


def section(name: str, heading: str, *children: object) -> Html:
    return tag("section", tag("h2", heading), *children, id=name)


def details(summary: object, *children: object, **attributes: object) -> Html:
    return tag("details", tag("summary", summary), *children, **attributes)


def bar(share: float, text: str) -> Html:
    """A number over a bar that is `share` (0 to 1) of the cell's width."""
    width = f"{100 * min(max(share, 0.0), 1.0):.1f}%"
    return tag("span", text, class_="bar", style=f"--w:{width}")


def page_start(title: str) -> Html:
    # The policy lets nothing be fetched or run, should an escape ever be forgotten.
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(STYLE)),
    )
    return Html(f'<!DOCTYPE html>\n<html lang="en">{head}<body>')


PAGE_END = Html("</body></html>\n")

# --- Numbers ------------------------------------------------------------------------------------


def number(value: object) -> str:
    """A count with thousands apart, a loss or score with four digits, nothing as a dash."""
    if value is None:
        return "–"
    if not isinstance(value, Real) or not math.isfinite(value):
        return str(value)
    if value == int(value):
        return f"{int(value):,}".replace(",", "\u202f")
    return f"{value:.4f}" if abs(value) >= 0.001 else f"{value:.2e}"


def score(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


STYLE = """
:root{color-scheme:light dark;--bg:#f7f8fa;--panel:#fff;--ink:#1d2430;--muted:#5a6472;
--rule:#dde1e6;--accent:#1f5fb4;--bar:#cfe0f5;--hit:31 95 180;--miss:190 60 30;--wrong:#b3261e;
--notice:#fff4d6;--shade:#1d243038;--series-1:#1f5fb4;--series-2:#b8480e;--series-3:#177245;
--ts:90%;--tl:20%;--bs:75%;--bl:90%}
@media(prefers-color-scheme:dark){:root{--bg:#12151a;--panel:#1a1e25;--ink:#e7eaf0;--muted:#a0aab8;
--rule:#303742;--accent:#8ab8f5;--bar:#26446b;--hit:90 150 235;--miss:230 105 70;--wrong:#ff9d94;
--notice:#3a3014;--shade:#000c;--series-1:#7fb2f5;--series-2:#f29a62;--series-3:#6cc795;
--ts:85%;--tl:88%;--bs:45%;--bl:24%}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0;background:var(--bg);color:var(--ink);overflow-wrap:anywhere;
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
header,main{max-width:66rem;margin:0 auto;padding:0 1rem}
header{padding-top:1.75rem}
h1{font-size:1.65rem;line-height:1.2;margin:0 0 .75rem}
h2{font-size:1.2rem;margin:0 0 .5rem}
h3{font-size:1rem;margin:1.5rem 0 .25rem}
p{margin:.25rem 0 .75rem}
a{color:var(--accent)}
nav{display:flex;flex-wrap:wrap;gap:.25rem 1rem;margin:1rem 0}
section{background:var(--panel);border:1px solid var(--rule);border-radius:.75rem;
padding:1.1rem 1.25rem;margin:0 0 1rem;scroll-margin-top:.5rem}
.quiet,.count,dt{color:var(--muted)}
.count{font-weight:400}
.notice{background:var(--notice);border-radius:.5rem;padding:.5rem .75rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.6rem;margin:0}
.tile{background:var(--panel);border:1px solid var(--rule);border-radius:.75rem;
padding:.55rem .9rem}
dt{font-size:.85rem}
dd{margin:0;font-size:1.6rem;line-height:1.25;font-weight:650;font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto;max-width:100%;margin:.25rem 0 .5rem;
background:linear-gradient(to right,var(--panel) 30%,transparent) 0 0/2.5rem 100% no-repeat local,
linear-gradient(to left,var(--panel) 30%,transparent) 100% 0/2.5rem 100% no-repeat local,
linear-gradient(to right,var(--shade),transparent) 0 0/.8rem 100% no-repeat scroll,
linear-gradient(to left,var(--shade),transparent) 100% 0/.8rem 100% no-repeat scroll}
.scroll:focus-visible,summary:focus-visible,a:focus-visible{outline:2px solid var(--accent);
outline-offset:2px}
.command{background:var(--bg);border-radius:.5rem;padding:.6rem .75rem;font-size:.85rem;
white-space:pre-wrap;margin:.5rem 0}
table{border-collapse:collapse;font-size:.93rem}
th,td{padding:.35rem .7rem;text-align:left;vertical-align:top;border-bottom:1px solid var(--rule);
overflow-wrap:normal}
tbody tr:last-child>*{border-bottom:0}
thead th{font-weight:600;color:var(--muted);white-space:nowrap}
th[scope=row]{font-weight:500}
.numbers{font-variant-numeric:tabular-nums;width:100%}
.numbers td,.numbers thead th+th{text-align:right;white-space:nowrap}
.facts th{color:var(--muted);padding-left:0;white-space:nowrap}
.facts td{overflow-wrap:anywhere;min-width:11rem}
.bar{display:block;min-width:6.5rem;padding-bottom:.3rem;
background:linear-gradient(var(--bar),var(--bar)) left bottom/var(--w) .25rem no-repeat}
.matrix{width:auto}
.matrix th[scope=row]{position:sticky;left:0;background:var(--panel)}
.matrix td{padding:1px}
.cell{display:block;min-width:3.2rem;padding:.3rem .45rem;border-radius:.25rem;
background:rgb(var(--miss)/calc(var(--s)*.55))}
.hit{background:rgb(var(--hit)/calc(var(--s)*.45))}
.zero{background:none;color:var(--muted)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1rem}
figure{margin:0}
svg{display:block;width:100%;height:auto;max-width:40rem}
svg text{font-family:inherit!important}
details{margin:.5rem 0}
summary{cursor:pointer;padding:.3rem 0}
.pill{display:inline-block;border-radius:.3rem;padding:0 .38em;font-size:.82em;line-height:1.5;
font-weight:600}
.numbers .pill{white-space:nowrap}
.t{color:hsl(var(--h) var(--ts) var(--tl));background:hsl(var(--h) var(--bs) var(--bl))}
.none{color:var(--muted);border:1px dashed var(--rule);font-weight:400}
.mistake{border-top:1px solid var(--rule);padding:.6rem 0 .35rem}
.mistake p{display:flex;flex-wrap:wrap;gap:.1rem .9rem;margin:0 0 .35rem;color:var(--muted);
font-size:.9rem;align-items:baseline}
.mention{color:var(--ink);font-weight:650;font-size:1rem}
.sentence{line-height:2}
.stack{display:inline-flex;flex-direction:column;align-items:center;vertical-align:middle;
line-height:1.35;margin:.15rem .05rem}
.stack .pill{font-size:.7rem}
.wrong,.wrong-key{font-weight:650;text-decoration:underline wavy var(--wrong);
text-underline-offset:.2em;text-decoration-thickness:1px}
.texts{display:flex;flex-direction:column;padding-bottom:2rem}
.summary{order:-1;color:var(--muted)}
.texts article{display:flex;gap:.9rem;background:var(--panel);border:1px solid var(--rule);
border-bottom-width:0;padding:.6rem .9rem;content-visibility:auto;contain-intrinsic-size:auto 3rem}
.texts article:last-of-type{border-bottom-width:1px}
.line{color:var(--muted);font-size:.8rem;line-height:1.9rem;min-width:1.6rem;text-align:right;
font-variant-numeric:tabular-nums;user-select:none}
.text{flex:1;min-width:0;white-space:pre-wrap;unicode-bidi:plaintext;line-height:1.9}
mark{border-radius:.35rem;padding:.12em .3em;box-decoration-break:clone;
-webkit-box-decoration-break:clone}
.label{margin-inline-start:.3em;user-select:none}
mark b{font-size:.7em}
mark i{font-style:normal;font-weight:400}
@media(max-width:40rem){section{padding:.9rem .85rem;border-radius:.6rem}h1{font-size:1.35rem}
dd{font-size:1.35rem}table{font-size:.88rem}th,td{padding:.3rem .4rem}.bar{min-width:4rem}
.tiles{grid-template-columns:1fr 1fr}}
"""
