use messages::{
    Any,
    angzarr::{CommandBook, CommandPage, Cover, RejectionNotification, Uuid as Root},
    inventory::{ReleaseReservation, ReserveStock},
    order::{
        CancelOrder, Line, LineReserved, OrderCancelled, OrderConfirmed, OrderPlaced, OrderRejected, OrderShipped,
        PlaceOrder, RecordReservation, ShipOrder,
    },
    pack,
};
use scenarios::{Given, Outcome, pages};
use tonic::Code;
use uuid::{Uuid, uuid};

use crate::{
    decide::{Command, MOST_LINES},
    logic::handle,
    state::Event,
};

const LAMP: Uuid = uuid!("11111111-1111-4111-8111-111111111111");
const CHAIR: Uuid = uuid!("22222222-2222-4222-8222-222222222222");
const TABLE: Uuid = uuid!("33333333-3333-4333-8333-333333333333");

fn given(events: Vec<Event>) -> Story {
    Story(scenarios::given(handle, &events))
}

/// A story about an order: its commands and events are of that domain.
struct Story(Given);

impl Story {
    fn when(self, commands: Vec<Command>) -> Outcome<Event> {
        self.0.when(commands)
    }
}

fn line(product: impl ToString, quantity: u32) -> Line {
    Line { product_id: product.to_string(), quantity }
}

fn place(lines: Vec<Line>) -> PlaceOrder {
    PlaceOrder { lines }
}

fn reserve(product: Uuid, quantity: u32, reservation: u32) -> RecordReservation {
    RecordReservation { product_id: product.to_string(), quantity, reservation }
}

fn cancel(reason: &str) -> CancelOrder {
    CancelOrder { reason: reason.into() }
}

/// Where most stories begin: a lamp and four chairs.
fn placed() -> Event {
    OrderPlaced { lines: vec![line(LAMP, 1), line(CHAIR, 4)] }.into()
}

fn lamp_is_set() -> Event {
    LineReserved { product_id: LAMP.to_string(), quantity: 1, reservation: 7 }.into()
}

fn chairs_are() -> Event {
    LineReserved { product_id: CHAIR.to_string(), quantity: 4, reservation: 8 }.into()
}

fn confirmed() -> Vec<Event> {
    pages![placed(), chairs_are(), lamp_is_set(), OrderConfirmed {}]
}

fn ships() -> Event {
    OrderShipped { lines: vec![line(LAMP, 1), line(CHAIR, 4)] }.into()
}

fn shipped() -> Vec<Event> {
    let mut events = confirmed();
    events.push(ships());
    events
}

fn cancels(reason: &str, reserved: Vec<Line>) -> Event {
    OrderCancelled { reason: reason.into(), reserved }.into()
}

fn rejects(reserved: Vec<Line>) -> Event {
    OrderRejected { reason: "not now".into(), product_id: CHAIR.to_string(), reserved }.into()
}

#[test]
fn an_order_is_placed() {
    given(pages![]).when(pages![place(vec![line(LAMP, 1), line(CHAIR, 4)])]).then(pages![placed()]);
}

#[test]
fn products_are_written_in_one_way() {
    let lines = vec![line(LAMP.braced(), 1), line(CHAIR.simple(), 4)];
    given(pages![]).when(pages![place(lines)]).then(pages![placed()]);
}

#[test]
fn a_line_is_reserved() {
    given(pages![placed()]).when(pages![reserve(CHAIR, 4, 8)]).then(pages![chairs_are()]);
}

#[test]
fn the_last_line_confirms_the_order() {
    given(pages![placed(), chairs_are()])
        .when(pages![reserve(LAMP, 1, 7)])
        .then(pages![lamp_is_set(), OrderConfirmed {}]);
}

#[test]
fn both_lines_in_one_unit() {
    given(pages![placed()]).when(pages![reserve(LAMP, 1, 7), reserve(CHAIR, 4, 8)]).then(pages![
        lamp_is_set(),
        chairs_are(),
        OrderConfirmed {}
    ]);
}

