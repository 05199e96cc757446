"""Published weights are fetched when asked for by name, are what they ought to be, or are not kept."""

from __future__ import annotations

import hashlib
import shutil
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import tifffile

from napari_simmat.cli import main
from napari_simmat.errors import WeightsError
from napari_simmat.folders import HOME_VARIABLE
from napari_simmat.models.architectures import ARCHITECTURES
from napari_simmat.models.published import PUBLISHED, Published, fetch_published

CONTENT = bytes(range(256)) * 9000


class _Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """Clients leave in the middle here, at a certificate or a redirection that they do not trust."""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home" / "cache" / "weights"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server on this machine that speaks https; counts what it is asked for."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl for a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", key, "-out", certificate, "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response({"/tiny.pth": 200, "/away.pth": 302}.get(self.path, 404))
            self.send_header("Location", f"http://localhost:{plain.server_port}/tiny.pth")
            self.end_headers()
            self.wfile.write(CONTENT)

        def log_message(self, *arguments):
            pass

    plain = _Server(("localhost", 0), Handler)
    http = _Server(("localhost", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    http.socket = context.wrap_socket(http.socket, server_side=True)
    threads = [threading.Thread(target=each.serve_forever) for each in (http, plain)]
    for thread in threads:
        thread.start()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.setenv("NO_PROXY", "localhost")
    yield f"https://localhost:{http.server_port}", asked
    for each, thread in zip((http, plain), threads, strict=True):
        each.shutdown()
        thread.join()
        each.server_close()


def offer(monkeypatch, url, content=CONTENT):
    monkeypatch.setitem(PUBLISHED, "vit_b", Published(url, hashlib.sha256(content).hexdigest(), 2))


def test_every_architecture_has_weights_over_https_and_their_hash():
    assert tuple(PUBLISHED) == tuple(ARCHITECTURES)
    for name, each in PUBLISHED.items():
        assert each.url.startswith("https://")
        assert each.file_name in ARCHITECTURES[name]
        assert len(bytes.fromhex(each.sha256)) == 32


def test_what_was_published_is_kept_and_not_asked_for_again(server, monkeypatch, home):
    address, asked = server
    offer(monkeypatch, f"{address}/tiny.pth")
    told = []
    path = fetch_published("vit_b", lambda *step: told.append(step))
    assert path == home / "tiny.pth"
    assert path.read_bytes() == CONTENT
    assert told[-1] == (2, 2)
    assert fetch_published("vit_b") == path
    assert asked == ["/tiny.pth"]
    path.write_bytes(b"damaged")
    assert fetch_published("vit_b").read_bytes() == CONTENT
    assert len(asked) == 2


def test_anything_else_is_not_kept(server, monkeypatch, home):
    address, _ = server
    offer(monkeypatch, f"{address}/tiny.pth", b"what was published")
    with pytest.raises(WeightsError, match=r"is not tiny.pth as it was published .*nothing was kept"):
        fetch_published("vit_b")
    assert not list(home.iterdir())


def test_a_server_that_does_not_have_it_is_said(server, monkeypatch, home):
    address, _ = server
    offer(monkeypatch, f"{address}/gone.pth")
    with pytest.raises(WeightsError, match=r"the server answers 404.*--model vit_b --checkpoint FILE"):
        fetch_published("vit_b")
    assert not list(home.iterdir())


def test_a_server_that_leads_away_from_https_gives_nothing(server, monkeypatch, home):
    address, asked = server
    offer(monkeypatch, f"{address}/away.pth")
    with pytest.raises(WeightsError, match="it leads away from https"):
        fetch_published("vit_b")
    assert asked == ["/away.pth", "/tiny.pth"]
    assert not list(home.iterdir())


def test_a_server_that_cannot_prove_who_it_is_gives_nothing(server, monkeypatch, home):
    address, asked = server
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    offer(monkeypatch, f"{address}/tiny.pth")
    with pytest.raises(WeightsError, match="could not be downloaded"):
        fetch_published("vit_b")
    assert not asked
    assert not list(home.iterdir())


def test_without_a_network_the_command_says_so_in_one_sentence(tmp_path, monkeypatch, capsys):
    offer(monkeypatch, "https://localhost:1/tiny.pth")
    monkeypatch.setenv("NO_PROXY", "localhost")
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 40, 40), np.uint8), photometric="minisblack")
    arguments = ["--channel-axis", "0", "--click", "3,3", "--model", "vit_b", "-o", str(tmp_path / "m.tif")]
    with pytest.raises(SystemExit) as ended:
        main(["segment", str(tmp_path / "a.tif"), *arguments])
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert "could not be downloaded from https://localhost:1/tiny.pth (Connection refused)" in told
    assert len(told.splitlines()) == 1
    assert not (tmp_path / "m.tif").exists()
