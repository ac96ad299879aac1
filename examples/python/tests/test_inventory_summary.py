import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from grpc import StatusCode

from angzarr.angzarr_pb2 import CommandBook, CommandPage, ContextualCommand, Projection
from inventory.inventory_pb2 import (
    AdjustStock,
    CommitReservation,
    CreateProduct,
    ProductCreated,
    ReleaseReservation,
    ReservationCommitted,
    ReservationReleased,
    ReserveStock,
    Stock,
    StockAdjusted,
    StockReserved,
)
from inventorysummary.inventorysummary_pb2 import ProductSummary
from order.order_pb2 import OrderConfirmed, OrderPlaced
from shop import inventory, inventory_summary
from shop.messages import Refused, pack
from tests.scenario import COVER, book, unpacked


class Given:
    """Pages of one product."""

    def __init__(self, *events: Message | Any) -> None:
        self.book = book(*events)

    def then(self, sequence: int, on_hand: int, reserved: int, available: int) -> None:
        summary = ProductSummary(sku="WIDGET", on_hand=on_hand, reserved=reserved, available=available)
        assert inventory_summary.handle_sync(self.book) == Projection(
            cover=COVER, projector="inventory-summary", sequence=sequence, projection=pack(summary)
        )

    def nothing(self) -> None:
        assert inventory_summary.handle_sync(self.book) == Projection()

    def refused(self, because: str) -> None:
        with pytest.raises(Refused) as refusal:
            inventory_summary.handle_sync(self.book)
        assert refusal.value.code == StatusCode.INVALID_ARGUMENT
        assert because in refusal.value.message


given = Given


def widgets(on_hand: int, reserved: int) -> Stock:
    return Stock(sku="WIDGET", on_hand=on_hand, reserved=reserved)


def test_every_event_says_what_there_is():
    given(ProductCreated(sku="WIDGET", name="Widget", quantity=10)).then(1, 10, 0, 10)
    given(StockAdjusted(delta=-3, stock=widgets(7, 2))).then(1, 7, 2, 5)
    given(StockReserved(order_id="o-1", stock=widgets(7, 7))).then(1, 7, 7, 0)
    given(ReservationCommitted(order_id="o-1", stock=widgets(3, 1))).then(1, 3, 1, 2)
    given(ReservationReleased(order_id="o-1", stock=widgets(10, 1))).then(1, 10, 1, 9)


def test_of_a_run_of_pages_the_last_counts():
    given(*(StockAdjusted(stock=widgets(n, 1)) for n in (1, 2, 3))).then(3, 3, 1, 2)


def test_what_is_no_business_of_it_does_not_count():
    given(StockAdjusted(stock=widgets(1, 1)), OrderConfirmed()).then(1, 1, 1, 0)
    given(OrderPlaced(), OrderConfirmed()).nothing()
    given(Any(type_url="type.googleapis.com/nobody.Knows")).nothing()


def test_what_cannot_be_true_is_not_published():
    given(Any(type_url="type.googleapis.com/inventory.StockAdjusted", value=b"\xff")).refused("page 1: ")
    given(Any()).refused("page 1: ")
    given(StockAdjusted(delta=1)).refused(
        'page 1: "type.googleapis.com/inventory.StockAdjusted": stock.sku: '
    )
    given(StockReserved(stock=widgets(1, 2))).refused("stock: 2 reserved of 1 on hand")


def test_a_page_says_the_same_whenever_it_comes():
    """However history is cut into calls, and whichever part of it is told again, the
    last page that came says what there is."""
    history: list[Message] = []
    for command in [
        CreateProduct(sku="WIDGET", quantity=10),
        ReserveStock(order_id="o-1", quantity=4),
        AdjustStock(delta=-5),
        ReserveStock(order_id="o-2", quantity=1),
        CommitReservation(order_id="o-1"),
        ReleaseReservation(order_id="o-2"),
    ]:
        asked = CommandBook(cover=COVER, pages=[CommandPage(command=pack(command))])
        answer = inventory.handle(ContextualCommand(events=book(*history), command=asked))
        history += [unpacked(page.event) for page in answer.pages]
    available = [10, 6, 1, 0, 0, 1]
    pages = book(*history)
    for to in range(1, len(history) + 1):
        for since in range(to):
            part = book()
            part.pages.extend(pages.pages[since:to])
            projection = inventory_summary.handle_sync(part)
            assert unpacked(projection.projection).available == available[to - 1]
            assert projection.sequence == to
