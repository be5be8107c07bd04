"""How long a newcomer waits: from a file to clusters, to a first live curve, and to a verdict, in the real browser.

    python benchmarks/journey.py [--until curve] [--seconds 1800]

Makes 300 German support messages of three topics, as a spreadsheet writes them (semicolons, a byte order mark, a title
line, blanks and copies), uploads them to a dashboard of its own, takes every proposal of the form, and clicks on.
Prints one JSON object: seconds from the choice of the file to the clusters, and from the start of pre-training to the
first point of a curve, with the machine. Needs `metapt setup`, playwright and a Chromium, and an idle machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from metapt_explore.storage.manifest import manifest

ROOT = Path(__file__).parents[1]
PORT = 8699
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
TOPICS = {
    "Rechnung": (
        ["Die Rechnung", "Der Betrag", "Die Abbuchung", "Meine Gutschrift", "Die Mahnung"],
        ["ist doppelt auf meinem Konto", "stimmt nicht mit dem Vertrag", "kam ohne Steuernummer", "ist zu hoch"],
        ["Bitte prüfen Sie das.", "Ich bitte um eine Korrektur.", "Wann bekomme ich mein Geld zurück?"],
    ),
    "Lieferung": (
        ["Das Paket", "Die Lieferung", "Meine Bestellung", "Der Karton", "Die Sendung"],
        ["ist seit zwei Wochen unterwegs", "kam beschädigt an", "ging an den falschen Nachbarn", "fehlt noch immer"],
        ["Wo finde ich die Sendungsnummer?", "Bitte schicken Sie Ersatz.", "Der Bote hat nicht geklingelt."],
    ),
    "Anmeldung": (
        ["Mein Passwort", "Das Konto", "Die Anmeldung", "Der Zugang", "Der Code per SMS"],
        ["wird nicht angenommen", "ist seit gestern gesperrt", "läuft immer ab", "geht am Handy nicht"],
        ["Ich komme nicht mehr hinein.", "Bitte setzen Sie es zurück.", "Die App zeigt nur einen Fehler."],
    ),
}


def write_messages(file: Path, rows: int = 300) -> None:
    """Support messages of three topics, as a spreadsheet writes them."""
    draw = random.Random(0)
    lines = ["Export der Anfragen vom 28.11.2026;;", "Nr;Nachricht;Thema"]
    for number in range(rows):
        topic = draw.choice(list(TOPICS))
        first, then, last = (draw.choice(part) for part in TOPICS[topic])
        text = "" if number % 60 == 59 else f"{first} {then} (Kunde {draw.randrange(10_000)}). {last}"
        lines.append(f"{number + 1};{text};{topic}")
    file.write_text("\ufeff" + "\n".join([*lines, lines[-1], lines[-2]]) + "\n", encoding="utf-8")


def measure(page: Any, file: Path, *, until: str, seconds: float) -> dict[str, float]:
    """Walks the journey; seconds of each part of it."""
    from playwright.sync_api import expect

    expect.set_options(timeout=1000 * seconds)
    page.set_default_timeout(1000 * seconds)
    page.goto(f"http://127.0.0.1:{PORT}")
    page.get_by_role("button", name="Choose texts").click()
    expect(page.get_by_role("heading", name="Texts", exact=True)).to_be_visible()  # Start has a file chooser, too
    chooser = page.locator("input[type=file]").first
    began = time.monotonic()
    chooser.set_input_files(str(file))
    create = page.get_by_role("button", name="Create it and cluster the texts")
    expect(create).to_be_enabled()
    found = {"form": time.monotonic() - began}
    create.click()
    expect(page.get_by_role("tab", name="Comparison")).to_be_visible()
    found["clusters"] = time.monotonic() - began
    page.get_by_role("link", name="Pre-training", exact=True).first.click()
    page.get_by_role("button", name="Pre-train and compare").click()
    started = time.monotonic()
    page.wait_for_selector(".js-plotly-plot .scatterlayer .trace")
    found["curve"] = time.monotonic() - started
    if until == "verdict":
        expect(page.get_by_text("This study is finished").first).to_be_visible()
        found["finished"] = time.monotonic() - started
    return {name: round(value, 1) for name, value in found.items()}


def main() -> None:
    """Starts a dashboard over an empty workspace and measures."""
    from playwright.sync_api import sync_playwright

    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--until", choices=("curve", "verdict"), default="curve")
    asked.add_argument("--seconds", type=float, default=1800, help="give up after so long at one step")
    options = asked.parse_args()
    browser_path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "anfragen.csv"
        write_messages(file)
        environment = {**os.environ, "METAPT_WORKSPACE": str(Path(folder) / "workspace")}
        command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py"), "--server.port", str(PORT)]
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        try:
            _wait_until_up()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
                page = browser.new_page(viewport={"width": 1440, "height": 1200})
                found = measure(page, file, until=options.until, seconds=options.seconds)
                browser.close()
        finally:
            server.terminate()
            server.wait(60)
            _stop_workers(Path(folder) / "workspace")
    print(json.dumps({"seconds": found, "manifest": manifest()}))


def _wait_until_up() -> None:
    for _ in range(240):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/_stcore/health", timeout=5).read()
            return
        except OSError:
            time.sleep(0.5)
    raise SystemExit("the dashboard did not come up")


def _stop_workers(workspace: Path) -> None:
    """Workers outlive the server by design."""
    for told in (workspace / "queue").glob("worker-*.json"):
        with contextlib.suppress(OSError, KeyError, ValueError):
            os.kill(json.loads(told.read_text(encoding="utf-8"))["pid"], signal.SIGTERM)
    time.sleep(2)


if __name__ == "__main__":
    main()
