from uuid import UUID

import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from grpc import StatusCode

from angzarr.angzarr_pb2 import UUID as Root
from angzarr.angzarr_pb2 import CommandBook, CommandPage, Cover, RejectionNotification
from inventory.inventory_pb2 import (
    AdjustStock,
    CommitReservation,
    CreateProduct,
    Product,
    ProductCreated,
    ReleaseReservation,
    ReservationCommitted,
    ReservationReleased,
    ReserveStock,
    Stock,
    StockAdjusted,
    StockReserved,
)
from order.order_pb2 import RecordReservation, ShipOrder
from shop import inventory
from shop.messages import pack
from tests.scenario import Story

SHORT = StatusCode.FAILED_PRECONDITION

# Where most stories begin.
TEN_WIDGETS = ProductCreated(sku="WIDGET", name="Widget", quantity=10)
RESERVED = StockReserved(order_id="o-1", quantity=7)


def given(*events: Message) -> Story:
    return Story(inventory.handle, *events)


def widgets(on_hand: int, reserved: int) -> Stock:
    """What an event has left of them."""
    return Stock(sku="WIDGET", on_hand=on_hand, reserved=reserved)


def test_a_product_is_created():
    given().when(CreateProduct(sku="WIDGET", name="Widget", quantity=10)).then(TEN_WIDGETS)


def test_stock_goes_up():
    given(TEN_WIDGETS).when(AdjustStock(delta=5, reason="delivery")).then(
        StockAdjusted(delta=5, reason="delivery", stock=widgets(15, 0))
    )


def test_stock_goes_down_to_nothing():
    given(TEN_WIDGETS, StockAdjusted(delta=-4)).when(AdjustStock(delta=-6)).then(
        StockAdjusted(delta=-6, stock=widgets(0, 0))
    )


def test_an_order_reserves_all_that_is_left_by_another():
    given(TEN_WIDGETS, RESERVED).when(ReserveStock(order_id="o-2", quantity=3)).then(
        StockReserved(order_id="o-2", quantity=3, stock=widgets(10, 10))
    )


def test_an_order_gives_back_all_that_it_had():
    given(TEN_WIDGETS, RESERVED).when(ReleaseReservation(order_id="o-1")).then(
        ReservationReleased(order_id="o-1", quantity=7, stock=widgets(10, 0))
    )


def test_what_an_order_has_reserved_leaves_the_stock():
    given(TEN_WIDGETS, RESERVED, StockReserved(order_id="o-2", quantity=2)).when(
        CommitReservation(order_id="o-1")
    ).then(ReservationCommitted(order_id="o-1", quantity=7, stock=widgets(3, 2)))


def test_what_has_left_the_stock_is_not_there_for_others():
    given(TEN_WIDGETS, RESERVED, ReservationCommitted(order_id="o-1", quantity=7)).when(
        ReserveStock(order_id="o-2", quantity=3)
    ).then(StockReserved(order_id="o-2", quantity=3, stock=widgets(3, 3)))


def test_the_same_reservation_again_changes_nothing():
    given(TEN_WIDGETS, RESERVED).when(ReserveStock(order_id="o-1", quantity=7)).then()


def test_giving_back_nothing_changes_nothing():
    given(TEN_WIDGETS, RESERVED).when(ReleaseReservation(order_id="o-2")).then()


def test_what_was_given_back_can_be_reserved_again():
    given(TEN_WIDGETS, RESERVED, ReservationReleased(order_id="o-1", quantity=7)).when(
        ReserveStock(order_id="o-1", quantity=10)
    ).then(StockReserved(order_id="o-1", quantity=10, stock=widgets(10, 10)))


def test_later_commands_of_a_unit_see_what_its_earlier_ones_led_to():
    given().when(
        CreateProduct(sku="WIDGET"), AdjustStock(delta=2), ReserveStock(order_id="o-1", quantity=2)
    ).then(
        ProductCreated(sku="WIDGET"),
        StockAdjusted(delta=2, stock=widgets(2, 0)),
        StockReserved(order_id="o-1", quantity=2, stock=widgets(2, 2)),
    )


