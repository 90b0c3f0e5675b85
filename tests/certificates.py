"""Certificates that nobody signs but themselves."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest


def self_signed(folder: Path, name: str = "certificate") -> Path:
    """A file with a certificate for 127.0.0.1 and its key; it is its own authority."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    path, key = folder / f"{name}.pem", folder / f"{name}.key"
    options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2", "-subj", "/CN=test"]
    options += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(path)]
    subprocess.run(["openssl", "req", "-x509", "-nodes", *options], check=True, capture_output=True)
    path.write_text(path.read_text() + key.read_text())
    return path


def of_server(certificate: Path) -> ssl.SSLContext:
    """What a server that has it needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
