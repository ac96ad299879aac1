"""Business logic of the inventory: products, their stock, and what orders have set
aside of it.

The same book and the same commands always lead to the same events; nothing is kept
between calls. The commands of one book are one unit: all are accepted, or none. On
hand never falls below what is reserved, and an event says what it has left.
"""

from uuid import UUID

from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from grpc import StatusCode

from angzarr.angzarr_pb2 import (
    CommandPage,
    ContextualCommand,
    EventBook,
    EventPage,
    RejectionNotification,
    Snapshot,
)
from angzarr.angzarr_pb2_grpc import BusinessLogicServicer, add_BusinessLogicServicer_to_server
from inventory import inventory_pb2 as pb
from order.order_pb2 import RecordReservation

from shop import serving
from shop.messages import Refused, by_name, invalid, pack, refusals, unpack

# The length in pages at which an open book gets a snapshot, so that no call has to
# carry and fold much more than that.
SNAPSHOT_EVERY = 100

# What uint32 holds.
MOST = 2**32 - 1

EVENTS = by_name(
    pb.ProductCreated, pb.StockAdjusted, pb.StockReserved, pb.ReservationCommitted, pb.ReservationReleased
)
# The last is the news that a command which an event led to was rejected.
COMMANDS = by_name(
    pb.CreateProduct,
    pb.AdjustStock,
    pb.ReserveStock,
    pb.CommitReservation,
    pb.ReleaseReservation,
    RejectionNotification,
)


class Logic(BusinessLogicServicer):
    def Handle(self, request: ContextualCommand, context) -> EventBook:
        with refusals(context):
            return handle(request)


def handle(asked: ContextualCommand) -> EventBook:
    """Answers with the events that the commands lead to, in order, or refuses them
    all. The coordinator numbers the pages."""
    product = fold(asked.events)
    book = EventBook(cover=asked.command.cover)
    for page in asked.command.pages:
        event = decide(product, command_of(page))
        if event is None:
            continue
        apply(product, event)  # the next command of the unit sees what this one led to
        book.pages.append(EventPage(event=pack(event)))
    if len(asked.events.pages) + len(book.pages) >= SNAPSHOT_EVERY:
        book.snapshot.CopyFrom(Snapshot(state=pack(product)))
    return book


def command_of(page: CommandPage) -> Message:
    try:
        command = unpack(page.command, COMMANDS)
    except ValueError as error:
        raise invalid("command", error) from error
    if command is None:
        want = "want inventory.CreateProduct, AdjustStock, ReserveStock, CommitReservation or ReleaseReservation"
        raise invalid("command", f"unknown type {page.command.TypeName()}: {want}")
    return command


# ---------------------------------------------------------------- the state


def fold(book: EventBook) -> pb.Product:
    """Makes the state out of an open book: the snapshot, if there is one, and the
    pages after it. A product without history is empty."""
    product = pb.Product()
    if book.snapshot.HasField("state"):
        where = f"snapshot of page {book.snapshot.sequence}"
        product = past(where, book.snapshot.state, by_name(pb.Product))
    for page in book.pages:
        apply(product, past(f"page {page.num}", page.event, EVENTS))
    return product


def past(where: str, packed: Any, types: dict[str, type[Message]]) -> Message:
    """What can't be read is no refusal of the command: a decision on half-understood
    history would be wrong."""
    try:
        if (message := unpack(packed, types)) is not None:
            return message
    except ValueError as error:
        raise Refused(StatusCode.INTERNAL, f"{where}: {error}") from error
    raise Refused(StatusCode.INTERNAL, f"{where}: not an event of the inventory: {packed.TypeName()}")


def apply(product: pb.Product, event: Message) -> None:
    """Changes the product by one event. It never refuses what has happened."""
    match event:
        case pb.ProductCreated():
            product.sku, product.name, product.on_hand = event.sku, event.name, event.quantity
        case pb.StockAdjusted():
            product.on_hand = (product.on_hand + event.delta) & MOST
        case pb.StockReserved():
            product.reservations[event.order_id] = event.quantity
        case pb.ReservationCommitted():
            product.on_hand = (product.on_hand - event.quantity) & MOST
            product.reservations.pop(event.order_id, None)
        case pb.ReservationReleased():
            product.reservations.pop(event.order_id, None)


def reserved(product: pb.Product) -> int:
    """What all orders together have set aside."""
    return sum(product.reservations.values())


# ---------------------------------------------------------------- the rules


def decide(product: pb.Product, command: Message) -> Message | None:
    """Says which event a command leads to: none, where it has been done already."""
    match command:
        case pb.CreateProduct():
            return create(product, command)
        case pb.AdjustStock():
            return adjust(product, command)
        case pb.ReserveStock():
            return reserve(product, command)
        case pb.CommitReservation():
            return commit(product, command)
        case pb.ReleaseReservation():
            return release(product, command)
        case RejectionNotification():
            return compensate(product, command)


