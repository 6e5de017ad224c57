"""A comparison that nothing was trained for, with hostile names, and a reader of its page."""

import dataclasses
import html
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from comparison_inputs import make_dataset, make_outcome

from mllosses_jax.compare import judgment
from mllosses_jax.compare.checks.finding import Finding
from mllosses_jax.compare.choosing import parse
from mllosses_jax.compare.comparison import Comparison
from mllosses_jax.compare.settings import Settings

BASELINE = "sigmoid_binary_cross_entropy"
OTHER, ORDERING = "zlpr_loss", "lsep_loss"
HOSTILE = ("<script>alert(1)</script>", "\"' onload=x", "a|b*c_", "$x$ & \x1b[31m")
FINDINGS = (
    Finding("MLC004", "tip", "The value is at <i>an edge</i>", "Why.", "Widen it.", ("a < b",)),
    Finding("MLC001", "issue", "No positive", "It is left out.", "Add rows.", ("label 1",) * 15),
)


def make_comparison(*, labels=4, masked=False, names=HOSTILE, skill=1.6, **changed):
    """Returns a comparison of three losses, of which the last only orders the labels."""
    dataset = make_dataset(masked=masked, labels=labels)
    names = (*names, *dataset.label_names[len(names) :])[:labels]
    dataset = dataclasses.replace(dataset, name="<b>toy</b>", label_names=names)
    tried = {
        "strength": np.array([1e-4, 1e-3, 1e-2]),
        "score": np.array([0.4, changed.pop("validation", 0.6), 0.3]),
    }
    outcomes = {
        BASELINE: make_outcome(dataset, models=1),
        OTHER: make_outcome(dataset, models=2, skill=skill, tried=tried, **changed),
        ORDERING: make_outcome(dataset, models=1, skill=0.1, seed=5, cpu_seconds=9.0),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judgment, "NUM_RESAMPLES", 40)
        comparison = Comparison(dataset, Settings(), baseline=BASELINE)
        for label, outcome in outcomes.items():
            comparison.add(parse(label), outcome)
    comparison.checks = FINDINGS
    comparison.references = {"prior only": {"map": {"mean": 0.3, "low": 0.2, "high": 0.4}}}
    return comparison


VOID = {"meta", "link", "input", "wbr", "br", "path", "use"}


class Page(HTMLParser):
    """The elements of a page, with their texts, and what is wrong with their nesting."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.faults = [], [], []
        self.feed(text)
        self.faults += [f"<{each['tag']}> is never closed" for each in self.open]

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "text": "", "inside": [o["tag"] for o in self.open]}
        element |= {name: value or "" for name, value in attributes}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.open or self.open[-1]["tag"] != tag:
            self.faults.append(f"</{tag}> closes {self.open[-1]['tag'] if self.open else None}")
        else:
            self.open.pop()

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag=None, **attributes):
        return [
            e
            for e in self.elements
            if tag in (None, e["tag"])
            and all(
                e.get(name.rstrip("_").replace("_", "-")) == v for name, v in attributes.items()
            )
        ]


def rows_of(text, table):
    """Returns the rows of a table: the value of each numeric cell, the text of each other."""
    [found] = re.findall(rf'<table id="{table}">.*?</table>', text, flags=re.S)
    rows = []
    for row in re.findall(r"<tr.*?</tr>", found, flags=re.S)[1:]:
        cells = re.findall(r"<t[dh]([^>]*)>(.*?)</t[dh]>", row, flags=re.S)
        values = []
        for attributes, content in cells:
            value = re.search(r'data-value="([^"]*)"', attributes)
            words = html.unescape(re.sub(r"<(?:small|span).*|<[^>]*>", "", content))
            values.append((float(value[1]) if value[1] else np.nan) if value else words)
        rows.append(values)
    headings = [
        html.unescape(re.sub("<[^>]*>", "", each))
        for each in re.findall(r"<th [^>]*scope=\"col\".*?</th>", found, flags=re.S)
    ]
    return [dict(zip(headings, row, strict=True)) for row in rows]
