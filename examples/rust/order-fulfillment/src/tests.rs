use messages::{
    Any, Name,
    angzarr::{CommandBook, Cover, EventBook, EventPage, Uuid as Root, event_page::Sequence},
    inventory::{
        CommitReservation, ProductCreated, ReleaseReservation, ReservationReleased, ReserveStock, StockAdjusted,
        StockReserved,
    },
    one_of,
    order::{
        Line, LineReserved, OrderCancelled, OrderConfirmed, OrderPlaced, OrderRejected, OrderShipped, RecordReservation,
    },
    pack,
};
use scenarios::pages;
use tonic::Code;
use uuid::{Uuid, uuid};

use crate::saga::handle_sync;

const LAMP: Uuid = uuid!("11111111-1111-4111-8111-111111111111");
const CHAIR: Uuid = uuid!("22222222-2222-4222-8222-222222222222");
const SALE: Uuid = uuid!("99999999-9999-4999-8999-999999999999");

one_of! {
    /// What may come: all that happens in both domains.
    Happened {
        OrderPlaced, LineReserved, OrderConfirmed, OrderShipped, OrderCancelled, OrderRejected,
        ProductCreated, StockAdjusted, StockReserved, ReservationReleased,
    }
}

/// Events of one aggregate.
struct Given(EventBook);

fn given(root: Uuid, events: Vec<Happened>) -> Given {
    let cover = Cover { domain: "any".into(), root: Some(Root { value: root.as_bytes().to_vec() }) };
    Given(EventBook { cover: Some(cover), ..scenarios::book(&events) })
}

impl Given {
    /// A command each: its domain, its root, and what it says.
    #[track_caller]
    fn then(self, want: &[(&str, Uuid, Any)]) {
        let got: Vec<_> = handle_sync(&self.0).expect("it was refused").commands.iter().map(said).collect();
        let want: Vec<_> =
            want.iter().map(|(domain, root, command)| (domain.to_string(), *root, command.clone())).collect();
        assert_eq!(got, want);
    }

    #[track_caller]
    fn refused(self, because: &str) {
        let refusal = handle_sync(&self.0).expect_err("it was accepted");
        assert_eq!(refusal.code(), Code::InvalidArgument);
        assert!(refusal.message().contains(because), "{:?} does not say {because:?}", refusal.message());
    }
}

fn said(book: &CommandBook) -> (String, Uuid, Any) {
    let cover = book.cover.clone().expect("a cover");
    let root = Uuid::from_slice(&cover.root.expect("a root").value).expect("a UUID");
    (cover.domain, root, book.pages[0].command.clone().expect("a command"))
}

fn both() -> Vec<Line> {
    vec![line(LAMP, 1), line(CHAIR, 4)]
}

fn line(product: Uuid, quantity: u32) -> Line {
    Line { product_id: product.to_string(), quantity }
}

fn to_inventory(product: Uuid, command: &impl Name) -> (&'static str, Uuid, Any) {
    ("inventory", product, pack(command))
}

fn releases(product: Uuid) -> (&'static str, Uuid, Any) {
    to_inventory(product, &ReleaseReservation { order_id: SALE.to_string() })
}

fn reserves(order_id: impl ToString, quantity: u32) -> StockReserved {
    StockReserved { order_id: order_id.to_string(), quantity, stock: None }
}

fn records(order: Uuid, quantity: u32, reservation: u32) -> (&'static str, Uuid, Any) {
    ("order", order, pack(&RecordReservation { product_id: CHAIR.to_string(), quantity, reservation }))
}

#[test]
fn a_placed_order_wants_stock_of_each_line() {
    let reserve = |quantity| ReserveStock { order_id: SALE.to_string(), quantity };
    given(SALE, pages![OrderPlaced { lines: both() }])
        .then(&[to_inventory(LAMP, &reserve(1)), to_inventory(CHAIR, &reserve(4))]);
}

#[test]
fn reserved_stock_is_the_orders_news() {
    given(CHAIR, pages![reserves(SALE, 4)]).then(&[records(SALE, 4, 1)]);
}

#[test]
fn a_shipped_order_takes_its_stock_along() {
    let commit = CommitReservation { order_id: SALE.to_string() };
    given(SALE, pages![OrderShipped { lines: both() }])
        .then(&[to_inventory(LAMP, &commit), to_inventory(CHAIR, &commit)]);
}

#[test]
fn an_order_that_ends_otherwise_gives_back_what_it_had() {
    let cancelled = OrderCancelled { reserved: vec![line(CHAIR, 4)], ..OrderCancelled::default() };
    given(SALE, pages![cancelled]).then(&[releases(CHAIR)]);
    let rejected = OrderRejected { reserved: vec![line(LAMP, 1)], ..OrderRejected::default() };
    given(SALE, pages![rejected]).then(&[releases(LAMP)]);
    given(SALE, pages![OrderRejected::default()]).then(&[]);
}

#[test]
fn pages_in_one_book_lead_to_what_they_lead_to_one_by_one() {
    given(CHAIR, pages![reserves(SALE, 4), StockAdjusted::default(), reserves(LAMP, 2)])
        .then(&[records(SALE, 4, 1), records(LAMP, 2, 3)]);
}

#[test]
fn what_was_reserved_by_hand_is_no_orders() {
    let upper = "AAAAAAAA-9999-4999-8999-999999999999";
    given(CHAIR, pages![reserves("o-1", 4), reserves(upper, 4)]).then(&[]);
}

#[test]
fn the_rest_leads_to_nothing() {
    let rest =
        pages![LineReserved::default(), OrderConfirmed {}, ProductCreated::default(), ReservationReleased::default()];
    given(SALE, rest).then(&[]);
}

fn at_page_seven(event: Option<Any>) -> Given {
    let mut story = given(SALE, pages![]);
    story.0.pages = vec![EventPage { sequence: Some(Sequence::Num(7)), event, ..EventPage::default() }];
    story
}

#[test]
fn what_cannot_be_read_is_refused() {
    let broken = Any { value: vec![0xff], ..pack(&OrderPlaced::default()) };
    at_page_seven(Some(broken)).refused("page 7: ");
    at_page_seven(None).refused("page 7: ");
    at_page_seven(Some(Any { type_url: "type.googleapis.com/nobody.Knows".into(), ..Any::default() })).then(&[]);
    let of_no_product = OrderPlaced { lines: vec![Line { product_id: "LAMP".into(), quantity: 1 }] };
    given(SALE, pages![of_no_product]).refused("page 1: line 0: product_id: ");
    Given(EventBook::default()).refused("cover.root: ");
}
