"""What a worker says, on the driver's screen, also after it died and was started again."""

import time

import pytest

from stages.training.watch import Watch, log_to_driver
from tests.stages.training.toy import settings

pytestmark = pytest.mark.ray


def test_an_alarm_of_a_restarted_worker_is_not_taken_for_one_that_was_shown(ray_cluster, caplog):
    with caplog.at_level("INFO"), Watch("toy", settings().fit) as key:
        first = log_to_driver(key)
        first(4, "step 4")
        first(5, "far at step 5", alarm=True)
        while "far at step 5" not in caplog.messages:
            time.sleep(0.01)
        again = log_to_driver(key)
        again(5, "still far at step 5", alarm=True)
        again(6, "step 6")
    said = [line for line in caplog.messages if "far" in line]
    assert said == ["far at step 5", "still far at step 5"]
    assert caplog.messages[-1] == "step 6"
