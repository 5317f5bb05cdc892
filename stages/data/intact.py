"""Check, before weeks of reading begin, that an artifact is still what its stage finished."""

import logging
from collections.abc import Mapping, Sequence

from schemas.errors import ArtifactMissing, SchemaMismatch
from schemas.folder import Folder
from schemas.manifest import FileDigest, Manifest
from stages.data.digests import file_digest
from stages.threads import in_threads

LOG = logging.getLogger(__name__)

HASHED_BYTES = 8 * 2**30  # seconds on a few cores, and some 5 million rows of tokens


def require_intact(folder: Folder, manifest: Manifest, parts: Sequence[str], rows: int) -> None:
    """Raise unless the Parquet files of these parts are those in the manifest.

    `rows` is the sum of their footers' rows. Up to HASHED_BYTES every byte is hashed; in larger
    artifacts, flipped bits are found when their page is read. A manifest without a list of files,
    because there are too many, has only its rows compared.
    """
    stage = manifest.stage
    again = f"make them again with --only {stage} --force {stage}"
    if manifest.files is not None:
        listed = {name: digest for name, digest in manifest.files.items() if _is_row(name, parts)}
        _require_same_names(folder, listed, parts, stage, again)
        if sum(digest.bytes for digest in listed.values()) <= HASHED_BYTES:
            _require_same_bytes(folder, listed, stage, again)
    if rows != manifest.rows_out:
        raise ArtifactMissing(
            f"wanted the {manifest.rows_out:,} rows that {stage} left in {folder.url}, found "
            f"{rows:,}; put the files back that are missing, take away those that are not its "
            f"own, or {again}"
        )


def _is_row(name: str, parts: Sequence[str]) -> bool:
    return name.startswith(tuple(parts)) and name.endswith(".parquet")


def _require_same_names(
    folder: Folder, listed: Mapping[str, FileDigest], parts: Sequence[str], stage: str, again: str
) -> None:
    there = {name for part in parts for name in folder.list(part) if _is_row(name, parts)}
    if missing := sorted(listed.keys() - there):
        raise ArtifactMissing(
            f"wanted {folder.url}/{missing[0]}, one of {len(listed)} files that {stage} left, "
            f"found no such file ({len(missing)} are missing); put it back, or {again}"
        )
    if foreign := sorted(there - listed.keys()):
        raise SchemaMismatch(
            f"wanted only files that {stage} left, found {folder.url}/{foreign[0]}; "
            "take it out of the folder"
        )


def _require_same_bytes(
    folder: Folder, listed: Mapping[str, FileDigest], stage: str, again: str
) -> None:
    LOG.info("checking %d files of %s", len(listed), folder.url)
    digests = in_threads(lambda name: file_digest(folder, name).sha256, listed)
    for (name, wanted), found in zip(listed.items(), digests, strict=True):
        if found != wanted.sha256:
            raise SchemaMismatch(
                f"{folder.url}/{name} is damaged: wanted the sha256 {wanted.sha256[:12]}... that "
                f"{stage} left, found {found[:12]}...; put back a good copy, or {again}"
            )