def test_a_snapshot_stands_for_the_pages_before_it():
    state = Product(sku="WIDGET", on_hand=10, reservations={"o-1": 4})
    given(StockAdjusted(delta=1)).after(state).when(
        ReleaseReservation(order_id="o-1"), AdjustStock(delta=-11)
    ).then(
        ReservationReleased(order_id="o-1", quantity=4, stock=widgets(11, 0)),
        StockAdjusted(delta=-11, stock=widgets(0, 0)),
    )


@pytest.mark.parametrize(
    ("history", "command", "code", "because"),
    [
        ([TEN_WIDGETS], CreateProduct(sku="WIDGET"), StatusCode.ALREADY_EXISTS, 'product "WIDGET" is there already'),
        (
            [TEN_WIDGETS],
            AdjustStock(delta=-11),
            SHORT,
            'stock of "WIDGET" is short: 10 available (10 on hand, 0 reserved), 11 asked for',
        ),
        ([TEN_WIDGETS], AdjustStock(delta=-(2**31)), SHORT, "2147483648 asked for"),
        ([TEN_WIDGETS, RESERVED], AdjustStock(delta=-4), SHORT, "3 available (10 on hand, 7 reserved), 4 asked for"),
        (
            [TEN_WIDGETS, RESERVED],
            ReserveStock(order_id="o-2", quantity=4),
            SHORT,
            "3 available (10 on hand, 7 reserved), 4 asked for",
        ),
        (
            [TEN_WIDGETS, RESERVED],
            ReserveStock(order_id="o-1", quantity=1),
            StatusCode.ALREADY_EXISTS,
            'order "o-1" has reserved 7 of "WIDGET" already',
        ),
        ([TEN_WIDGETS], CommitReservation(order_id="o-1"), SHORT, 'order "o-1" has reserved nothing of "WIDGET"'),
        (
            [ProductCreated(sku="GRAIN", quantity=inventory.MOST)],
            AdjustStock(delta=1),
            StatusCode.OUT_OF_RANGE,
            "at most 4294967295",
        ),
    ],
)
def test_what_the_state_does_not_allow_is_refused(history, command, code, because):
    given(*history).when(command).refused(code, because)


def test_one_refused_command_refuses_its_unit():
    given(TEN_WIDGETS).when(AdjustStock(delta=1), AdjustStock(delta=-12)).refused(SHORT, "11 available")


@pytest.mark.parametrize(
    "command",
    [
        AdjustStock(delta=1),
        ReserveStock(order_id="o-1", quantity=1),
        CommitReservation(order_id="o-1"),
        ReleaseReservation(order_id="o-1"),
    ],
)
def test_nothing_can_be_asked_of_a_product_that_never_was(command):
    given().when(command).refused(StatusCode.NOT_FOUND, "no such product")


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (CreateProduct(name="Widget"), "sku"),
        (AdjustStock(), "delta"),
        (ReserveStock(quantity=1), "order_id"),
        (ReserveStock(order_id="o-1"), "quantity"),
        (CommitReservation(), "order_id"),
        (ReleaseReservation(), "order_id"),
    ],
)
def test_what_no_state_could_accept_names_its_field(command, field):
    refusal = given().when(command).refused(StatusCode.INVALID_ARGUMENT, f"{field}: ")
    assert [violation.field for violation in refusal.details[0].field_violations] == [field]


@pytest.mark.parametrize(
    ("command", "because"),
    [
        (Any(type_url="type.googleapis.com/inventory.CreateProduct", value=b"\xff"), "command: cannot read"),
        (Any(type_url="type.googleapis.com/nobody.Knows"), "command: unknown type nobody.Knows"),
        (TEN_WIDGETS, "command: unknown type inventory.ProductCreated: want inventory.CreateProduct"),
        (Any(), "command: unknown type"),
    ],
)
def test_what_cannot_be_read_is_refused(command, because):
    given().when(command).refused(StatusCode.INVALID_ARGUMENT, because)


