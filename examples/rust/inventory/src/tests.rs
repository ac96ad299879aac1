use messages::{
    Any,
    angzarr::{CommandBook, CommandPage, Cover, RejectionNotification, Uuid as Root},
    inventory::{
        AdjustStock, CommitReservation, CreateProduct, Product, ProductCreated, ReleaseReservation,
        ReservationCommitted, ReservationReleased, ReserveStock, Stock, StockAdjusted, StockReserved,
    },
    order::{RecordReservation, ShipOrder},
    pack,
};
use scenarios::{Given, Outcome, pages};
use tonic::Code;
use tonic_types::StatusExt;
use uuid::{Uuid, uuid};

use crate::{
    decide::{Command, decide},
    logic::{SNAPSHOT_EVERY, handle},
    product::{Event, apply, reserved},
};

fn given(events: Vec<Event>) -> Story {
    Story(scenarios::given(handle, &events))
}

/// A story about a product: its commands and events are of the inventory.
struct Story(Given);

impl Story {
    fn when(self, commands: Vec<Command>) -> Outcome<Event> {
        self.0.when(commands)
    }
}

/// Where most stories begin.
fn ten_widgets() -> ProductCreated {
    ProductCreated { sku: "WIDGET".into(), name: "Widget".into(), quantity: 10 }
}

/// What an event has left of them.
fn widgets(on_hand: u32, reserved: u32) -> Option<Stock> {
    Some(Stock { sku: "WIDGET".into(), on_hand, reserved })
}

fn create(sku: &str) -> CreateProduct {
    CreateProduct { sku: sku.into(), ..CreateProduct::default() }
}

fn adjust(delta: i32) -> AdjustStock {
    AdjustStock { delta, ..AdjustStock::default() }
}

fn adjusted(delta: i32, stock: Option<Stock>) -> StockAdjusted {
    StockAdjusted { delta, stock, ..StockAdjusted::default() }
}

fn reserve(order: &str, quantity: u32) -> ReserveStock {
    ReserveStock { order_id: order.into(), quantity }
}

fn reserves(order: &str, quantity: u32, stock: Option<Stock>) -> StockReserved {
    StockReserved { order_id: order.into(), quantity, stock }
}

fn commit(order: &str) -> CommitReservation {
    CommitReservation { order_id: order.into() }
}

fn committed(order: &str, quantity: u32, stock: Option<Stock>) -> ReservationCommitted {
    ReservationCommitted { order_id: order.into(), quantity, stock }
}

fn release(order: &str) -> ReleaseReservation {
    ReleaseReservation { order_id: order.into() }
}

fn released(order: &str, quantity: u32, stock: Option<Stock>) -> ReservationReleased {
    ReservationReleased { order_id: order.into(), quantity, stock }
}

#[test]
fn a_product_is_created() {
    let create = CreateProduct { sku: "WIDGET".into(), name: "Widget".into(), quantity: 10 };
    given(pages![]).when(pages![create]).then(pages![ten_widgets()]);
}

#[test]
fn stock_goes_up() {
    let delivery = AdjustStock { delta: 5, reason: "delivery".into() };
    let arrived = StockAdjusted { delta: 5, reason: "delivery".into(), stock: widgets(15, 0) };
    given(pages![ten_widgets()]).when(pages![delivery]).then(pages![arrived]);
}

#[test]
fn stock_goes_down_to_nothing() {
    given(pages![ten_widgets(), adjusted(-4, None)]).when(pages![adjust(-6)]).then(pages![adjusted(-6, widgets(0, 0))]);
}

#[test]
fn an_order_reserves_all_that_is_left_by_another() {
    given(pages![ten_widgets(), reserves("o-1", 7, None)]).when(pages![reserve("o-2", 3)]).then(pages![reserves(
        "o-2",
        3,
        widgets(10, 10)
    )]);
}

#[test]
fn an_order_gives_back_all_that_it_had() {
    given(pages![ten_widgets(), reserves("o-1", 7, None)]).when(pages![release("o-1")]).then(pages![released(
        "o-1",
        7,
        widgets(10, 0)
    )]);
}

#[test]
fn what_an_order_has_reserved_leaves_the_stock() {
    given(pages![ten_widgets(), reserves("o-1", 7, None), reserves("o-2", 2, None)])
        .when(pages![commit("o-1")])
        .then(pages![committed("o-1", 7, widgets(3, 2))]);
}

#[test]
fn what_has_left_the_stock_is_not_there_for_others() {
    given(pages![ten_widgets(), reserves("o-1", 7, None), committed("o-1", 7, None)])
        .when(pages![reserve("o-2", 3)])
        .then(pages![reserves("o-2", 3, widgets(3, 3))]);
}