#[test]
fn a_line_is_reserved_once() {
    for history in [pages![placed(), chairs_are()], confirmed()] {
        given(history).when(pages![reserve(CHAIR, 4, 8)]).then(pages![]);
    }
}

#[test]
fn what_is_shipped_is_not_given_back() {
    given(shipped()).when(pages![reserve(CHAIR, 4, 8)]).then(pages![]);
}

#[test]
fn a_confirmed_order_ships_all_of_its_lines() {
    given(confirmed()).when(pages![ShipOrder {}]).then(pages![ships()]);
}

#[test]
fn an_order_is_cancelled_before_anything_is_reserved() {
    given(pages![placed()]).when(pages![cancel("changed my mind")]).then(pages![cancels("changed my mind", vec![])]);
}

#[test]
fn a_cancelled_order_names_what_is_reserved() {
    given(pages![placed(), chairs_are()]).when(pages![cancel("")]).then(pages![cancels("", vec![line(CHAIR, 4)])]);
    given(confirmed()).when(pages![cancel("")]).then(pages![cancels("", vec![line(LAMP, 1), line(CHAIR, 4)])]);
}

#[test]
fn lines_that_cannot_be_are_refused() {
    let too_many = vec![line(LAMP, 1); MOST_LINES + 1];
    for (lines, because) in [
        (vec![], "lines: want 1 to 100, not 0"),
        (too_many, "lines: want 1 to 100, not 101"),
        (vec![line("LAMP", 1)], "lines[0].product_id: want a product's UUID"),
        (vec![line(LAMP, 1), line(CHAIR, 1), line(LAMP, 2)], "lines[2].product_id: is that of lines[0] too"),
        (vec![line(LAMP, 1), line(CHAIR, 0)], "lines[1].quantity: must not be zero"),
    ] {
        given(pages![]).when(pages![place(lines)]).refused(Code::InvalidArgument, because);
    }
}

#[test]
fn stock_that_is_not_wanted_is_refused() {
    let cancelled = || pages![placed(), cancels("", vec![])];
    let rejected = || pages![placed(), rejects(vec![])];
    for (history, reservation, because) in [
        (vec![placed()], reserve(TABLE, 1, 0), "the order has no line of product"),
        (
            vec![placed()],
            reserve(CHAIR, 3, 0),
            "the order wants 4 of product 22222222-2222-4222-8222-222222222222, not 3",
        ),
        (cancelled(), reserve(CHAIR, 4, 8), "the order is cancelled: it wants no stock any more"),
        (rejected(), reserve(LAMP, 1, 7), "the order is rejected: it wants no stock any more"),
        (shipped(), reserve(LAMP, 1, 9), "the order is shipped: it wants no stock any more"),
    ] {
        given(history).when(pages![reservation]).refused(Code::FailedPrecondition, because);
    }
}

#[test]
fn what_comes_too_early_or_too_late_is_refused() {
    let cancelled = || pages![placed(), cancels("changed my mind", vec![])];
    let stories: [(Vec<Event>, Vec<Command>, Code, &str); 8] = [
        (vec![placed()], pages![place(vec![line(LAMP, 1)])], Code::AlreadyExists, "the order is placed already"),
        (
            vec![placed(), chairs_are()],
            pages![ShipOrder {}],
            Code::FailedPrecondition,
            "not confirmed: 1 of 2 lines are not reserved",
        ),
        (shipped(), pages![ShipOrder {}], Code::FailedPrecondition, "the order is shipped"),
        (
            vec![placed(), rejects(vec![])],
            pages![ShipOrder {}],
            Code::FailedPrecondition,
            "the order is rejected: not now",
        ),
        (shipped(), pages![cancel("")], Code::FailedPrecondition, "the order is shipped"),
        (cancelled(), pages![cancel("")], Code::FailedPrecondition, "the order is cancelled: changed my mind"),
        // One refused command refuses its unit.
        (vec![placed()], pages![cancel(""), ShipOrder {}], Code::FailedPrecondition, "the order is cancelled"),
        (vec![], pages![ShipOrder {}], Code::NotFound, "no such order"),
    ];
    for (history, commands, code, because) in stories {
        given(history).when(commands).refused(code, because);
    }
}

