"""`metapt app`: the dashboard of an installed package, where there is no `app.py` and no `.streamlit` folder."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from metapt_explore.cli.options import WorkspaceOption
from metapt_explore.progress.console import echo

#: Beside a folder `pages/` Streamlit would show its files until the frame has run once; hence `views/`.
SCRIPT = Path(__file__).parents[1] / "dashboard" / "main.py"
#: What `.streamlit/config.toml` says in the repository.
SETTINGS = {
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "theme.light.textColor": "#141414",
}
#: Names that only browsers on this machine use.
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
#: Addresses that mean all addresses of this machine.
ANY_ADDRESS = ("0.0.0.0", "::", "")


def dashboard(
    *,
    workspace: WorkspaceOption = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8501,
    address: Annotated[
        str, typer.Option(help="Address to bind (default: localhost).", show_default=False)
    ] = "127.0.0.1",
    host: Annotated[
        list[str] | None,
        typer.Option(help="Another host name that browsers may use, such as a proxy's; may be repeated."),
    ] = None,
    record: Annotated[
        list[Path] | None, typer.Option(help="A published record to look at (folder or zip); may be repeated.")
    ] = None,
) -> None:
    """Open the dashboard on a workspace; the same pages as `streamlit run app.py`."""
    if record:
        from metapt_explore.reporting.published import open_record
        from metapt_explore.storage.workspace import Workspace

        for source in record:
            name = open_record(Workspace(workspace), source).removeprefix("record:")
            echo(f"{source}: choose '{name} (record)' under Study.")
    raise typer.Exit(open_dashboard(workspace, port, address, hosts=host or ()))


def open_dashboard(workspace: Path | None, port: int, address: str, *, hosts: Sequence[str] = ()) -> int:
    """Runs the dashboard until it is stopped.

    Args:
        workspace: The workspace folder (default: `$METAPT_WORKSPACE`, else `./workspace`).
        port: Port to listen on.
        address: Address to bind; 127.0.0.1 is reached from this machine only.
        hosts: More host names that browsers may use, see `allowed_hosts`.

    Returns:
        The server's exit code, 0 if Ctrl-C stopped it. On POSIX it does not return: this process becomes the server.
    """
    settings = {**SETTINGS, "server.port": str(port), "server.address": address}
    command = [sys.executable, "-m", "streamlit", "run", str(SCRIPT)]
    command += [part for name, value in settings.items() for part in (f"--{name}", value)]
    command += [part for host in allowed_hosts(address, hosts) for part in ("--server.allowedHosts", host)]
    environment = dict(os.environ)
    if workspace is not None:
        environment["METAPT_WORKSPACE"] = str(workspace)
    if os.name == "posix":
        # This process becomes the server: whoever stops the one stops the other.
        os.execve(sys.executable, command, environment)
    with subprocess.Popen(command, env=environment) as server:
        try:
            return server.wait()
        except KeyboardInterrupt:
            # Ctrl-C reached the server, too; give it time to end by itself.
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
            return 0


def allowed_hosts(address: str, more: Sequence[str] = ()) -> list[str]:
    """Host names that browsers may use; requests under any other name are refused.

    A foreign web page can make its own name resolve to this machine (DNS rebinding): the browser then takes the
    dashboard for a part of that page, but its requests still carry the page's name.

    Args:
        address: The address that the server binds. If it means all addresses, they and the machine's names are allowed.
        more: Other names, for example of a proxy in front of the server; ``*`` allows any.

    Example:
        >>> allowed_hosts("192.168.1.5", ["lab.example.org"])
        ['localhost', '127.0.0.1', '::1', '192.168.1.5', 'lab.example.org']
    """
    names = [address]
    if address in ANY_ADDRESS:
        import psutil

        addresses = [entry.address for entries in psutil.net_if_addrs().values() for entry in entries]
        names = [socket.gethostname(), socket.getfqdn(), *(entry for entry in addresses if _is_ip_address(entry))]
    return list(dict.fromkeys([*LOCAL_HOSTS, *names, *more]))


def _is_ip_address(address: str) -> bool:
    """Whether it is an IP address, not a network card's."""
    import ipaddress

    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
