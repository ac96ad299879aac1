"""Business logic of orders, which works with another domain's through a saga: an
order is confirmed when the inventory has reserved all of its lines, and rejected when
it can't.

An order is shipped, cancelled or rejected, once, and then takes no reservation any
more. The event that ends it names the lines that are reserved; a reservation that
comes later is refused, which sends it back to the product. What a saga sends may come
again: it does no more than the first time.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from google.protobuf.message import Message
from grpc import StatusCode

from angzarr.angzarr_pb2 import CommandPage, ContextualCommand, EventBook, EventPage, RejectionNotification
from angzarr.angzarr_pb2_grpc import BusinessLogicServicer, add_BusinessLogicServicer_to_server
from inventory.inventory_pb2 import ReserveStock
from order import order_pb2 as pb

from shop import serving
from shop.messages import Refused, by_name, invalid, pack, refusals, unpack

# Keeps an order's history short, and what the saga makes of it.
MOST_LINES = 100

EVENTS = by_name(
    pb.OrderPlaced, pb.LineReserved, pb.OrderConfirmed, pb.OrderShipped, pb.OrderCancelled, pb.OrderRejected
)
# The last is the news that a command which an event led to was rejected.
COMMANDS = by_name(pb.PlaceOrder, pb.RecordReservation, pb.ShipOrder, pb.CancelOrder, RejectionNotification)


class Logic(BusinessLogicServicer):
    def Handle(self, request: ContextualCommand, context) -> EventBook:
        with refusals(context):
            return handle(request)


def handle(asked: ContextualCommand) -> EventBook:
    """Answers with the events that the commands lead to, in order, or refuses them
    all. It makes no snapshots: an order's history is short."""
    order = fold(asked.events)
    book = EventBook(cover=asked.command.cover)
    for page in asked.command.pages:
        for event in decide(order, command_of(page)):
            order.apply(event)  # the next command of the unit sees what this one led to
            book.pages.append(EventPage(event=pack(event)))
    return book


def command_of(page: CommandPage) -> Message:
    try:
        command = unpack(page.command, COMMANDS)
    except ValueError as error:
        raise invalid("command", error) from error
    if command is None:
        want = "want order.PlaceOrder, RecordReservation, ShipOrder or CancelOrder"
        raise invalid("command", f"unknown type {page.command.TypeName()}: {want}")
    return command


# ---------------------------------------------------------------- the state


class State(StrEnum):
    """Where an order stands; refusals say it."""

    NONE = "not placed"
    PLACED = "placed"
    CONFIRMED = "confirmed"
    SHIPPED = "shipped"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


@dataclass
class Line:
    """So much of a product, and the number of the product's event that set it aside."""

    product: str
    quantity: int
    reservation: int | None = None


@dataclass
class Order:
    """An order as its events made it."""

    state: State = State.NONE
    why: str = ""  # it was cancelled or rejected
    lines: list[Line] = field(default_factory=list)

    def apply(self, event: Message) -> None:
        """Changes the order by one event. It never refuses what has happened."""
        match event:
            case pb.OrderPlaced():
                self.state = State.PLACED
                self.lines += [Line(line.product_id, line.quantity) for line in event.lines]
            case pb.LineReserved():
                if line := self.line(event.product_id):
                    line.reservation = event.reservation
            case pb.OrderConfirmed():
                self.state = State.CONFIRMED
            case pb.OrderShipped():
                self.state = State.SHIPPED
            case pb.OrderCancelled():
                self.state, self.why = State.CANCELLED, event.reason
            case pb.OrderRejected():
                self.state, self.why = State.REJECTED, event.reason

    def line(self, product: str) -> Line | None:
        return next((line for line in self.lines if line.product == product), None)

    def reserved(self) -> list[pb.Line]:
        """The lines that are set aside, as an event tells them."""
        return [
            pb.Line(product_id=line.product, quantity=line.quantity)
            for line in self.lines
            if line.reservation is not None
        ]

    def open(self) -> int:
        """How many lines are not reserved yet."""
        return sum(line.reservation is None for line in self.lines)


def fold(book: EventBook) -> Order:
    """Makes the state of an order out of its history. An order without history is
    not placed yet."""
    order = Order()
    for page in book.pages:
        order.apply(event_of(page))
    return order


def event_of(page: EventPage) -> Message:
    """What can't be read is no refusal of the command: a decision on half-understood
    history would be wrong."""
    try:
        if (event := unpack(page.event, EVENTS)) is not None:
            return event
    except ValueError as error:
        raise Refused(StatusCode.INTERNAL, f"page {page.num}: {error}") from error
    why = f"page {page.num}: not an event of an order: {page.event.TypeName()}"
    raise Refused(StatusCode.INTERNAL, why)


