"""What the crash tests share beyond fixtures of the whole suite: asserts that say what differed."""

import pytest

pytest.register_assert_rewrite("trading_data_tests.crash.model")