#[test]
fn the_same_reservation_again_changes_nothing() {
    given(pages![ten_widgets(), reserves("o-1", 7, None)]).when(pages![reserve("o-1", 7)]).then(pages![]);
}

#[test]
fn giving_back_nothing_changes_nothing() {
    given(pages![ten_widgets(), reserves("o-2", 7, None)]).when(pages![release("o-1")]).then(pages![]);
}

#[test]
fn what_was_given_back_can_be_reserved_again() {
    given(pages![ten_widgets(), reserves("o-1", 7, None), released("o-1", 7, None)])
        .when(pages![reserve("o-1", 10)])
        .then(pages![reserves("o-1", 10, widgets(10, 10))]);
}

#[test]
fn later_commands_of_a_unit_see_what_its_earlier_ones_led_to() {
    let created = ProductCreated { sku: "WIDGET".into(), ..ProductCreated::default() };
    given(pages![]).when(pages![create("WIDGET"), adjust(2), reserve("o-1", 2)]).then(pages![
        created,
        adjusted(2, widgets(2, 0)),
        reserves("o-1", 2, widgets(2, 2))
    ]);
}

#[test]
fn a_snapshot_stands_for_the_pages_before_it() {
    let state =
        Product { sku: "WIDGET".into(), on_hand: 10, reservations: [("o-1".into(), 4)].into(), ..Product::default() };
    Story(given(pages![adjusted(1, None)]).0.after(pack(&state)))
        .when(pages![release("o-1"), adjust(-11)])
        .then(pages![released("o-1", 4, widgets(11, 0)), adjusted(-11, widgets(0, 0))]);
}

