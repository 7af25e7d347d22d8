"""A server for a page that grows with the console of a machine that runs. Only this host reaches it.

The page asks for snapshots.json?from=N: the snapshots from the N-th on, and the notes so far. Each look at the console
reads what is new of it.
"""
import http.server
import json
import os
import threading
import urllib.parse

import snapshots


class Console:
    """A file that grows, and the snapshots in it."""

    def __init__(self, path):
        self.path, self.at, self.rest, self.number = path, 0, "", 0
        self.reader, self.lock = snapshots.Reader(), threading.Lock()

    def look(self):
        with self.lock:
            if os.path.exists(self.path):
                with open(self.path, "rb") as file:
                    file.seek(self.at)
                    new = file.read()
                self.at += len(new)
                *lines, self.rest = (self.rest + new.decode("utf-8", "replace")).split("\n")
                for number, text in snapshots.texts(lines):
                    self.reader.take(self.number + number, text)
                self.number += len(lines)
            return self.reader.document(), list(self.reader.notes)


def handler(console, page):
    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self, kind, text):
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", kind + "; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            where = urllib.parse.urlsplit(self.path)
            document, notes = console.look()
            if where.path == "/":
                self.answer("text/html", page(document, True))
            elif where.path == "/snapshots.json":
                first = urllib.parse.parse_qs(where.query).get("from", ["0"])[0]
                first = int(first) if first.isdigit() else 0
                news = dict(document, snapshots=document["snapshots"][first:], notes=notes)
                self.answer("application/json", json.dumps(news))
            else:
                self.send_error(404)

        def log_message(self, *_):
            pass

    return Handler


def serve(path, port, page):
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler(Console(path), page)) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}/", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
