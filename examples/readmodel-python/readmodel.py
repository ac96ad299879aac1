"""Keeps a read model of the inventory domain: what there is of each product.

    python readmodel.py follow [--server HOST:PORT] [--database FILE] [--domain NAME]
    python readmodel.py show [--database FILE]

    no checkpoint yet ──► the log's end: where to go on after the rebuild
                              │
                              ▼
                          rebuild: GetAggregateRoots, GetEvents of each
                              │
    checkpoint ──────────────►▼
                          follow: Synchronize from the checkpoint on

What holds:
  - A product's row has the number of the last event that is in it, so that each
    event counts once: those after the checkpoint may be in the rebuild already.
  - Rows change, and the checkpoint moves, in one transaction of the database. So
    the program may be killed at any time, and goes on where it was.
"""

import argparse
import json
import sqlite3
import sys
import time
import uuid
from pathlib import Path

import grpc
from google.protobuf import empty_pb2

sys.path.append(str(Path(__file__).parent / "gen"))  # what ./generate makes
from angzarr import angzarr_pb2 as angzarr  # noqa: E402
from angzarr.angzarr_pb2_grpc import EventQueryStub  # noqa: E402
from inventory import inventory_pb2 as inventory  # noqa: E402

LONGEST_PAUSE = 2.0

SCHEMA = """
CREATE TABLE IF NOT EXISTS product (
    root BLOB PRIMARY KEY, last INTEGER NOT NULL, sku TEXT, name TEXT, on_hand INTEGER, reserved INTEGER
);
CREATE TABLE IF NOT EXISTS checkpoint (
    domain TEXT PRIMARY KEY, position BLOB NOT NULL, rebuilt INTEGER NOT NULL DEFAULT FALSE
);
"""

# What an event changes: of a row, or (the first one) what makes it.
CHANGES = {
    "inventory.ProductCreated": (
        inventory.ProductCreated,
        lambda row, e: row.update(sku=e.sku, name=e.name, on_hand=e.quantity, reserved=0),
    ),
    "inventory.StockAdjusted": (
        inventory.StockAdjusted,
        lambda row, e: row.update(on_hand=row["on_hand"] + e.delta),
    ),
    "inventory.StockReserved": (
        inventory.StockReserved,
        lambda row, e: row.update(reserved=row["reserved"] + e.quantity),
    ),
    "inventory.ReservationCommitted": (
        inventory.ReservationCommitted,
        lambda row, e: row.update(on_hand=row["on_hand"] - e.quantity, reserved=row["reserved"] - e.quantity),
    ),
    "inventory.ReservationReleased": (
        inventory.ReservationReleased,
        lambda row, e: row.update(reserved=row["reserved"] - e.quantity),
    ),
}