# ---------------------------------------------------------------- the rules


def decide(order: Order, command: Message) -> list[Message]:
    """Says which events a command leads to: none, where it has been done already."""
    if isinstance(command, pb.PlaceOrder):
        return place(order, command)
    if order.state == State.NONE:
        raise Refused(StatusCode.NOT_FOUND, "no such order: place it first")
    match command:
        case pb.RecordReservation():
            return record(order, command)
        case pb.ShipOrder():
            return ship(order)
        case pb.CancelOrder():
            return cancel(order, command)
        case RejectionNotification():
            return compensate(order, command)


def place(order: Order, command: pb.PlaceOrder) -> list[Message]:
    if order.state != State.NONE:
        raise Refused(StatusCode.ALREADY_EXISTS, f"the order is {order.state} already")
    if not 1 <= len(command.lines) <= MOST_LINES:
        raise invalid("lines", f"want 1 to {MOST_LINES}, not {len(command.lines)}")
    first: dict[UUID, int] = {}
    for i, line in enumerate(command.lines):
        try:
            product = UUID(line.product_id)
        except ValueError as error:
            raise invalid(f"lines[{i}].product_id", f"want a product's UUID: {error}") from error
        if product in first:
            why = f"is that of lines[{first[product]}] too: want one line a product"
            raise invalid(f"lines[{i}].product_id", why)
        if line.quantity == 0:
            raise invalid(f"lines[{i}].quantity", "must not be zero")
        first[product] = i
    lines = [pb.Line(product_id=str(product), quantity=command.lines[i].quantity) for product, i in first.items()]
    return [pb.OrderPlaced(lines=lines)]


def record(order: Order, command: pb.RecordReservation) -> list[Message]:
    """Refuses what the order doesn't want, so that the product gets it back."""
    line = order.line(command.product_id)
    if order.state == State.SHIPPED and line and line.reservation == command.reservation:
        return []  # it is what was shipped, and not to be given back
    if order.state not in (State.PLACED, State.CONFIRMED):
        raise unwanted(f"the order is {order.state}: it wants no stock any more")
    if line is None:
        raise unwanted(f'the order has no line of product "{command.product_id}"')
    if command.quantity != line.quantity:
        raise unwanted(f"the order wants {line.quantity} of product {line.product}, not {command.quantity}")
    if line.reservation is not None:
        return []
    events: list[Message] = [
        pb.LineReserved(product_id=line.product, quantity=line.quantity, reservation=command.reservation)
    ]
    if order.open() == 1:
        events.append(pb.OrderConfirmed())
    return events


def ship(order: Order) -> list[Message]:
    if order.state == State.PLACED:
        left = f"{order.open()} of {len(order.lines)} lines are not reserved"
        raise unwanted(f"the order is not confirmed: {left}")
    if order.state != State.CONFIRMED:
        raise ended(order)
    return [pb.OrderShipped(lines=order.reserved())]


def cancel(order: Order, command: pb.CancelOrder) -> list[Message]:
    if order.state not in (State.PLACED, State.CONFIRMED):
        raise ended(order)
    return [pb.OrderCancelled(reason=command.reason, reserved=order.reserved())]


def compensate(order: Order, rejection: RejectionNotification) -> list[Message]:
    """Without one of its lines an order is rejected as a whole, and names the lines
    that are reserved, for the saga to release. All else nobody here can make good; a
    refusal makes it a dead letter, for people to look at."""
    pages = rejection.command.pages  # the saga puts one command in a book
    name = pages[0].command.TypeName() if pages else ""
    if name != ReserveStock.DESCRIPTOR.full_name:
        raise unwanted(f'nothing makes good a rejected "{name}": {rejection.message}')
    try:
        product = str(UUID(bytes=rejection.command.cover.root.value))
    except ValueError as error:
        raise invalid("command.cover.root", error) from error
    line = order.line(product)
    if line is None:
        raise unwanted(f"the order has no line of product {product}")
    if order.state != State.PLACED or line.reservation is not None:
        # The order is rejected or cancelled without it; or the line has what it
        # needs, and this was the same command once more.
        return []
    return [pb.OrderRejected(reason=rejection.message, product_id=product, reserved=order.reserved())]


def unwanted(why: str) -> Refused:
    return Refused(StatusCode.FAILED_PRECONDITION, why)


def ended(order: Order) -> Refused:
    """Refuses what comes too late."""
    return unwanted(f"the order is {order.state}" + (f": {order.why}" if order.why else ""))


if __name__ == "__main__":
    serving.main(
        "order",
        "127.0.0.1:50054",
        "angzarr.BusinessLogic",
        lambda server: add_BusinessLogicServicer_to_server(Logic(), server),
    )
