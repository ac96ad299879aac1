"""A projector: of each product it publishes how much there is, and how much of that
can be had.

It keeps nothing: every event of the inventory carries what it has left, so a page
leads to the same summary whenever it comes, and however often. What it can't be sure
of it doesn't publish.
"""

from google.protobuf.any_pb2 import Any
from grpc import StatusCode

from angzarr.angzarr_pb2 import EventBook, Projection
from angzarr.angzarr_pb2_grpc import ProjectorServicer, add_ProjectorServicer_to_server
from inventory import inventory_pb2 as inventory
from inventorysummary.inventorysummary_pb2 import ProductSummary

from shop import serving
from shop.messages import Refused, by_name, pack, refusals, unpack

# What the projector is called in configurations.
NAME = "inventory-summary"

# What changes a product's summary: all events of the inventory.
EVENTS = by_name(
    inventory.ProductCreated,
    inventory.StockAdjusted,
    inventory.StockReserved,
    inventory.ReservationCommitted,
    inventory.ReservationReleased,
)


class Summaries(ProjectorServicer):
    """Handle is not implemented: all that this projector does is in the answer."""

    def HandleSync(self, request: EventBook, context) -> Projection:
        with refusals(context):
            return handle_sync(request)


def handle_sync(book: EventBook) -> Projection:
    """Answers with the summary that the book's pages lead to, or with an empty
    projection, if they are of types that it doesn't know."""
    projection = Projection()
    for page in book.pages:
        try:
            summary = summarize(page.event)
        except ValueError as error:
            why = f'page {page.num}: "{page.event.type_url}": {error}'
            raise Refused(StatusCode.INVALID_ARGUMENT, why) from error
        if summary:
            projection = Projection(cover=book.cover, projector=NAME, sequence=page.num, projection=pack(summary))
    return projection


def summarize(packed: Any) -> ProductSummary | None:
    """Says what an event has left of a product: None, if it is no event of the
    inventory."""
    if not packed.type_url:
        raise ValueError("no event")
    event = unpack(packed, EVENTS)
    if event is None:
        return None
    if isinstance(event, inventory.ProductCreated):
        stock = inventory.Stock(sku=event.sku, on_hand=event.quantity)
    else:
        stock = event.stock
    if not stock.sku:
        raise ValueError("stock.sku: must not be empty: who recorded this must say what it left")
    if stock.reserved > stock.on_hand:
        raise ValueError(f"stock: {stock.reserved} reserved of {stock.on_hand} on hand")
    available = stock.on_hand - stock.reserved
    return ProductSummary(sku=stock.sku, on_hand=stock.on_hand, reserved=stock.reserved, available=available)


if __name__ == "__main__":
    serving.main(
        NAME,
        "127.0.0.1:50052",
        "angzarr.Projector",
        lambda server: add_ProjectorServicer_to_server(Summaries(), server),
    )
