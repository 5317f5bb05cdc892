"""Is an artifact still what its stage finished? Asked before weeks of reading begin."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from schemas.errors import ArtifactMissing, SchemaMismatch
from schemas.folder import Folder
from schemas.manifest import FileDigest, Manifest
from stages.digests import file_digest

LOG = logging.getLogger(__name__)

HASHED_BYTES = 8 * 2**30  # seconds on a few cores, and some 5 million rows of tokens
FILES_AT_ONCE = 16


def require_intact(folder: Folder, manifest: Manifest, parts: Sequence[str], rows: int) -> None:
    """Raise unless the Parquet files of these parts are those that the manifest tells of.

    `rows` is how many their footers tell of. Every byte is hashed as far as they are no more than
    HASHED_BYTES; in more, flipped bits are found when their page is read. Where the manifest has
    no list, for the files are too many, only the rows are counted.
    """
    stage = manifest.stage
    if manifest.files is not None:
        listed = {name: digest for name, digest in manifest.files.items() if _is_row(name, parts)}
        _same_names(folder, listed, parts, stage)
        if sum(digest.bytes for digest in listed.values()) <= HASHED_BYTES:
            _same_bytes(folder, listed, stage)
    if rows != manifest.rows_out:
        raise ArtifactMissing(
            f"wanted the {manifest.rows_out:,} rows that {stage} left in {folder.url}, found "
            f"{rows:,}; put the files back that are missing, take away those that are not its "
            f"own, or {_again(stage)}"
        )


def _again(stage: str) -> str:
    return f"make them again with --only {stage} --force {stage}"


def _is_row(name: str, parts: Sequence[str]) -> bool:
    return name.startswith(tuple(parts)) and name.endswith(".parquet")


def _same_names(
    folder: Folder, listed: Mapping[str, FileDigest], parts: Sequence[str], stage: str
) -> None:
    there = {name for part in parts for name in folder.list(part) if _is_row(name, parts)}
    if missing := sorted(listed.keys() - there):
        raise ArtifactMissing(
            f"wanted {folder.url}/{missing[0]}, one of {len(listed)} files that {stage} left, "
            f"found no such file ({len(missing)} are missing); put it back, or {_again(stage)}"
        )
    if foreign := sorted(there - listed.keys()):
        raise SchemaMismatch(
            f"wanted only files that {stage} left, found {folder.url}/{foreign[0]}; "
            "take it out of the folder"
        )


def _same_bytes(folder: Folder, listed: Mapping[str, FileDigest], stage: str) -> None:
    def look(name: str) -> None:
        found = file_digest(folder, name).sha256
        if found != listed[name].sha256:
            raise SchemaMismatch(
                f"{folder.url}/{name} is damaged: wanted the sha256 {listed[name].sha256[:12]}... "
                f"that {stage} left, found {found[:12]}...; put back a good copy, or "
                f"{_again(stage)}"
            )

    LOG.info("checking %d files of %s", len(listed), folder.url)
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        for _ in pool.map(look, listed):
            pass
