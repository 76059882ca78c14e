"""An Orthanc of its own on this machine, empty, reachable from here alone, with its DICOMweb plugin."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
_STARTED_S, _STOPPED_S = 60, 20


@contextmanager
def orthanc(folder):
    """The URL of its DICOMweb service; the test is skipped where Debian's packages are not installed."""
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if program is None or not PLUGIN.exists():
        pytest.skip("Orthanc is not installed: apt-get install orthanc orthanc-dicomweb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    folder.mkdir(parents=True)
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log) as server,
    ):
        try:
            _wait(server, f"http://127.0.0.1:{port}/system", folder / "log")
            yield f"http://127.0.0.1:{port}/dicom-web"
        finally:
            server.terminate()
            try:
                server.wait(_STOPPED_S)
            except subprocess.TimeoutExpired:
                server.kill()


def _wait(server, url, log):
    until = time.monotonic() + _STARTED_S
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"Orthanc did not start: {log.read_text()[-2000:]}")
