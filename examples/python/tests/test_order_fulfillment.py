from uuid import UUID

import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from grpc import StatusCode

from angzarr.angzarr_pb2 import EventBook, EventPage
from inventory.inventory_pb2 import (
    CommitReservation,
    ProductCreated,
    ReleaseReservation,
    ReservationReleased,
    ReserveStock,
    StockAdjusted,
    StockReserved,
)
from order.order_pb2 import (
    Line,
    LineReserved,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
    OrderShipped,
    RecordReservation,
)
from shop import order_fulfillment
from shop.messages import Refused
from tests.scenario import book, unpacked

LAMP = UUID("11111111-1111-4111-8111-111111111111")
CHAIR = UUID("22222222-2222-4222-8222-222222222222")
SALE = UUID("99999999-9999-4999-8999-999999999999")

BOTH = [Line(product_id=str(LAMP), quantity=1), Line(product_id=str(CHAIR), quantity=4)]


class Given:
    """Events of one aggregate."""

    def __init__(self, root: UUID, *events: Message) -> None:
        self.book = book(*events)
        self.book.cover.root.value = root.bytes

    def then(self, *commands: tuple[str, UUID, Message]) -> None:
        """A command each: its domain, its root, and what it says."""
        answer = order_fulfillment.handle_sync(self.book)
        said = [
            (asked.cover.domain, UUID(bytes=asked.cover.root.value), unpacked(page.command))
            for asked in answer.commands
            for page in asked.pages
        ]
        assert said == list(commands)


given = Given


def test_a_placed_order_wants_stock_of_each_line():
    given(SALE, OrderPlaced(lines=BOTH)).then(
        ("inventory", LAMP, ReserveStock(order_id=str(SALE), quantity=1)),
        ("inventory", CHAIR, ReserveStock(order_id=str(SALE), quantity=4)),
    )


def test_reserved_stock_is_the_orders_news():
    given(CHAIR, StockReserved(order_id=str(SALE), quantity=4)).then(
        ("order", SALE, RecordReservation(product_id=str(CHAIR), quantity=4, reservation=1))
    )


def test_a_shipped_order_takes_its_stock_along():
    commit = CommitReservation(order_id=str(SALE))
    given(SALE, OrderShipped(lines=BOTH)).then(("inventory", LAMP, commit), ("inventory", CHAIR, commit))


def test_an_order_that_ends_otherwise_gives_back_what_it_had():
    release = ReleaseReservation(order_id=str(SALE))
    given(SALE, OrderCancelled(reserved=BOTH[1:])).then(("inventory", CHAIR, release))
    given(SALE, OrderRejected(reserved=BOTH[:1])).then(("inventory", LAMP, release))
    given(SALE, OrderRejected(product_id=str(CHAIR))).then()


def test_pages_in_one_book_lead_to_what_they_lead_to_one_by_one():
    given(
        CHAIR,
        StockReserved(order_id=str(SALE), quantity=4),
        StockAdjusted(delta=1),
        StockReserved(order_id=str(LAMP), quantity=2),
    ).then(
        ("order", SALE, RecordReservation(product_id=str(CHAIR), quantity=4, reservation=1)),
        ("order", LAMP, RecordReservation(product_id=str(CHAIR), quantity=2, reservation=3)),
    )


def test_what_was_reserved_by_hand_is_no_orders():
    upper = "AAAAAAAA-9999-4999-8999-999999999999"
    given(CHAIR, StockReserved(order_id="o-1", quantity=4), StockReserved(order_id=upper, quantity=4)).then()


def test_the_rest_leads_to_nothing():
    given(SALE, LineReserved(), OrderConfirmed(), ProductCreated(), ReservationReleased()).then()
    given(SALE, Any(type_url="type.googleapis.com/nobody.Knows")).then()


BROKEN = Any(type_url="type.googleapis.com/order.OrderPlaced", value=b"\xff")


@pytest.mark.parametrize(
    ("pages", "because"),
    [
        (given(SALE, BROKEN).book, "page 1: "),
        (given(SALE, OrderPlaced(lines=[Line(product_id="LAMP")])).book, "page 1: line 0: product_id: "),
        (EventBook(cover=given(SALE).book.cover, pages=[EventPage(num=7)]), "page 7: "),
        (EventBook(), "cover.root: "),
    ],
)
def test_what_cannot_be_read_is_refused(pages, because):
    with pytest.raises(Refused) as refusal:
        order_fulfillment.handle_sync(pages)
    assert refusal.value.code == StatusCode.INVALID_ARGUMENT
    assert because in refusal.value.message
