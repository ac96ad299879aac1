from uuid import UUID

import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from grpc import StatusCode

from angzarr.angzarr_pb2 import UUID as Root
from angzarr.angzarr_pb2 import CommandBook, CommandPage, Cover, RejectionNotification
from inventory.inventory_pb2 import ReleaseReservation, ReserveStock
from order.order_pb2 import (
    CancelOrder,
    Line,
    LineReserved,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
    OrderShipped,
    PlaceOrder,
    RecordReservation,
    ShipOrder,
)
from shop import order
from shop.messages import pack
from tests.scenario import Story

LATE = StatusCode.FAILED_PRECONDITION

LAMP = UUID("11111111-1111-4111-8111-111111111111")
CHAIR = UUID("22222222-2222-4222-8222-222222222222")
TABLE = UUID("33333333-3333-4333-8333-333333333333")


def given(*events: Message) -> Story:
    return Story(order.handle, *events)


def line(product: UUID | str, quantity: int) -> Line:
    return Line(product_id=str(product), quantity=quantity)


# Where most stories begin: a lamp and four chairs.
BOTH = [line(LAMP, 1), line(CHAIR, 4)]
PLACED = OrderPlaced(lines=BOTH)
LAMP_IS_SET = LineReserved(product_id=str(LAMP), quantity=1, reservation=7)
CHAIRS_ARE = LineReserved(product_id=str(CHAIR), quantity=4, reservation=8)
CONFIRMED = [PLACED, CHAIRS_ARE, LAMP_IS_SET, OrderConfirmed()]
SHIPPED = [*CONFIRMED, OrderShipped(lines=BOTH)]
CANCELLED = [PLACED, OrderCancelled(reason="changed my mind")]
REJECTED = [PLACED, OrderRejected(reason="not now", product_id=str(CHAIR))]

RESERVE_LAMP = RecordReservation(product_id=str(LAMP), quantity=1, reservation=7)
RESERVE_CHAIRS = RecordReservation(product_id=str(CHAIR), quantity=4, reservation=8)


def test_an_order_is_placed():
    given().when(PlaceOrder(lines=BOTH)).then(PLACED)


def test_products_are_written_in_one_way():
    given().when(PlaceOrder(lines=[line(f"{{{LAMP}}}", 1), line(CHAIR.hex, 4)])).then(PLACED)


def test_a_line_is_reserved():
    given(PLACED).when(RESERVE_CHAIRS).then(CHAIRS_ARE)


def test_the_last_line_confirms_the_order():
    given(PLACED, CHAIRS_ARE).when(RESERVE_LAMP).then(LAMP_IS_SET, OrderConfirmed())


def test_both_lines_in_one_unit():
    given(PLACED).when(RESERVE_LAMP, RESERVE_CHAIRS).then(LAMP_IS_SET, CHAIRS_ARE, OrderConfirmed())


@pytest.mark.parametrize("history", [[PLACED, CHAIRS_ARE], CONFIRMED])
def test_a_line_is_reserved_once(history):
    given(*history).when(RESERVE_CHAIRS).then()


def test_what_is_shipped_is_not_given_back():
    given(*SHIPPED).when(RESERVE_CHAIRS).then()


def test_a_confirmed_order_ships_all_of_its_lines():
    given(*CONFIRMED).when(ShipOrder()).then(OrderShipped(lines=BOTH))


def test_an_order_is_cancelled_before_anything_is_reserved():
    given(PLACED).when(CancelOrder(reason="changed my mind")).then(OrderCancelled(reason="changed my mind"))


@pytest.mark.parametrize(("history", "reserved"), [([PLACED, CHAIRS_ARE], BOTH[1:]), (CONFIRMED, BOTH)])
def test_a_cancelled_order_names_what_is_reserved(history, reserved):
    given(*history).when(CancelOrder()).then(OrderCancelled(reserved=reserved))


@pytest.mark.parametrize(
    ("lines", "because"),
    [
        ([], "lines: want 1 to 100, not 0"),
        ([line(LAMP, 1)] * (order.MOST_LINES + 1), "lines: want 1 to 100, not 101"),
        ([line("LAMP", 1)], "lines[0].product_id: want a product's UUID"),
        ([line(LAMP, 1), line(CHAIR, 1), line(LAMP, 2)], "lines[2].product_id: is that of lines[0] too"),
        ([line(LAMP, 1), line(CHAIR, 0)], "lines[1].quantity: must not be zero"),
    ],
)
def test_lines_that_cannot_be_are_refused(lines, because):
    given().when(PlaceOrder(lines=lines)).refused(StatusCode.INVALID_ARGUMENT, because)


