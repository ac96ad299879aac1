"""A saga that has orders get their stock, and tells them when they have.

    order                           saga                       inventory
    OrderPlaced ──────────────────► for each line ───────────► ReserveStock
    RecordReservation ◄──────────── ──────────────◄─────────── StockReserved
    OrderShipped ─────────────────► for each line ───────────► CommitReservation
    OrderCancelled, OrderRejected ► for each reserved line ──► ReleaseReservation

It keeps nothing, and asks nobody: what a command needs is in the event. It needs to
know of no refusal: a refused command comes back to the aggregate whose event led to it.
"""

from collections.abc import Callable, Iterable, Iterator
from uuid import UUID

from google.protobuf.message import Message
from grpc import StatusCode

from angzarr.angzarr_pb2 import (
    UUID as Root,
    CommandBook,
    CommandPage,
    Cover,
    EventBook,
    SynchronousProcessingResponse,
)
from angzarr.angzarr_pb2_grpc import SagaServicer, add_SagaServicer_to_server
from inventory.inventory_pb2 import CommitReservation, ReleaseReservation, ReserveStock, StockReserved
from order import order_pb2 as order

from shop import serving
from shop.messages import Refused, by_name, invalid, pack, refusals, unpack

ORDERS, INVENTORY = "order", "inventory"

# What there is to react to.
EVENTS = by_name(
    order.OrderPlaced, order.OrderShipped, order.OrderCancelled, order.OrderRejected, StockReserved
)


class Fulfillment(SagaServicer):
    """Handle is not implemented: this saga leaves the sending to its coordinator."""

    def HandleSync(self, request: EventBook, context) -> SynchronousProcessingResponse:
        with refusals(context):
            return handle_sync(request)


def handle_sync(book: EventBook) -> SynchronousProcessingResponse:
    """Answers with the commands that the book's events lead to. Events of types that
    it doesn't know lead to none."""
    try:
        root = UUID(bytes=book.cover.root.value)
    except ValueError as error:
        raise invalid("cover.root", error) from error
    answer = SynchronousProcessingResponse()
    for page in book.pages:
        try:
            if not page.HasField("event"):
                raise ValueError("no event")
            if event := unpack(page.event, EVENTS):
                answer.commands.extend(react(root, page.num, event))
        except ValueError as error:
            raise Refused(StatusCode.INVALID_ARGUMENT, f"page {page.num}: {error}") from error
    return answer


def react(root: UUID, number: int, event: Message) -> Iterable[CommandBook]:
    """Says which commands an event of an order or a product leads to. An order is
    known to the inventory by its root's text form, a product to the order by its
    own."""
    match event:
        case order.OrderPlaced():
            return for_each(event.lines, lambda line: ReserveStock(order_id=str(root), quantity=line.quantity))
        case order.OrderShipped():
            return for_each(event.lines, lambda _: CommitReservation(order_id=str(root)))
        case order.OrderCancelled() | order.OrderRejected():
            return for_each(event.reserved, lambda _: ReleaseReservation(order_id=str(root)))
        case StockReserved():
            news = order.RecordReservation(product_id=str(root), quantity=event.quantity, reservation=number)
            customer = order_of(event.order_id)
            return [command(ORDERS, customer, news)] if customer else []


def for_each(lines: Iterable[order.Line], say: Callable[[order.Line], Message]) -> Iterator[CommandBook]:
    """Makes a command for the product of each line."""
    for i, line in enumerate(lines):
        try:
            product = UUID(line.product_id)
        except ValueError as error:
            raise ValueError(f"line {i}: product_id: {error}") from error
        yield command(INVENTORY, product, say(line))


def order_of(text: str) -> UUID | None:
    """The order that a reservation is for; None, where it was made by hand."""
    try:
        customer = UUID(text)
    except ValueError:
        return None
    return customer if str(customer) == text else None


def command(domain: str, root: UUID, message: Message) -> CommandBook:
    """A command for one aggregate. Who sent it, and under which id, its coordinator
    adds."""
    cover = Cover(domain=domain, root=Root(value=root.bytes))
    return CommandBook(cover=cover, pages=[CommandPage(command=pack(message))])


if __name__ == "__main__":
    serving.main(
        "order-fulfillment",
        "127.0.0.1:50053",
        "angzarr.Saga",
        lambda server: add_SagaServicer_to_server(Fulfillment(), server),
    )
