"""Rows of a dataset: from local files of its schema, or from the Hugging Face hub."""

from __future__ import annotations

import csv
import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import msgspec

from nbest.errors import InputError, MissingExtraError

Row = Mapping[str, Any]

SUFFIXES: Final = (".jsonl", ".json", ".tsv", ".parquet")
EXTRA: Final = "datasets"


def read_rows(file: Path, *, columns: tuple[str, ...] | None = None) -> Iterator[Row]:
    """Rows of a JSONL, JSON (list of objects), TSV or Parquet file.

    A TSV has a header unless `columns` names its columns; cells are taken as they are, quotes included. Parquet
    needs `pyarrow`. Raises `InputError`, with the line, for what is no row.
    """
    try:
        match file.suffix:
            case ".tsv":
                yield from _tsv(file, columns)
            case ".parquet":
                yield from _parquet(file)
            case ".json":
                found = _decoded(file.read_bytes(), str(file))
                if not isinstance(found, list):
                    raise InputError(f"{file}: not a list of objects")
                for number, row in enumerate(cast("list[Any]", found), 1):
                    yield _object(row, f"{file}, row {number}")
            case _:
                with file.open("rb") as f:
                    for number, line in enumerate(f, 1):
                        if line.strip(b" \t\r\n\xef\xbb\xbf"):
                            where = f"{file}, line {number}"
                            yield _object(_decoded(line.removeprefix(b"\xef\xbb\xbf"), where), where)
    except OSError as e:
        raise InputError(f"{file}: {e.strerror}") from None
    except UnicodeDecodeError as e:
        raise InputError(f"{file}: not UTF-8 ({e.reason})") from None


class Hub(NamedTuple):
    """A dataset on the Hugging Face hub."""

    dataset: str
    name: str | None
    """Its configuration."""
    split: str
    revision: str
    """Commit or branch."""


def rows_of(
    path: str | None, names: Sequence[str], hub: Hub, *, tsv_columns: tuple[str, ...] | None = None
) -> Iterator[Row]:
    """Rows of the file at `path`, or of one of the `names` in that directory; without a path, of the hub.

    `tsv_columns` are those of TSV files without a header. Raises `InputError`, `MissingExtraError`.
    """
    if path is None:
        return hub_rows(hub)
    file = local_file(path, *names)
    return read_rows(file, columns=tsv_columns if file.suffix == ".tsv" else None)


def local_file(path: str, *names: str) -> Path:
    """`path` itself where it is a file, else the first `name` with a known suffix in that directory.

    Raises `InputError`, naming what was looked for.
    """
    root = Path(path)
    if root.is_file():
        return root
    if not root.is_dir():
        raise InputError(f"{path}: no such file or directory")
    tried = [f"{name}{suffix}" for name in names for suffix in SUFFIXES]
    for name in tried:
        if (root / name).is_file():
            return root / name
    raise InputError(f"{path} has none of {', '.join(tried)}")


def hub_rows(hub: Hub) -> Iterator[Row]:
    """Rows of a dataset on the Hugging Face hub. Raises `MissingExtraError`, `InputError`."""
    datasets = _module("datasets")
    try:
        found = datasets.load_dataset(hub.dataset, hub.name, split=hub.split, revision=hub.revision)
    except Exception as e:
        raise InputError(
            f"{hub.dataset} ({hub.name or 'default'}, {hub.split}, revision {hub.revision}): {e};"
            " revision=main takes the newest"
        ) from e
    yield from found


def field(row: Row, name: str, where: str) -> Any:
    """A column that must be there. Raises `InputError` with the columns that are."""
    if row.get(name) is None:
        raise InputError(f"{where}: no {name!r}; columns are {', '.join(map(str, row))}")
    return row[name]


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingExtraError(name, EXTRA) from None


def _tsv(file: Path, columns: tuple[str, ...] | None) -> Iterator[Row]:
    with file.open(encoding="utf-8-sig", newline="") as f:
        lines = csv.reader(f, delimiter="\t", quoting=csv.QUOTE_NONE)
        head = columns or tuple(next(lines, ()))
        for number, cells in enumerate(lines, 1 if columns else 2):
            if len(cells) != len(head):
                raise InputError(
                    f"{file}, line {number}: {len(cells)} columns, not {len(head)} ({', '.join(head)})"
                )
            yield dict(zip(head, cells, strict=True))


def _parquet(file: Path) -> Iterator[Row]:
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise MissingExtraError("pyarrow", EXTRA) from None
    for batch in parquet.ParquetFile(file).iter_batches():
        yield from batch.to_pylist()


def _decoded(data: bytes, where: str) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise InputError(f"{where}: not valid JSON ({e})") from None


def _object(row: Any, where: str) -> Row:
    if not isinstance(row, dict):
        raise InputError(f"{where}: not a JSON object")
    return cast("Row", row)
