"""A headless Chromium, and JupyterLab in it, for tests that look at what a user sees.

Chromium is driven over its own debugging protocol, through the websocket that Jupyter's server
brings along, so that no driver has to be installed beside the browser.
"""

import base64
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import websocket

#: Where Chromium or Chrome is, None without one.
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium here; `make test-browser` gets Debian's"
)

#: Pictures of pages that fail, or that one wants to look at, are kept here where this is set.
PICTURES = "MRNETLIB_PICTURES"


#: The documents that JupyterLab has open.
MAIN = "[...jupyterapp.shell.widgets('main')]"


class Page:
    """One tab of a browser.

    Parameters
    ----------
    address : of the tab's debugging websocket.
    """

    def __init__(self, address: str):
        self.socket = websocket.create_connection(address, timeout=120, suppress_origin=True)
        self.sent = 0
        self.complaints: list[str] = []
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        # Without it what has the focus, as JupyterLab's current widget, is left to chance.
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the protocol and give its result."""
        self.sent += 1
        self.socket.send(json.dumps({"id": self.sent, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.sent:
                assert "error" not in answer, f"{method}: {answer.get('error')}"
                return answer["result"]
            self.listen(answer)

    def listen(self, event: dict[str, Any]) -> None:
        """Remember errors that the page reports, and what it asks the network for."""
        found = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            details = found["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", str(details)))
        if event.get("method") == "Log.entryAdded" and found["entry"]["level"] == "error":
            self.complaints.append(f"{found['entry']['text']} {found['entry'].get('url', '')}")
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(found["request"]["url"])

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""
        how = {"expression": script, "awaitPromise": True, "returnByValue": True}
        result = self.call("Runtime.evaluate", **how)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, script: str, seconds: float = 60) -> None:
        """Wait until a JavaScript expression, or what it promises, is true."""
        end = time.monotonic() + seconds
        while not self.run(f"Promise.resolve({script}).then(Boolean)"):
            assert time.monotonic() < end, f"waited {seconds} s in vain for: {script}"
            time.sleep(0.1)

    def go(self, address: str) -> None:
        """Open an address and wait until it is loaded."""
        self.call("Page.navigate", url=address)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def resize(self, width: int, height: int = 900, dark: bool = False) -> None:
        """Give the page a size, as of a phone or a laptop, and a light or dark preference."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def press(self, selector: str, key: str, times: int = 1) -> None:
        """Press a key, as in ``ArrowRight``, on the first element that a CSS selector finds."""
        self.wait_for(f"document.querySelector({selector!r}) !== null", 20)
        self.run(f"document.querySelector({selector!r}).focus()")
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def picture(self, path: Path, whole: bool = False) -> Path:
        """Write what is seen, or the whole page, as PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))
        return path

    def keep_picture(self, name: str) -> None:
        """Write what is seen to the folder that `MRNETLIB_PICTURES` names, if it names one."""
        if folder := os.environ.get(PICTURES):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.picture(Path(folder) / f"{name}.png")


@contextlib.contextmanager
def ended(process: subprocess.Popen) -> Iterator[subprocess.Popen]:
    """End a process after the block, and by force where it does not."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def first_answer(address: str, process: subprocess.Popen, method: str = "GET") -> bytes:
    """What an address of a process that is starting says, as soon as it says something."""
    request = urllib.request.Request(address, method=method)
    for _ in range(1800):  # three minutes, on a machine with other things to do
        assert process.poll() is None, f"{process.args[0]} has ended with {process.returncode}"
        with contextlib.suppress(URLError, ConnectionError):
            return urllib.request.urlopen(request, timeout=60).read()
        time.sleep(0.1)
    raise AssertionError(f"{address}: no answer")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def chromium() -> Iterator[Page]:
    """A page of a headless Chromium with a profile of its own."""
    port = free_port()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio"]
        command += ["--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"]
        command += [f"--remote-debugging-port={port}", f"--user-data-dir={profile}", "about:blank"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with ended(subprocess.Popen(command, **quiet)) as process:
            said = first_answer(f"http://127.0.0.1:{port}/json/new?about:blank", process, "PUT")
            page = Page(json.loads(said)["webSocketDebuggerUrl"])
            page.resize(1200)
            yield page
            page.socket.close()


class Lab:
    """JupyterLab in a page: what a user does by hand, done by its own commands."""

    def __init__(self, page: Page, address: str):
        self.page, self.address = page, address
        page.go(f"{address}/lab")
        page.wait_for("window.jupyterapp && jupyterapp.restored.then(() => true)", 120)

    def open(self, path: str) -> None:
        """Open a notebook and wait for its kernel."""
        what = json.dumps({"path": path, "factory": "Notebook"})
        self.page.run(
            f"jupyterapp.commands.execute('docmanager:open', {what}).then(opened => "
            "(window.panel = opened).context.ready).then(() => panel.sessionContext.ready)"
            ".then(() => 0)"
        )
        self.page.wait_for("panel.sessionContext.session?.kernel?.status === 'idle'", 60)

    def run_all(self, seconds: float) -> None:
        """Run all cells of the open notebook; one that fails is an error here, too."""
        self.page.run(
            "window.over = false, jupyterapp.commands.execute('notebook:run-all-cells').then("
            "() => window.over = true), 0"
        )
        idle = "panel.sessionContext.session.kernel.status === 'idle'"
        self.page.wait_for(f"window.over && {idle}", seconds)
        errors = [o for o in self.outputs() if o["output_type"] == "error"]
        assert errors == [], "\n".join(errors[0]["traceback"])

    def cells(self) -> list[dict[str, Any]]:
        """The cells of the open notebook, as its file would have them now."""
        return self.page.run("panel.context.model.toJSON().cells")

    def outputs(self) -> list[dict[str, Any]]:
        """All outputs of the open notebook."""
        return [output for cell in self.cells() for output in cell.get("outputs", [])]

    def show(self, cell: int) -> None:
        """Scroll to a cell, of which JupyterLab draws only those in sight, and wait for it."""
        self.page.run(f"panel.content.scrollToItem({cell}, 'center').then(() => 0)")
        self.page.wait_for(f"panel.content.widgets[{cell}].isAttached")

    def links(self) -> list[str]:
        """The texts of the open notebook's links to files of the project."""
        prose = "\n".join(c["source"] for c in self.cells() if c["cell_type"] == "markdown")
        found = re.findall(r"\[([^\]\n]+)\]\((?!\w+:|#)[^)]+\)", prose)
        return [words.strip("`") for words in found]

    def follow(self, words: str) -> str:
        """Click on the link that has a text and stands in the open notebook, and close what opens.

        Returns
        -------
        The title of what has opened.
        """
        markdown = (
            f"c => c.model.type === 'markdown' && c.model.sharedModel.source.includes({words!r})"
        )
        self.show(self.page.run(f"panel.content.widgets.findIndex({markdown})"))
        link = f"[...panel.node.querySelectorAll('a')].find(a => a.textContent === {words!r})"
        self.page.wait_for(f"{link}?.getAttribute('href')?.startsWith('http')", 20)  # is resolved
        self.page.run(f"window.before = new Set({MAIN}), {link}.click(), 0")
        self.page.wait_for(f"window.opened = {MAIN}.find(widget => !before.has(widget))", 20)
        self.page.wait_for("opened === jupyterapp.shell.currentWidget", 20)
        title = self.page.run("opened.title.label")
        self.page.run("opened.context.ready.then(() => opened.dispose()).then(() => 0)")
        self.page.run("jupyterapp.shell.activateById(panel.id)")
        return title

    def close(self) -> None:
        """Close the notebook without saving, and end its kernel."""
        self.page.run(
            "panel.context.model.dirty = false, "
            "panel.sessionContext.shutdown().then(() => panel.dispose()).then(() => 0)"
        )


@contextlib.contextmanager
def jupyterlab(root: Path) -> Iterator[Lab]:
    """JupyterLab as `make lab` starts it, on a folder, in a page of its own.

    Its settings lie in a folder of their own: neither the user's are changed, nor do they matter.
    """
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token="]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    command += ["--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={root}"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as own:
        folders = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
        folders += ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
        here = os.environ | {name: str(Path(own) / name.lower()) for name in folders}
        log = (Path(own) / "log").open("w")
        server = subprocess.Popen(command, cwd=root, env=here, stdout=log, stderr=log)
        with ended(server), chromium() as page:  # both start at the same time
            first_answer(f"{address}/api", server)
            yield Lab(page, address)
