"""How fast a machine trains, as it is recorded once in the root of a run."""

from pydantic import Field

from schemas.manifest import Record

SPEED = "speed.json"


class MachineSpeed(Record):
    """What the sizes of `minutes` go by; change or delete the file to have others."""

    training_gflops: float = Field(gt=0, description="GFLOP/s of a small transformer's updates")
    threads: int = Field(gt=0, description="CPU threads that computed")
    precision: str = Field(description="of its matrix products")
