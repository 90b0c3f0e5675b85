"""One container for each Debian, with the service installed in it; the tests of a file share it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers import machine as bed
from tests.containers.machine import Machine

KEY = "swaram_right_0123456789"


@pytest.fixture(scope="session", params=bed.SUITES)
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A container that has the service installed and not yet started; no key is there."""
    if reason := bed.lacking():
        pytest.skip(reason)
    share: Path = tmp_path_factory.mktemp(request.param)
    bed.fill(share)
    with Machine(request.param, share) as container:
        install(container)
        container.shell(
            "install -D -m 644 /share/10-virtual-card.conf /etc/systemd/system/voice-appliance.service.d/10-test.conf;"
            "install -m 644 /share/card.service /etc/systemd/system/;"
            "install -m 644 /share/config.toml /etc/voice-appliance/; systemctl daemon-reload"
        )
        yield container


def install(container: Machine) -> None:
    """Bring the service into the container: the one place that knows how an installation is done."""
    container.shell("sh /share/install.sh", timeout_s=60)
