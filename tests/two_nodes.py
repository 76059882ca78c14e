"""A real Ray cluster on this machine: two nodes, each started by itself, with folders of their own and one core."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_STORE_BYTES = 128 << 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def started(folder, *words):
    """A node of a cluster, in a process group of its own, in an empty folder of its own."""
    folder.mkdir(parents=True)
    command = Path(sys.executable).with_name("ray")
    settings = ("--num-cpus=1", f"--temp-dir={folder}", f"--object-store-memory={_STORE_BYTES}")
    return subprocess.Popen(
        [sys.executable, command, "start", "--block", "--disable-usage-stats", *settings, *words],
        cwd=folder,
        start_new_session=True,
        stdout=(folder / "said").open("w"),
        stderr=subprocess.STDOUT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0", "TMPDIR": str(folder)},
    )


@dataclass
class Cluster:
    address: str
    head: subprocess.Popen
    second: subprocess.Popen

    def lose(self, node):
        """The machine of a node is switched off."""
        for pid in (*children(node.pid), node.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        node.wait()

    def workers(self):
        """Process ids of the workers that are doing a job."""
        own = {*children(self.head.pid), *children(self.second.pid)}
        return [pid for pid in own if title(pid).startswith("ray::do_remote")]


@contextmanager
def two_nodes(folder):
    """A cluster that ends with the block."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    head = started(folder / "a", "--head", f"--port={port}", "--include-dashboard=false")
    _wait_for(port)
    second = started(folder / "b", f"--address={address}")
    cluster = Cluster(address, head, second)
    try:
        yield cluster
    finally:
        for node in (second, head):
            if node.poll() is None:
                cluster.lose(node)


def _wait_for(port):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(OSError):
            return socket.create_connection(("127.0.0.1", port), 1).close()
        time.sleep(0.1)
    raise TimeoutError("the head of the Ray cluster does not start")


def title(pid):
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def children(pid):
    """Process ids of all that `pid` has started, and these in turn."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            found = path.read_text().rpartition(")")[2].split()
            parents.setdefault(int(found[1]), []).append(int(path.parent.name))
    below, waiting = [], [pid]
    while waiting:
        new = parents.get(waiting.pop(), [])
        below += new
        waiting += new
    return below
