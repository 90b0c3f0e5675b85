"""Certificates that nobody signs but themselves, or an authority made for the test."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def self_signed(folder: Path, name: str = "certificate") -> Path:
    """A file with a certificate for 127.0.0.1 and its key; it is its own authority."""
    path, key = folder / f"{name}.pem", folder / f"{name}.key"
    options = ["-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    _openssl("req", "-x509", *NEW_KEY, *options, "-keyout", key, "-out", path)
    path.write_text(path.read_text() + key.read_text())
    return path


def signed(folder: Path, *, days: int = 2, key_usage: bool = True) -> tuple[Path, Path]:
    """An authority's certificate, and a file with a certificate for 127.0.0.1 that it signed, and its key.

    ``days``: until the second ends; below 0 it has ended. ``key_usage``: the first says what its key is for, as RFC
    5280 asks of an authority.
    """
    authority, authority_key = folder / "authority.pem", folder / "authority.key"
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign") if key_usage else ()
    _openssl(
        "req",
        "-x509",
        *NEW_KEY,
        "-days",
        "2",
        "-subj",
        "/CN=authority",
        *usage,
        "-keyout",
        authority_key,
        "-out",
        authority,
    )
    path, key, request, extensions = (folder / f"signed.{kind}" for kind in ("pem", "key", "csr", "ext"))
    _openssl("req", *NEW_KEY, "-subj", "/CN=test", "-keyout", key, "-out", request)
    extensions.write_text("subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n")
    authority_of = ("-CA", authority, "-CAkey", authority_key, "-CAcreateserial")
    _openssl("x509", "-req", "-in", request, *authority_of, "-days", str(days), "-extfile", extensions, "-out", path)
    path.write_text(path.read_text() + key.read_text())
    return authority, path


def _openssl(*arguments: str | Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def of_server(certificate: Path) -> ssl.SSLContext:
    """What a server that has it needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
