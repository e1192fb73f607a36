"""Constant load through the shop's own pages: readers and writers, each request with its time and its end.

Run by run.py as a process of its own, so that it measures the shop and not its own measuring. Writes one line of JSON a
request to standard output, until its standard input ends.
"""

import argparse
import http.client
import json
import random
import sys
import threading
import time
from urllib.parse import urlencode

#: Like a person's browser, which gives up at some time; a request that takes longer has failed.
PATIENCE_SECONDS = 30


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--port", type=int, required=True)
    words.add_argument("--orders", type=int, required=True)
    words.add_argument("--customers", type=int, required=True)
    words.add_argument("--readers", type=int, default=6)
    words.add_argument("--writers", type=int, default=2)
    words.add_argument("--pause", type=float, default=0.05)
    given = words.parse_args()
    stop, lock = threading.Event(), threading.Lock()

    def ask(method: str, path: str, form: dict[str, str] | None = None) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", given.port, timeout=PATIENCE_SECONDS)
        try:
            body = urlencode(form) if form else None
            headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            answer.read()
        except OSError as error:
            return type(error).__name__
        except http.client.HTTPException as error:
            return type(error).__name__
        finally:
            connection.close()
        return "" if answer.status < 400 else f"HTTP {answer.status}"

    def work(number: int, *, writes: bool) -> None:
        chance = random.Random(number)
        stop.wait(chance.random() * given.pause)
        while not stop.is_set():
            order = chance.randint(1, given.orders)
            if not writes:
                kind, path, method, form = "read", f"/orders/{order}", "GET", None
                if chance.random() < 0.1:
                    path = f"/customers?page={chance.randint(1, 5)}"
            elif chance.random() < 0.5:
                kind, path, method, form = "write", f"/orders/{order}/note", "POST", {"note": f"n {order}"}
            else:
                kind, path, method, form = "write", f"/orders/{order}/again", "POST", {"x": "y"}
            began, clock = time.time(), time.perf_counter()
            failed = ask(method, path, form)
            took = (time.perf_counter() - clock) * 1000
            line = json.dumps([began, kind, path.split("?")[0].rpartition("/")[2], round(took, 2), failed])
            with lock:
                print(line, flush=True)
            stop.wait(given.pause)

    workers = [
        threading.Thread(target=work, args=(n,), kwargs={"writes": n < given.writers})
        for n in range(given.readers + given.writers)
    ]
    for worker in workers:
        worker.start()
    sys.stdin.read()
    stop.set()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main()
