"""The audit of pinned versions, asked of a made-up service on this machine."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from conftest import script_of_docs

audit = script_of_docs("audit")


@pytest.fixture
def service(tmp_path, monkeypatch):
    """A service that gives `answer`, or what it knows of a package named bad; and the pins."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
            known = [{"vulns": [{"id": "X-1"}]} if q["package"]["name"] == "bad" else {}
                     for q in asked]  # fmt: skip
            self.send_response(200)
            self.end_headers()
            self.wfile.write(server.answer or json.dumps({"results": known}).encode())

    monkeypatch.setenv("no_proxy", "*")
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.answer, server.pins = None, tmp_path / "constraints.txt"
        server.words = ["--service", f"http://127.0.0.1:{server.server_port}"]
        server.words += ["--constraints", str(server.pins)]
        server.pins.write_text("# pinned\ngood==1.0\nalso.good==2.1\n")
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def test_every_pinned_version_is_asked_about(service, capsys):
    assert audit.main(service.words) == 0
    assert capsys.readouterr().out == "0 of 2 pinned versions have known vulnerabilities\n"
    service.pins.write_text("good==1.0\nbad==0.1  # old\n")
    assert audit.main(service.words) == 1
    assert "bad 0.1: X-1\n1 of 2 pinned" in capsys.readouterr().out


@pytest.mark.parametrize("answer", [b"<html>", b"{}", b'{"results": []}', b"[]"])
def test_what_could_not_be_asked_is_not_called_safe(service, capsys, answer):
    service.answer = answer
    assert audit.main(service.words) == 2
    assert "nothing is known of the 2 pinned versions" in capsys.readouterr().err


def test_without_a_network_nothing_is_called_safe(service, capsys):
    assert audit.main([*service.words, "--service", "http://127.0.0.1:9"]) == 2
    assert "could not be asked" in capsys.readouterr().err


def test_the_real_constraints_are_read_whole():
    text = (audit.ROOT / "constraints.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert len(audit.pinned(text)) == len(lines) > 100
