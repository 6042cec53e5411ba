"""The table of values in the chart's README, made of the comments in values.yaml."""

import json
import re

import yaml

from .render import CHART, Wrong

BEGIN, END = "<!-- values -->\n", "<!-- end of values -->\n"


def described(text):
    """(path, description) of every value that has a comment beginning with `# --`."""
    path, words = [], []
    for line in text.splitlines():
        comment = re.fullmatch(r" *# ?(.*)", line)
        if comment:
            if comment[1].startswith("-- "):
                words = [comment[1][3:]]
            elif words:
                words.append(comment[1])
            continue
        key = re.match(r"( *)([A-Za-z]\w*):", line)
        if key:
            path = [*path[: len(key[1]) // 2], key[2]]
            if words:
                yield tuple(path), " ".join(words)
        words = []


def leaves(value, path=()):
    """The paths of all values that are no maps of ours."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    else:
        yield path


def table():
    text = (CHART / "values.yaml").read_text()
    values = yaml.safe_load(text)
    descriptions = dict(described(text))
    for leaf in leaves(values):
        if not any(leaf[:length] in descriptions for length in range(1, len(leaf) + 1)):
            raise Wrong(f"values.yaml does not describe {'.'.join(leaf)}: write a comment that begins with `# --`")
    lines = ["| value | default | what |", "|---|---|---|"]
    for path, words in descriptions.items():
        value = values
        for key in path:
            value = value[key]
        default = json.dumps(value, ensure_ascii=False).replace("|", "\\|")
        lines.append(f"| `{'.'.join(path)}` | `{default}` | {words.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def expected(current):
    """The README with the table as it must be."""
    before, begin, rest = current.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise Wrong(f"README.md has no lines {BEGIN.strip()} and {END.strip()}")
    return f"{before}{begin}\n{table()}\n{end}{after}"
