"""Downloads, from a server on this machine that behaves as badly as servers do."""

import hashlib
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import files_in

from mrnetlib.files import held
from mrnetlib.training import download, obtain
from mrnetlib.training.download import FetchError, fetch

CONTENT = bytes(range(256)) * 400
DIGEST = hashlib.sha256(CONTENT).hexdigest()[:8]


class Server(ThreadingHTTPServer):
    """Sends `CONTENT`; `behaviour` says how, `asked` keeps paths and ranges."""

    daemon_threads = True
    behaviour, asked = "well", []


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append((self.path, wanted))
        start = int(wanted[6:-1]) if wanted and server.behaviour != "no ranges" else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        content = CONTENT[start:]
        if server.behaviour == "damaged":
            content = content[::-1]
        if server.behaviour == "stalls":
            self.wfile.write(content[:1000])
            server.released.wait(20)
            return
        if server.behaviour == "cuts":
            content = content[:40_000]
        with suppress(OSError):
            self.wfile.write(content)


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", download.OFFLINE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    with Server(("127.0.0.1", 0), Handler) as server:
        server.asked, server.released = [], threading.Event()
        server.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.released.set()
        server.shutdown()


def test_a_file_comes_whole_and_alone(server, tmp_path):
    fetch(f"{server.url}/a.pth", tmp_path / "hub" / "a.pth", DIGEST)
    assert (tmp_path / "hub" / "a.pth").read_bytes() == CONTENT
    assert files_in(tmp_path) == ["hub/a.pth"]


def test_a_transfer_that_breaks_off_is_taken_up(server, tmp_path):
    server.behaviour = "cuts"
    fetch(f"{server.url}/a.pth", tmp_path / "a.pth", DIGEST)
    assert [wanted for _, wanted in server.asked] == [None, "bytes=40000-", "bytes=80000-"]
    assert (tmp_path / "a.pth").read_bytes() == CONTENT


@pytest.mark.parametrize("behaviour", ["well", "no ranges"])
def test_what_a_killed_process_left_is_resumed_or_begun_again(server, tmp_path, behaviour):
    server.behaviour = behaviour
    (tmp_path / ".a.pth.part").write_bytes(CONTENT[:5000])
    fetch(f"{server.url}/a.pth", tmp_path / "a.pth", DIGEST)
    assert server.asked == [("/a.pth", "bytes=5000-")]
    assert (tmp_path / "a.pth").read_bytes() == CONTENT and files_in(tmp_path) == ["a.pth"]


def test_a_damaged_file_is_never_renamed(server, tmp_path):
    server.behaviour = "damaged"
    with pytest.raises(FetchError, match="damaged: its SHA-256 does not begin"):
        fetch(f"{server.url}/a.pth", tmp_path / "a.pth", DIGEST)
    assert files_in(tmp_path) == []


def test_a_silent_server_is_not_waited_for(server, tmp_path, monkeypatch):
    server.behaviour = "stalls"
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    start = time.monotonic()
    with pytest.raises(FetchError, match="timed out"):
        fetch(f"{server.url}/a.pth", tmp_path / "a.pth", DIGEST)
    assert time.monotonic() - start < 10
    assert files_in(tmp_path) == [".a.pth.part"]
    server.behaviour = "well"
    fetch(f"{server.url}/a.pth", tmp_path / "a.pth", DIGEST)
    assert files_in(tmp_path) == ["a.pth"]


def test_the_proxy_of_the_environment_is_asked(server, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    fetch("http://weights.invalid/a.pth", tmp_path / "a.pth", DIGEST)
    assert server.asked == [("http://weights.invalid/a.pth", None)]


def test_nothing_is_asked_where_the_network_is_forbidden(server, tmp_path, monkeypatch):
    monkeypatch.setenv(download.OFFLINE_VARIABLE, "1")
    with pytest.raises(FetchError, match="MRNETLIB_OFFLINE forbids the network"):
        fetch(f"{server.url}/a.pth", tmp_path / "a.pth", DIGEST)
    with pytest.raises(ValueError, match="MRNETLIB_OFFLINE forbids the network"):
        obtain._download(obtain.PACKAGES[0], tmp_path)
    assert server.asked == [] and files_in(tmp_path) == []


def test_a_file_that_another_process_fetches_is_waited_for(server, tmp_path):
    other = held(tmp_path / ".a.pth.part")
    ours = threading.Thread(
        target=fetch, args=(f"{server.url}/a.pth", tmp_path / "a.pth", DIGEST), daemon=True
    )
    ours.start()
    other.write(CONTENT)
    other.flush()
    (tmp_path / ".a.pth.part").replace(tmp_path / "a.pth")
    other.close()
    ours.join(20)
    assert not ours.is_alive() and server.asked == [] and files_in(tmp_path) == ["a.pth"]
