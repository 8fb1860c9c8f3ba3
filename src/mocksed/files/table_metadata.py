"""Metadata of Parquet columns for astropy and TOPCAT, besides those for pyarrow.

Neither reads the metadata of fields. astropy reads a header in YAML, as in ECSV, under a key of the file's metadata;
TOPCAT and STILTS read a VOTable without data under another one (Taylor et al. 2025, "Parquet in the VO", IVOA Note).
Both are written here without astropy, whose import would cost each job 0.7 s and 24 MB (benchmarks/start.txt); the
tests read them with it.
"""

import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from mocksed.files.columns import column, vo_unit

ASTROPY = b"table_meta_yaml"
VOTABLE, VOTABLE_VERSION = b"IVOA.VOTable-Parquet.content", b"IVOA.VOTable-Parquet.version"
LENGTH = b"table::len::"
"""Beginning of the keys with the longest text of a column: astropy warns where it has to look for it."""

_NAMESPACE = "http://www.ivoa.net/xml/VOTable/v1.3"
_VO_TYPES = {
    pa.bool_(): "boolean",
    pa.int16(): "short",
    pa.int32(): "int",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
}


def is_for_readers(key: bytes) -> bool:
    """Return whether a key of a file's metadata is for astropy or TOPCAT, and not the pipeline's own JSON."""
    return key in (ASTROPY, VOTABLE, VOTABLE_VERSION) or key.startswith(LENGTH)


def own_metadata(schema: pa.Schema) -> dict[str, Any]:
    """Return the pipeline's own metadata of a file."""
    stored = schema.metadata or {}
    return {key.decode(): json.loads(value) for key, value in stored.items() if not is_for_readers(key)}


def described(schema: pa.Schema) -> pa.Schema:
    """Return a schema with the metadata by which astropy and TOPCAT know units and descriptions of columns.

    Parameters
    ----------
    schema : pyarrow.Schema
        Columns, with ``unit`` and ``description`` in the metadata of their fields, and the file's metadata as JSON.

    """
    headers = {
        ASTROPY: astropy_header(schema).encode(),
        VOTABLE_VERSION: b"1.0",
        VOTABLE: votable(schema).encode(),
    }
    return schema.with_metadata({**(schema.metadata or {}), **headers})


def with_lengths(table: pa.Table) -> pa.Schema:
    """Return the schema of a table with the metadata by which astropy knows the longest text of each column."""
    texts = [field.name for field in table.schema if _is_text(field.type)]
    longest = {name: pc.max(pc.utf8_length(table[name].cast(pa.large_string()))).as_py() or 0 for name in texts}
    return table.schema.with_metadata({**(table.schema.metadata or {}), **lengths(longest)})


def lengths(longest: Mapping[str, int]) -> dict[bytes, bytes]:
    """Return the metadata with the longest text of columns, not less than the None that astropy reads for null."""
    return {LENGTH + name.encode(): str(max(length, len("None"))).encode() for name, length in longest.items()}


def astropy_header(schema: pa.Schema) -> str:
    """Return the header that astropy's reader of Parquet takes units, descriptions and metadata from."""
    columns = []
    for field in schema:
        about = {"unit": text_of(field, b"unit"), "description": text_of(field, b"description")}
        stated = {key: text for key, text in about.items() if text}
        columns.append({"name": field.name, "datatype": _numpy_name(field.type), **stated})
    header = {"datatype": columns, "meta": own_metadata(schema)}
    return yaml.dump(header, Dumper=yaml.CSafeDumper, sort_keys=False, width=1_000_000, allow_unicode=True)


def votable(schema: pa.Schema, lengths: Mapping[str, int] | None = None) -> str:
    """Return the VOTable without data that describes the columns of a file.

    Parameters
    ----------
    schema : pyarrow.Schema
        As for `described`.
    lengths : mapping of str to int, optional
        Lengths of columns whose texts are all ASCII and of one length.

    """
    top = ET.Element("VOTABLE", version="1.4", xmlns=_NAMESPACE)
    table = ET.SubElement(ET.SubElement(top, "RESOURCE", type="results"), "TABLE", name="mocksed")
    for key, value in own_metadata(schema).items():
        if isinstance(value, str | int | float):
            ET.SubElement(table, "INFO", name=key, value=str(value))
    for field in schema:
        known = column(field.name)
        about = {"unit": vo_unit(text_of(field, b"unit")), "ucd": known.ucd if known else ""}
        length = (lengths or {}).get(field.name)
        type_ = {"datatype": "char", "arraysize": str(length)} if length else None
        attributes = {**(type_ or vo_type(field.type)), **{key: text for key, text in about.items() if text}}
        element = ET.SubElement(table, "FIELD", {"name": field.name, **attributes})
        if text := text_of(field, b"description"):
            ET.SubElement(element, "DESCRIPTION").text = text
    return ET.tostring(top, encoding="unicode")


def vo_type(type_: pa.DataType) -> dict[str, str]:
    """Return the attributes of a FIELD for a type of Arrow; one that VOTable lacks is declared as text."""
    element = _element(type_)
    if element not in _VO_TYPES:
        return {"datatype": "unicodeChar", "arraysize": "*"}
    size = {} if element == type_ else {"arraysize": str(type_.list_size) if _is_fixed(type_) else "*"}
    return {"datatype": _VO_TYPES[element], **size}


def text_of(field: pa.Field, key: bytes) -> str:
    """Return what the metadata of a column say: ``unit`` or ``description``, empty if nothing."""
    return (field.metadata or {}).get(key, b"").decode()


def _element(type_: pa.DataType) -> pa.DataType:
    return type_.value_type if pa.types.is_list(type_) or _is_fixed(type_) else type_


def _numpy_name(type_: pa.DataType) -> str:
    """Return the name by which astropy's header knows a type."""
    if _is_text(type_):
        return "string"
    try:
        return np.dtype(_element(type_).to_pandas_dtype()).name
    except NotImplementedError:
        return "object"


def _is_fixed(type_: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_list(type_))


def _is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))