def create(product: pb.Product, command: pb.CreateProduct) -> Message:
    if not command.sku:
        raise invalid("sku", "must not be empty")
    if exists(product):
        raise Refused(StatusCode.ALREADY_EXISTS, f'product "{product.sku}" is there already')
    return pb.ProductCreated(sku=command.sku, name=command.name, quantity=command.quantity)


def adjust(product: pb.Product, command: pb.AdjustStock) -> Message:
    if command.delta == 0:
        raise invalid("delta", "must not be zero")
    must_exist(product)
    must_have(product, -command.delta)
    if product.on_hand + command.delta > MOST:
        raise Refused(
            StatusCode.OUT_OF_RANGE,
            f'{command.delta} more of "{product.sku}" are too many: '
            f"{product.on_hand} on hand, at most {MOST} can be",
        )
    stock = after(product, on_hand=command.delta)
    return pb.StockAdjusted(delta=command.delta, reason=command.reason, stock=stock)


def reserve(product: pb.Product, command: pb.ReserveStock) -> Message | None:
    must_name_order(command.order_id)
    if command.quantity == 0:
        raise invalid("quantity", "must not be zero")
    must_exist(product)
    if (has := product.reservations.get(command.order_id)) is not None:
        if has == command.quantity:
            return None
        raise Refused(
            StatusCode.ALREADY_EXISTS,
            f'order "{command.order_id}" has reserved {has} of "{product.sku}" already',
        )
    must_have(product, command.quantity)
    stock = after(product, reserves=command.quantity)
    return pb.StockReserved(order_id=command.order_id, quantity=command.quantity, stock=stock)


def commit(product: pb.Product, command: pb.CommitReservation) -> Message:
    must_name_order(command.order_id)
    must_exist(product)
    quantity = product.reservations.get(command.order_id)
    if quantity is None:
        raise Refused(
            StatusCode.FAILED_PRECONDITION,
            f'order "{command.order_id}" has reserved nothing of "{product.sku}"',
        )
    stock = after(product, on_hand=-quantity, reserves=-quantity)
    return pb.ReservationCommitted(order_id=command.order_id, quantity=quantity, stock=stock)


def release(product: pb.Product, command: pb.ReleaseReservation) -> Message | None:
    must_name_order(command.order_id)
    must_exist(product)
    return give_back(product, command.order_id)


def compensate(product: pb.Product, rejection: RejectionNotification) -> Message | None:
    """An order that refuses its reservation, because it was cancelled meanwhile,
    gives it back. All else nobody here can make good; a refusal makes it a dead
    letter, for people to look at."""
    pages = rejection.command.pages  # the saga puts one command in a book
    name = pages[0].command.TypeName() if pages else ""
    if name != RecordReservation.DESCRIPTOR.full_name:
        raise Refused(
            StatusCode.FAILED_PRECONDITION, f'nothing makes good a rejected "{name}": {rejection.message}'
        )
    try:
        order = UUID(bytes=rejection.command.cover.root.value)
    except ValueError as error:
        raise invalid("command.cover.root", error) from error
    return give_back(product, str(order))


def give_back(product: pb.Product, order: str) -> Message | None:
    """Releases all that an order has; that it has nothing is no reason to refuse,
    since it is what was asked for."""
    quantity = product.reservations.get(order)
    if quantity is None:
        return None
    stock = after(product, reserves=-quantity)
    return pb.ReservationReleased(order_id=order, quantity=quantity, stock=stock)


def after(product: pb.Product, on_hand: int = 0, reserves: int = 0) -> pb.Stock:
    """What an event leaves that changes the stock by so much."""
    return pb.Stock(
        sku=product.sku, on_hand=product.on_hand + on_hand, reserved=reserved(product) + reserves
    )


def exists(product: pb.Product) -> bool:
    """Holds from a product's first event on: none is created without a sku."""
    return product.sku != ""


def must_exist(product: pb.Product) -> None:
    if not exists(product):
        raise Refused(StatusCode.NOT_FOUND, "no such product: create it first")


def must_have(product: pb.Product, asked: int) -> None:
    held = reserved(product)
    available = product.on_hand - held
    if asked > available:
        raise Refused(
            StatusCode.FAILED_PRECONDITION,
            f'stock of "{product.sku}" is short: {available} available '
            f"({product.on_hand} on hand, {held} reserved), {asked} asked for",
        )


def must_name_order(order: str) -> None:
    if not order:
        raise invalid("order_id", "must not be empty")


if __name__ == "__main__":
    serving.main(
        "inventory",
        "127.0.0.1:50051",
        "angzarr.BusinessLogic",
        lambda server: add_BusinessLogicServicer_to_server(Logic(), server),
    )
