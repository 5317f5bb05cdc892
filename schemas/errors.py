"""What we tell the user when something cannot go on: what was wanted, found, and what to do."""


class UserError(Exception):
    """One sentence for a person; a command prints it without a traceback and exits with 2."""


class ConfigError(UserError):
    """A setting is misspelt, out of range, or contradicts another."""


class SchemaMismatch(UserError):
    """A table, shard or model file is not what its reader was promised."""


class ArtifactMissing(UserError):
    """A stage reads something that is not finished."""


class ArtifactOwned(UserError):
    """Another run that is alive is making this artifact now."""


class GateClosed(UserError):
    """A measured quality is below its floor, so the next stage would waste its time."""


class ShardsFailed(UserError):
    """Shards were set aside after repeated failures; the finished ones are kept."""

    def __init__(self, sentence: str, shards: tuple[str, ...]) -> None:
        super().__init__(sentence)
        self.shards = shards


class SessionFailed(UserError):
    """Ray does not start, or a cluster lets nobody join."""


class StorageFailed(UserError, OSError):
    """A disk or an object store cannot be reached, read or written to."""
