"""Workers of all tests are forked from one server, which imports torch once and for them."""

import multiprocessing
from multiprocessing import forkserver

# Here, so that it is up before a stage forks its own processes in a test: there is but one.
multiprocessing.set_forkserver_preload(["pytest", "tests.stages.training.toy"])
forkserver.ensure_running()