class Model:
    """Products and the checkpoint, in one SQLite database."""

    def __init__(self, file):
        self.db = sqlite3.connect(file, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.executescript(SCHEMA)

    def products(self):
        return self.db.execute("SELECT * FROM product ORDER BY root")

    def last(self, root):
        row = self.db.execute("SELECT last FROM product WHERE root = ?", (root,)).fetchone()
        return row["last"] if row else 0

    def checkpoint(self, domain):
        row = self.db.execute("SELECT position, rebuilt FROM checkpoint WHERE domain = ?", (domain,)).fetchone()
        return (row["position"], bool(row["rebuilt"])) if row else (None, False)

    def begin(self, domain, position):
        self.db.execute("INSERT INTO checkpoint (domain, position) VALUES (?, ?)", (domain, position))

    def rebuilt(self, domain):
        self.db.execute("UPDATE checkpoint SET rebuilt = TRUE WHERE domain = ?", (domain,))

    def forget(self, root):
        self.db.execute("DELETE FROM product WHERE root = ?", (root,))

    def take(self, book, domain=None):
        """Takes in a book, and moves the domain's checkpoint behind it if it is of a subscription."""
        self.db.execute("BEGIN IMMEDIATE")
        with self.db:
            if book.HasField("erased"):
                self.forget(book.cover.root.value)
            if book.pages:
                self._add(book.cover.root.value, book.pages)
            if domain:
                self.db.execute("UPDATE checkpoint SET position = ? WHERE domain = ?", (book.position, domain))

    def _add(self, root, pages):
        found = self.db.execute("SELECT * FROM product WHERE root = ?", (root,)).fetchone()
        row = dict(found) if found else {"root": root, "last": 0, "sku": None, "name": None, "on_hand": None, "reserved": None}
        for page in pages:
            if page.num <= row["last"]:
                continue
            if page.num != row["last"] + 1:
                raise RuntimeError(f"product {uuid.UUID(bytes=root)}: event {page.num} came where {row['last'] + 1} was due")
            kind, change = CHANGES.get(page.event.TypeName(), (None, None))
            if kind:  # else it came to the domain later
                event = kind()
                page.event.Unpack(event)
                change(row, event)
            row["last"] = page.num
        self.db.execute(
            "INSERT OR REPLACE INTO product VALUES (:root, :last, :sku, :name, :on_hand, :reserved)", row)


class Follower:
    """Brings a model to where the log is, and keeps it there."""

    def __init__(self, model, channel, domain, say):
        self.model, self.queries, self.domain, self.say = model, EventQueryStub(channel), domain, say
        self.failures = 0

    def run(self):
        """Goes on after connections that broke, and servers that stopped."""
        while True:
            try:
                self.once()
            except grpc.RpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
                    raise
                self.say(f"goes on in a moment: {error.details()}")
            time.sleep(min(LONGEST_PAUSE, 0.05 * 2 ** min(self.failures, 6)))
            self.failures += 1

    def once(self):
        position, rebuilt = self.model.checkpoint(self.domain)
        if position is None:
            position = self.end_of_log()
            self.model.begin(self.domain, position)
        if not rebuilt:
            self.rebuild()
        self.follow(position)

    def end_of_log(self):
        stream = self.subscribe(angzarr.Query(domain=self.domain, from_end=True))
        position = next(stream).position
        stream.cancel()
        return position

    def rebuild(self):
        roots = 0
        only = (("angzarr-domain", self.domain),)
        for found in self.queries.GetAggregateRoots(empty_pb2.Empty(), metadata=only, wait_for_ready=True):
            self.load(found.root)
            roots += 1
        self.model.rebuilt(self.domain)
        self.say(f"rebuilt from {roots} products")

    def load(self, root):
        """Gets the events that a product's row has not; False says that it was erased."""
        query = angzarr.Query(domain=self.domain, root=root, lowerBound=self.model.last(root.value) + 1)
        try:
            for book in self.queries.GetEvents(query):
                self.model.take(book)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.FAILED_PRECONDITION:
                raise
            self.model.forget(root.value)
            return False
        self.say(f"loaded {uuid.UUID(bytes=root.value)} up to {self.model.last(root.value)}")
        return True

    def follow(self, position):
        for book in self.subscribe(angzarr.Query(domain=self.domain, position=position)):
            self.failures = 0
            root = book.cover.root
            if book.pages and book.pages[0].num > self.model.last(root.value) + 1 and not self.load(root):
                del book.pages[:]  # the rebuild left it out, since it is erased: that comes, too
            self.model.take(book, self.domain)
            if book.pages:
                self.say(f"followed {uuid.UUID(bytes=root.value)} up to {book.pages[-1].num}")
            if book.caught_up:
                self.say("caught up")

    def subscribe(self, query):
        return self.queries.Synchronize(iter([query]), wait_for_ready=True)


def main():
    parser = argparse.ArgumentParser(description="A read model of the inventory domain.")
    parser.add_argument("what", choices=["follow", "show"])
    parser.add_argument("--server", default="127.0.0.1:50050", help="the front door's address")
    parser.add_argument("--domain", default="inventory")
    parser.add_argument("--database", default="stock.db")
    args = parser.parse_args()
    model = Model(args.database)
    if args.what == "show":
        for row in model.products():
            print(json.dumps({**row, "root": str(uuid.UUID(bytes=row["root"]))}))
        return
    with grpc.insecure_channel(args.server) as channel:
        Follower(model, channel, args.domain, lambda text: print(text, flush=True)).run()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except grpc.RpcError as error:
        # DATA_LOSS, or a position that is refused: the log is another one by now.
        sys.exit(f"{error.code().name}: {error.details()}\nTo make the model anew, delete its database.")
