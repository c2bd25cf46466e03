"""A parser of the report's HTML, its numbers, pictures and paths."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
from PIL import Image


class Page(HTMLParser):
    """Tables by id (rows of cell texts), attributes of every element by tag, texts by element id, all text."""

    def __init__(self, html):
        super().__init__()
        self.html, self.tables, self.elements, self.texts, self.all = html, {}, {}, {}, ""
        self._table, self.open_tags = None, []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.elements.setdefault(tag, []).append(attributes)
        if tag == "table":
            self._table = self.tables.setdefault(attributes.get("id"), [])
        elif tag == "tr":
            self._table.append([])
        elif tag in ("td", "th"):
            self._table[-1].append("")
        if tag not in ("meta", "br", "img"):
            self.open_tags.append((tag, attributes.get("id")))

    def handle_endtag(self, tag):
        if tag not in ("meta", "br", "img"):
            assert self.open_tags.pop()[0] == tag

    def handle_data(self, data):
        self.all += data
        tags = [tag for tag, _ in self.open_tags]
        if ("td" in tags or "th" in tags) and "title" not in tags:
            self._table[-1][-1] += data
        for _, key in self.open_tags:
            self.texts[key] = self.texts.get(key, "") + data

    def figure(self, key):
        return self.html[self.html.index(f'<figure class="whole" id="{key}"') :].partition("</figure>")[0]

    def titles(self):
        return re.findall(r"<title>(.*?)</title>", self.html)


def parse_number(text):
    return float(text.replace(",", "").removesuffix("%"))


def decode_png(uri):
    return np.array(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,")))))


def corners(path):
    """The points of each line of an SVG path."""
    lines = [line.removesuffix("Z").split("L") for line in path.split("M")[1:]]
    return [np.array([tuple(map(float, corner.split())) for corner in line]) for line in lines]
