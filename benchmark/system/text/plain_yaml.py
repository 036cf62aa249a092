"""YAML that people write for this suite: plain values, and no key twice."""

from __future__ import annotations

import re
from typing import Any

import yaml


class NotPlainYaml(ValueError):
    """A text that is no plain YAML; the message says where and why."""


class _Plain(yaml.SafeLoader):
    """Plain values only, and no key twice in one mapping: one of its values would be lost without a word."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """As read, before aliases are resolved and merged."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in seen:
                twice = f"{short(key.value)} is given twice"
                raise yaml.constructor.ConstructorError(problem=twice, problem_mark=key.start_mark)
            seen.add((key.tag, str(key.value)))
        return node

    def as_people_mean(self, node: yaml.ScalarNode) -> Any:
        """A number. YAML 1.1 reads 0100 as 64 and 1:30 as 90: refused."""
        if re.fullmatch(r"[-+]?0[0-9_]+|.*:.*", node.value):
            number = short(node.value)
            read = f'{number} would be an octal or base-60 number: write it as a plain one, or "{number}" for a text'
            raise yaml.constructor.ConstructorError(problem=read, problem_mark=node.start_mark)
        kind = node.tag.rpartition(":")[2]
        return self.construct_yaml_int(node) if kind == "int" else self.construct_yaml_float(node)


for _kind in ("int", "float"):
    _Plain.add_constructor(f"tag:yaml.org,2002:{_kind}", _Plain.as_people_mean)


def plain_yaml(text: str) -> Any:
    """The plain value that a YAML text describes; NotPlainYaml, whatever is wrong with it."""
    try:
        return _Plain(text).get_single_data()
    except Exception as error:  # a hostile text makes PyYAML raise nearly anything, RecursionError included
        problem = getattr(error, "problem", None) or type(error).__name__
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark else ""
        raise NotPlainYaml(f"not valid YAML{place} ({problem})") from None


def short(text: str) -> str:
    """A text of any length and with any characters, for one line of a message."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