@pytest.mark.parametrize(
    ("history", "command", "because"),
    [
        ([PLACED], RecordReservation(product_id=str(TABLE), quantity=1), "the order has no line of product"),
        (
            [PLACED],
            RecordReservation(product_id=str(CHAIR), quantity=3),
            f"the order wants 4 of product {CHAIR}, not 3",
        ),
        (CANCELLED, RESERVE_CHAIRS, "the order is cancelled: it wants no stock any more"),
        (REJECTED, RESERVE_LAMP, "the order is rejected: it wants no stock any more"),
        (
            SHIPPED,
            RecordReservation(product_id=str(LAMP), quantity=1, reservation=9),
            "the order is shipped: it wants no stock any more",
        ),
    ],
)
def test_stock_that_is_not_wanted_is_refused(history, command, because):
    given(*history).when(command).refused(LATE, because)


@pytest.mark.parametrize(
    ("history", "commands", "code", "because"),
    [
        ([PLACED], [PlaceOrder(lines=BOTH)], StatusCode.ALREADY_EXISTS, "the order is placed already"),
        ([PLACED, CHAIRS_ARE], [ShipOrder()], LATE, "not confirmed: 1 of 2 lines are not reserved"),
        (SHIPPED, [ShipOrder()], LATE, "the order is shipped"),
        (REJECTED, [ShipOrder()], LATE, "the order is rejected: not now"),
        (SHIPPED, [CancelOrder()], LATE, "the order is shipped"),
        (CANCELLED, [CancelOrder()], LATE, "the order is cancelled: changed my mind"),
        ([PLACED], [CancelOrder(), ShipOrder()], LATE, "the order is cancelled"),  # one refuses its unit
        ([], [RESERVE_LAMP], StatusCode.NOT_FOUND, "no such order"),
        ([], [ShipOrder()], StatusCode.NOT_FOUND, "no such order"),
        ([], [CancelOrder()], StatusCode.NOT_FOUND, "no such order"),
    ],
)
def test_what_comes_too_early_or_too_late_is_refused(history, commands, code, because):
    given(*history).when(*commands).refused(code, because)


@pytest.mark.parametrize(
    ("command", "because"),
    [
        (Any(type_url="type.googleapis.com/order.PlaceOrder", value=b"\xff"), "command: cannot read"),
        (Any(type_url="type.googleapis.com/nobody.Knows"), "command: unknown type nobody.Knows"),
        (OrderConfirmed(), "command: unknown type order.OrderConfirmed: want order.PlaceOrder"),
        (Any(), "command: unknown type"),
    ],
)
def test_what_cannot_be_read_is_refused(command, because):
    given(PLACED).when(command).refused(StatusCode.INVALID_ARGUMENT, because)


def test_half_understood_history_is_not_decided_on():
    given(PLACED, ShipOrder()).when(ShipOrder()).refused(
        StatusCode.INTERNAL, "page 2: not an event of an order: order.ShipOrder"
    )
    broken = Any(type_url="type.googleapis.com/order.OrderPlaced", value=b"\xff")
    given(broken).when(ShipOrder()).refused(StatusCode.INTERNAL, "page 1: cannot read")


def rejection(root: bytes, command: Message) -> RejectionNotification:
    """The news that a command of the saga was rejected by a product."""
    return RejectionNotification(
        command=CommandBook(
            cover=Cover(domain="inventory", root=Root(value=root)), pages=[CommandPage(command=pack(command))]
        ),
        code=LATE.value[0],
        message="not now",
        saga="order-fulfillment",
    )


CHAIRS_ARE_SHORT = rejection(CHAIR.bytes, ReserveStock(quantity=4))


def test_an_order_without_one_of_its_lines_is_rejected():
    given(PLACED).when(CHAIRS_ARE_SHORT).then(OrderRejected(reason="not now", product_id=str(CHAIR)))


def test_a_rejected_order_names_what_is_reserved():
    given(PLACED, LAMP_IS_SET).when(CHAIRS_ARE_SHORT).then(
        OrderRejected(reason="not now", product_id=str(CHAIR), reserved=BOTH[:1])
    )


@pytest.mark.parametrize("history", [REJECTED, CANCELLED, [PLACED, CHAIRS_ARE], SHIPPED])
def test_an_order_is_rejected_once_and_only_for_what_it_lacks(history):
    given(*history).when(CHAIRS_ARE_SHORT).then()


@pytest.mark.parametrize(
    ("news", "code", "because"),
    [
        (
            rejection(CHAIR.bytes, ReleaseReservation()),
            LATE,
            'nothing makes good a rejected "inventory.ReleaseReservation": not now',
        ),
        (RejectionNotification(message="not now"), LATE, 'nothing makes good a rejected "": not now'),
        (rejection(b"", ReserveStock()), StatusCode.INVALID_ARGUMENT, "command.cover.root: "),
        (rejection(TABLE.bytes, ReserveStock()), LATE, f"no line of product {TABLE}"),
    ],
)
def test_what_nobody_can_make_good_is_left_to_people(news, code, because):
    given(PLACED).when(news).refused(code, because)


def test_a_rejection_for_what_never_was():
    given().when(CHAIRS_ARE_SHORT).refused(StatusCode.NOT_FOUND, "no such order")
