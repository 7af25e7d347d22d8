"""live.py CONSOLE COPY: the live page in a browser, while the console is copied in pieces, cut anywhere. Exit code 1: it failed."""
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../../tools/view")]

import snapshots
from browser import Browser


def wait(page, wanted):
    """Until the page has so many snapshots."""
    for _ in range(60):
        if page.ask("quarry.shots.length") >= wanted:
            return True
        time.sleep(0.1)
    return False


def main(whole, copy):
    document, _ = snapshots.read(whole)
    with open(whole, "rb") as file:
        data = file.read()
    count = len(document["snapshots"])
    open(copy, "wb").close()
    server = subprocess.Popen([sys.executable, os.path.join(HERE, "../../tools/view/view.py"), "live", copy, "0"], stdout=subprocess.PIPE, text=True)
    try:
        url = server.stdout.readline().strip()
        with Browser() as page:
            page.open(url)
            empty = page.ask("quarry.shots.length") == 0
            with open(copy, "ab") as file:
                file.write(data[:len(data) // 2 + 7])
                file.flush()
                some = wait(page, 2) and page.ask("quarry.shots.length") < count
                file.write(data[len(data) // 2 + 7:])
            all_ = wait(page, count)
            at_end = page.ask("quarry.shots.indexOf(quarry.current())") == count - 1
            same = page.ask("quarry.totals(quarry.current()).usable") == snapshots.totals(document["snapshots"][-1], document["names"])["usable"]
            if not (url.startswith("http://127.0.0.1:") and empty and some and all_ and at_end and same) or page.errors:
                print("live:", url, empty, some, all_, at_end, same, page.errors)
                return 1
    finally:
        server.kill()
        server.wait()
    print(f"live: the page followed {count} snapshots")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