#[test]
fn what_cannot_be_read_is_refused() {
    let broken = Any { value: vec![0xff], ..pack(&place(vec![])) };
    let nobodys = Any { type_url: "type.googleapis.com/nobody.Knows".into(), ..Any::default() };
    for (command, because) in [
        (Some(broken), "command: cannot read"),
        (Some(nobodys), "command: unknown type nobody.Knows"),
        (Some(pack(&OrderConfirmed {})), "command: unknown type order.OrderConfirmed: want order.PlaceOrder"),
        (None, "command: unknown type"),
    ] {
        given(pages![placed()]).0.asked::<Event>(vec![command]).refused(Code::InvalidArgument, because);
    }
}

#[test]
fn half_understood_history_is_not_decided_on() {
    let history = [Command::from(ShipOrder {})]; // no event
    scenarios::given(handle, &history)
        .when::<Command, Event>(pages![ShipOrder {}])
        .refused(Code::Internal, "page 1: not an event of an order: order.ShipOrder");
}

/// The news that a command of the saga was rejected by a product.
fn rejection(root: &[u8], command: Any) -> RejectionNotification {
    RejectionNotification {
        command: Some(CommandBook {
            cover: Some(Cover { domain: "inventory".into(), root: Some(Root { value: root.to_vec() }) }),
            pages: vec![CommandPage { command: Some(command), ..CommandPage::default() }],
            ..CommandBook::default()
        }),
        code: Code::FailedPrecondition as i32,
        message: "not now".into(),
        saga: "order-fulfillment".into(),
        ..RejectionNotification::default()
    }
}

fn chairs_are_short() -> RejectionNotification {
    rejection(CHAIR.as_bytes(), pack(&ReserveStock { quantity: 4, ..ReserveStock::default() }))
}

#[test]
fn an_order_without_one_of_its_lines_is_rejected() {
    given(pages![placed()]).when(pages![chairs_are_short()]).then(pages![rejects(vec![])]);
}

#[test]
fn a_rejected_order_names_what_is_reserved() {
    given(pages![placed(), lamp_is_set()]).when(pages![chairs_are_short()]).then(pages![rejects(vec![line(LAMP, 1)])]);
}

#[test]
fn an_order_is_rejected_once_and_only_for_what_it_lacks() {
    let ended = [rejects(vec![]), cancels("", vec![]), chairs_are()];
    for history in ended.map(|event| vec![placed(), event]).into_iter().chain([shipped()]) {
        given(history).when(pages![chairs_are_short()]).then(pages![]);
    }
}

#[test]
fn what_nobody_can_make_good_is_left_to_people() {
    let releasing = rejection(CHAIR.as_bytes(), pack(&ReleaseReservation::default()));
    let nothing = RejectionNotification { message: "not now".into(), ..RejectionNotification::default() };
    let nobodys = rejection(&[], pack(&ReserveStock::default()));
    let anothers = rejection(TABLE.as_bytes(), pack(&ReserveStock::default()));
    for (news, code, because) in [
        (
            releasing,
            Code::FailedPrecondition,
            r#"nothing makes good a rejected "inventory.ReleaseReservation": not now"#,
        ),
        (nothing, Code::FailedPrecondition, r#"nothing makes good a rejected "": not now"#),
        (nobodys, Code::InvalidArgument, "command.cover.root: "),
        (anothers, Code::FailedPrecondition, "no line of product 33333333-3333-4333-8333-333333333333"),
    ] {
        given(pages![placed()]).when(pages![news]).refused(code, because);
    }
    given(pages![]).when(pages![chairs_are_short()]).refused(Code::NotFound, "no such order");
}