#[test]
fn what_the_state_does_not_allow_is_refused() {
    let reserved = || given(pages![ten_widgets(), reserves("o-1", 7, None)]);
    let created = || given(pages![ten_widgets()]);
    let short = Code::FailedPrecondition;
    created().when(pages![create("WIDGET")]).refused(Code::AlreadyExists, r#"product "WIDGET" is there already"#);
    created()
        .when(pages![adjust(-11)])
        .refused(short, r#"stock of "WIDGET" is short: 10 available (10 on hand, 0 reserved), 11 asked for"#);
    created().when(pages![adjust(i32::MIN)]).refused(short, "2147483648 asked for");
    reserved().when(pages![adjust(-4)]).refused(short, "3 available (10 on hand, 7 reserved), 4 asked for");
    reserved().when(pages![reserve("o-2", 4)]).refused(short, "3 available (10 on hand, 7 reserved), 4 asked for");
    reserved()
        .when(pages![reserve("o-1", 1)])
        .refused(Code::AlreadyExists, r#"order "o-1" has reserved 7 of "WIDGET" already"#);
    created().when(pages![commit("o-1")]).refused(short, r#"order "o-1" has reserved nothing of "WIDGET""#);
    let grain = ProductCreated { sku: "GRAIN".into(), quantity: u32::MAX, ..ProductCreated::default() };
    given(pages![grain]).when(pages![adjust(1)]).refused(Code::OutOfRange, "at most 4294967295");
}

#[test]
fn one_refused_command_refuses_its_unit() {
    given(pages![ten_widgets()]).when(pages![adjust(1), adjust(-12)]).refused(Code::FailedPrecondition, "11 available");
}

#[test]
fn nothing_can_be_asked_of_a_product_that_never_was() {
    let commands: [Vec<Command>; 4] =
        [pages![adjust(1)], pages![reserve("o-1", 1)], pages![commit("o-1")], pages![release("o-1")]];
    for command in commands {
        given(pages![]).when(command).refused(Code::NotFound, "no such product");
    }
}

#[test]
fn what_no_state_could_accept_names_its_field() {
    let commands: [(Command, &str); 6] = [
        (create("").into(), "sku"),
        (adjust(0).into(), "delta"),
        (reserve("", 1).into(), "order_id"),
        (reserve("o-1", 0).into(), "quantity"),
        (commit("").into(), "order_id"),
        (release("").into(), "order_id"),
    ];
    for (command, field) in commands {
        let refusal = given(pages![]).when(vec![command]).refused(Code::InvalidArgument, &format!("{field}: "));
        let details = refusal.get_details_bad_request().expect("details");
        assert_eq!(details.field_violations[0].field, field);
    }
}

#[test]
fn what_cannot_be_read_is_refused() {
    let broken = Any { value: vec![0xff], ..pack(&create("WIDGET")) };
    let nobodys = Any { type_url: "type.googleapis.com/nobody.Knows".into(), ..Any::default() };
    for (command, because) in [
        (Some(broken), "command: cannot read"),
        (Some(nobodys), "command: unknown type nobody.Knows"),
        (Some(pack(&ten_widgets())), "command: unknown type inventory.ProductCreated: want inventory.CreateProduct"),
        (None, "command: unknown type"),
    ] {
        given(pages![]).0.asked::<Event>(vec![command]).refused(Code::InvalidArgument, because);
    }
}

#[test]
fn half_understood_history_is_not_decided_on() {
    let history = [Command::from(create("WIDGET"))]; // no event
    scenarios::given(handle, &history)
        .when::<Command, Event>(pages![adjust(1)])
        .refused(Code::Internal, "page 1: not an event of the inventory: inventory.CreateProduct");
    Story(given(pages![]).0.after(pack(&ten_widgets())))
        .when(pages![adjust(1)])
        .refused(Code::Internal, "snapshot of page 40");
}

#[test]
fn the_hundredth_page_brings_a_snapshot() {
    let with = |pages: usize| {
        let mut events: Vec<Event> = pages![ProductCreated { sku: "WIDGET".into(), ..ProductCreated::default() }];
        events.resize(pages - 1, adjusted(1, None).into());
        given(events).when(pages![adjust(1)]).accepted().snapshot
    };
    assert_eq!(with(SNAPSHOT_EVERY - 1), None);
    let state: Product = with(SNAPSHOT_EVERY).unwrap().state.unwrap().to_msg().unwrap();
    assert_eq!(state, Product { sku: "WIDGET".into(), on_hand: 99, ..Product::default() });
}

const ORDER: Uuid = uuid!("0190c5f0-7c3a-7d4e-9f57-2f0d3f6f7a10");

/// The news that a command of the saga was rejected by an order.
fn rejection(root: &[u8], command: Any) -> RejectionNotification {
    RejectionNotification {
        command: Some(CommandBook {
            cover: Some(Cover { domain: "order".into(), root: Some(Root { value: root.to_vec() }) }),
            pages: vec![CommandPage { command: Some(command), ..CommandPage::default() }],
            ..CommandBook::default()
        }),
        code: Code::FailedPrecondition as i32,
        message: "not now".into(),
        saga: "order-fulfillment".into(),
        ..RejectionNotification::default()
    }
}

fn unwanted() -> RejectionNotification {
    rejection(ORDER.as_bytes(), pack(&RecordReservation { quantity: 7, ..RecordReservation::default() }))
}

#[test]
fn an_order_that_does_not_want_its_reservation_gives_it_back() {
    let order = ORDER.to_string();
    given(pages![ten_widgets(), reserves(&order, 7, None), reserves("o-2", 2, None)])
        .when(pages![unwanted()])
        .then(pages![released(&order, 7, widgets(10, 2))]);
    given(pages![ten_widgets(), reserves(&order, 7, None), released(&order, 7, None)])
        .when(pages![unwanted()])
        .then(pages![]);
}

#[test]
fn what_nobody_can_make_good_is_left_to_people() {
    let created = || given(pages![ten_widgets()]);
    created()
        .when(pages![rejection(ORDER.as_bytes(), pack(&ShipOrder {}))])
        .refused(Code::FailedPrecondition, r#"nothing makes good a rejected "order.ShipOrder": not now"#);
    created()
        .when(pages![RejectionNotification { message: "not now".into(), ..RejectionNotification::default() }])
        .refused(Code::FailedPrecondition, r#"nothing makes good a rejected "": not now"#);
    created()
        .when(pages![rejection(&[], pack(&RecordReservation::default()))])
        .refused(Code::InvalidArgument, "command.cover.root: ");
}

/// Readers take what an event says it has left at its word.
#[test]
fn events_say_what_they_have_left() {
    let mut product = Product::default();
    let first = CreateProduct { sku: "WIDGET".into(), quantity: 10, ..CreateProduct::default() };
    let commands: Vec<Command> = pages![
        first,
        adjust(5),
        reserve("o-1", 4),
        reserve("o-2", 3),
        adjust(-8),
        commit("o-1"),
        release("o-2"),
        adjust(-3)
    ];
    for command in commands {
        let event = decide(&product, &command).unwrap().unwrap();
        apply(&mut product, &event);
        let says = match &event {
            Event::ProductCreated(_) => continue, // all it leaves is what it says
            Event::StockAdjusted(e) => &e.stock,
            Event::StockReserved(e) => &e.stock,
            Event::ReservationCommitted(e) => &e.stock,
            Event::ReservationReleased(e) => &e.stock,
        };
        assert_eq!(*says, widgets(product.on_hand, reserved(&product) as u32), "{event:?}");
    }
    assert_eq!(product.on_hand, 0);
}
