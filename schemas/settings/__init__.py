"""Every setting there is: one frozen tree, checked when it is made, a file for each part.

What decides a result is in a stage's node itself, and for a training in its `fit`. A node named
`run` says how fast, where and how often. It is never in a fingerprint, so that changing it restarts
nothing. Neither is a `gate`, which only refuses. A setting marked `Input` is the address of
something that a stage reads: what is there is in the fingerprint, the address is not.

A stage is given its own node and nothing else, so that nothing else can make it run again. The
sizes that it shares with other stages stand in it too, marked `Shared`: the tree copies them there
from `tokens`, where alone they are set.
"""

from schemas.settings.base import ComputeRun, Config, How, Input, Precision, Shared, Workers
from schemas.settings.clip import ClipSettings, ClipShape
from schemas.settings.crawl import CrawlRun, CrawlSettings, SourceSettings, WorldSettings
from schemas.settings.dvae import DvaeSettings, DvaeShape
from schemas.settings.encode import EncodeRun, EncodeSettings
from schemas.settings.evaluate import EvaluateSettings
from schemas.settings.filter import FilterSettings
from schemas.settings.measure import MeasureSettings
from schemas.settings.prior import PriorSettings, PriorShape
from schemas.settings.sample import LANE, PromptSettings, RankBy, SampleSettings, rows_of_lane
from schemas.settings.tokens import BYTES, BpeSettings, TokenSpec
from schemas.settings.training import FitSettings, TrainingRun, TrainingSettings
from schemas.settings.tree import Leaf, Settings, leaves