def test_half_understood_history_is_not_decided_on():
    given(TEN_WIDGETS, AdjustStock(delta=1)).when(AdjustStock(delta=1)).refused(
        StatusCode.INTERNAL, "page 2: not an event of the inventory: inventory.AdjustStock"
    )
    broken = Any(type_url="type.googleapis.com/inventory.StockAdjusted", value=b"\xff")
    given(broken).when(AdjustStock(delta=1)).refused(StatusCode.INTERNAL, "page 1: cannot read")
    given().after(TEN_WIDGETS).when(AdjustStock(delta=1)).refused(StatusCode.INTERNAL, "snapshot of page 40")


def test_the_hundredth_page_brings_a_snapshot():
    history = [ProductCreated(sku="WIDGET")] + [StockAdjusted(delta=1)] * (inventory.SNAPSHOT_EVERY - 3)
    adjust = AdjustStock(delta=1)
    at_page_99 = inventory.handle(given(*history).when(adjust).asked)
    assert not at_page_99.HasField("snapshot")
    at_page_100 = inventory.handle(given(*history).when(adjust, adjust).asked)
    state = Product()
    assert at_page_100.snapshot.state.Unpack(state)
    assert state == Product(sku="WIDGET", on_hand=99)


ORDER = UUID("0190c5f0-7c3a-7d4e-9f57-2f0d3f6f7a10")


def rejection(root: bytes, command: Message) -> RejectionNotification:
    """The news that a command of the saga was rejected by an order."""
    return RejectionNotification(
        command=CommandBook(
            cover=Cover(domain="order", root=Root(value=root)), pages=[CommandPage(command=pack(command))]
        ),
        code=StatusCode.FAILED_PRECONDITION.value[0],
        message="not now",
        saga="order-fulfillment",
    )


UNWANTED = rejection(ORDER.bytes, RecordReservation(quantity=7))
WAS_RESERVED = StockReserved(order_id=str(ORDER), quantity=7)


def test_an_order_that_does_not_want_its_reservation_gives_it_back():
    given(TEN_WIDGETS, WAS_RESERVED, StockReserved(order_id="o-2", quantity=2)).when(UNWANTED).then(
        ReservationReleased(order_id=str(ORDER), quantity=7, stock=widgets(10, 2))
    )
    given(TEN_WIDGETS, WAS_RESERVED, ReservationReleased(order_id=str(ORDER), quantity=7)).when(UNWANTED).then()


@pytest.mark.parametrize(
    ("news", "code", "because"),
    [
        (rejection(ORDER.bytes, ShipOrder()), SHORT, 'nothing makes good a rejected "order.ShipOrder": not now'),
        (RejectionNotification(message="not now"), SHORT, 'nothing makes good a rejected "": not now'),
        (rejection(b"", RecordReservation()), StatusCode.INVALID_ARGUMENT, "command.cover.root: "),
    ],
)
def test_what_nobody_can_make_good_is_left_to_people(news, code, because):
    given(TEN_WIDGETS).when(news).refused(code, because)


def test_events_say_what_they_have_left():
    """Readers take them at their word."""
    product = Product()
    for command in [
        CreateProduct(sku="WIDGET", quantity=10),
        AdjustStock(delta=5),
        ReserveStock(order_id="o-1", quantity=4),
        ReserveStock(order_id="o-2", quantity=3),
        AdjustStock(delta=-8),
        CommitReservation(order_id="o-1"),
        ReleaseReservation(order_id="o-2"),
        AdjustStock(delta=-3),
    ]:
        event = inventory.decide(product, command)
        inventory.apply(product, event)
        if not isinstance(event, ProductCreated):  # all that leaves is what it says
            assert event.stock == widgets(product.on_hand, inventory.reserved(product))
    assert product.on_hand == 0
