"""Types of parameters: what notebooks and dataclasses expect, and values from files and the command line made so."""

from __future__ import annotations

import ast
import dataclasses
import functools
import json
import math
import os
import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import UserError, unknown

LARGEST = 2**53  # beyond it whole numbers are no longer exact as floats, and arrays and seeds cannot hold them


def notebook_types(path: Path) -> dict[str, Any]:
    """Parameter -> type of a notebook's first cell tagged `parameters`, from the defaults assigned there.

    Not papermill's inspection: that skips a line with two ``=``, be it in a comment, and takes seconds to import.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", ())]
        tree = ast.parse("".join(tagged[0]["source"]) if tagged else "")
    except (OSError, ValueError, KeyError, SyntaxError) as error:
        raise UserError(f"{path}: its parameters cannot be read ({type(error).__name__}: {error})") from None
    kinds = {}
    for statement in tree.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        for name in (target.id for target in targets if isinstance(target, ast.Name)):
            try:
                default = ast.literal_eval(statement.value)
            except (ValueError, TypeError):
                default = None
            kinds[name] = Any if default is None else type(default)
            if isinstance(default, list | tuple) and default:
                kinds[name] = list[type(default[0])]
    return kinds


def field_types(kind: type) -> dict[str, Any]:
    """Field -> type of a dataclass."""
    hints = typing.get_type_hints(kind)
    return {f.name: hints[f.name] for f in dataclasses.fields(kind)}


def check(values: Mapping, kinds: Mapping, where: str) -> dict[str, Any]:
    """`values` as plain Python of the wanted types.

    Raises
    ------
    UserError
        For a name that is not in `kinds`, or a value of another type.
    """
    for name in values:
        if name not in kinds:
            raise UserError(f"{where}: {unknown('parameter', name, sorted(kinds))}")
    return {name: coerce(value, kinds[name], f"{where}: {name}") for name, value in values.items()}


def coerce(value: Any, kind: Any, where: str) -> Any:
    """`value` as `kind` (bool, int, float, str, a list or tuple of these, a union, Any), else `UserError`.

    What no one means otherwise is allowed: 10 for 10.0, and ``1e-3``, which YAML takes for a text; from Python also
    a path as a text, and NumPy's numbers and arrays.
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    elif isinstance(value, os.PathLike):
        value = os.fspath(value)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        for choice in arguments:
            if choice is type(None) and value is None:
                return None
            try:
                return coerce(value, choice, where)
            except UserError:
                continue
    elif (origin or kind) in (list, tuple):
        if isinstance(value, list | tuple):
            element = next((a for a in arguments if a is not Ellipsis), Any)
            return [coerce(item, element, where) for item in value]
    elif kind in (int, float) and isinstance(value, int) and abs(value) > LARGEST:
        raise UserError(f"{where} is {_short(value)}; expected {describe(kind)}, whole ones at most 2**53 either way")
    elif kind is float:
        if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
            value = float(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return value
    elif kind is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif isinstance(value, kind):
        return value
    raise UserError(f"{where} is {_short(value)}; expected {describe(kind)}")


def _short(value: Any) -> str:
    """A value as an error shows it, on a line; Python refuses to write out whole numbers of thousands of digits."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a whole number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:99]}... (of {len(text)} characters)"


def describe(kind: Any) -> str:
    """A type in words."""
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join("null" if a is type(None) else describe(a) for a in arguments)
    if (origin or kind) in (list, tuple):
        inner = {int: " of whole numbers such as [1, 2]", float: " of numbers such as [1, 2]", str: " of texts"}
        return "a list" + (inner.get(arguments[0], "") if arguments else "")
    return words.get(kind, str(kind))


@functools.cache
def yaml_loader() -> type:
    """YAML's safe loader, for which ``010`` and ``1:30`` are texts: YAML 1.1 takes them for 8 and for 90."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    def plain(construct):
        misread = re.compile(r"[-+]?0[0-7_]+|.*:.*")
        return lambda self, node: node.value if misread.fullmatch(node.value) else construct(self, node)

    Loader.add_constructor("tag:yaml.org,2002:int", plain(yaml.SafeLoader.construct_yaml_int))
    Loader.add_constructor("tag:yaml.org,2002:float", plain(yaml.SafeLoader.construct_yaml_float))
    return Loader


def parse_value(text: str, kind: Any) -> Any:
    """The value of ``--set NAME=VALUE``: YAML, but a text stays the text it is (``precision=16`` is no number).

    So do ``010`` and ``1:30``; see `yaml_loader`.
    """
    import yaml

    if kind is str:
        return text
    try:
        return yaml.load(text, Loader=yaml_loader())
    except (yaml.YAMLError, ValueError):  # the latter for more digits than Python reads
        return text  # its type is then wrong, and the error shows it as it was typed
