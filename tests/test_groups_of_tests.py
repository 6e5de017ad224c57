"""Tests that share programs or fixtures run in one process."""

import pytest


def test_the_tests_of_a_file_are_one_group(request):
    if not request.config.getoption("loadgroup", False):
        pytest.skip("the tests are not sent to processes in groups")
    assert request.node.nodeid.endswith("@test_groups_of_tests.py")
