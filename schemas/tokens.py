"""The header of a token file: the key-value metadata of its footer, which says how it was made."""

from typing import Self

import pyarrow as pa
from pydantic import ConfigDict, ValidationError

from schemas import rows
from schemas.errors import SchemaMismatch
from schemas.manifest import Manifest, Record
from schemas.settings import TokenSpec

TOKEN_FORMAT = "2"
OF_ONE_FILE = frozenset({"source_shard", "differing_codes"})  # others are the artifact's


class TokenHeader(Record):
    """Which models and settings made the tokens, in the order in which a file has it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format_version: str
    dvae_fingerprint: str
    dvae_sha256: str
    bpe_fingerprint: str
    bpe_sha256: str
    text_vocab: int
    image_vocab: int
    text_len: int
    grid: int
    patch: int | None = None  # pixels per side of a code; not said where they are 8
    crop: str | None = None
    crops: int | None = None
    flips: bool | None = None  # not said where there are none
    codes: str | None = None
    precision: str | None = None
    source_shard: str | None = None  # the file of clean_pairs
    differing_codes: float | None = None  # share of the codes that differ from float32's

    @classmethod
    def of(cls, dvae: Manifest, bpe: Manifest, tokens: TokenSpec) -> Self:
        """Return what files must say to be read with these two models and sizes."""
        return cls(
            format_version=TOKEN_FORMAT,
            dvae_fingerprint=dvae.fingerprint,
            dvae_sha256=dvae.content_sha256,
            bpe_fingerprint=bpe.fingerprint,
            bpe_sha256=bpe.content_sha256,
            **tokens.model_dump(exclude={"patch"}),
            patch=tokens.patch if tokens.patch != 8 else None,
        )

    @classmethod
    def read(cls, schema: pa.Schema, *, where: str) -> Self:
        """Return the header of a file; raise SchemaMismatch if it is no token file's."""
        try:
            found = cls.model_validate(text_metadata(schema))
            found.spec  # noqa: B018, raises for sizes that cannot be
        except ValidationError as error:
            wrong = ", ".join(sorted({str(fault["loc"][0]) for fault in error.errors()}))
            raise SchemaMismatch(
                f"{where}: wanted a token file, whose schema's metadata say how it was made, found "
                f"none or a wrong value of {wrong}; name a file that encode made"
            ) from error
        return found

    def and_also(self, **more: object) -> Self:
        return type(self).model_validate(self.model_dump() | more)

    def text(self) -> dict[str, str]:
        """Return the metadata to write, or to compare with those of a file."""
        return {name: str(value) for name, value in self if value is not None}

    def shared(self) -> Self:
        """Return the part that all files of an artifact have in common."""
        return self.model_copy(update=dict.fromkeys(OF_ONE_FILE))

    def differences(self, other: "TokenHeader") -> dict[str, tuple[str, str]]:
        """Return each shared field that is not the same in both, with both values."""
        mine, theirs = self.shared().text(), other.shared().text()
        pairs = {n: (mine.get(n, "nothing"), theirs.get(n, "nothing")) for n in mine | theirs}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    @property
    def spec(self) -> TokenSpec:
        """Alphabets and lengths; raises ValueError for sizes that cannot be."""
        sizes = {name: getattr(self, name) for name in TokenSpec.model_fields}
        return TokenSpec(**{name: size for name, size in sizes.items() if size is not None})

    @property
    def schema(self) -> pa.Schema:
        """The schema of the rows, with this header as its metadata."""
        columns = rows.token_pair(text_len=self.text_len, grid=self.grid)
        return columns.with_metadata(self.text())


def text_metadata(schema: pa.Schema) -> dict[str, str]:
    raw: dict[bytes, bytes] = schema.metadata or {}
    found = {key.decode(): value.decode(errors="replace") for key, value in raw.items()}
    return {key: value for key, value in found.items() if key != "ARROW:schema"}
