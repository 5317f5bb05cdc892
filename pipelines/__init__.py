"""In what order: the list of stages, the presets, the runner, the commands."""

import sys

if sys.argv[:1] == ["-m"]:  # Python is about to run a command: a signal during imports ends it too
    from pipelines.starting import end_on_signals

    end_on_signals()
