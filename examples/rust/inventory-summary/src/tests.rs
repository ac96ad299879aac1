use messages::{
    Any,
    angzarr::{EventBook, EventPage, Projection, event_page::Sequence},
    inventory::{ProductCreated, ReservationCommitted, ReservationReleased, Stock, StockAdjusted, StockReserved},
    inventorysummary::ProductSummary,
    one_of,
    order::{OrderConfirmed, OrderPlaced},
    pack,
};
use scenarios::{book, cover, pages};
use tonic::Code;

use crate::summary::project;

one_of! {
    /// What may come: events of the inventory, and of others.
    Happened {
        ProductCreated, StockAdjusted, StockReserved, ReservationCommitted, ReservationReleased,
        OrderPlaced, OrderConfirmed,
    }
}

/// Pages of one product, from page 1 on.
struct Given(EventBook);

fn given(events: Vec<Happened>) -> Given {
    Given(book(&events))
}

impl Given {
    #[track_caller]
    fn then(self, sequence: u32, on_hand: u32, reserved: u32, available: u32) {
        let summary = ProductSummary { sku: "WIDGET".into(), on_hand, reserved, available };
        let want = Projection {
            cover: Some(cover()),
            projector: "inventory-summary".into(),
            sequence,
            projection: Some(pack(&summary)),
        };
        assert_eq!(project(&self.0).expect("it was refused"), want);
    }

    #[track_caller]
    fn nothing(self) {
        assert_eq!(project(&self.0).expect("it was refused"), Projection::default());
    }

    #[track_caller]
    fn refused(self, because: &str) {
        let refusal = project(&self.0).expect_err("it was published");
        assert_eq!(refusal.code(), Code::InvalidArgument);
        assert!(refusal.message().contains(because), "{:?} does not say {because:?}", refusal.message());
    }
}

fn widgets(on_hand: u32, reserved: u32) -> Option<Stock> {
    Some(Stock { sku: "WIDGET".into(), on_hand, reserved })
}

fn adjusted(on_hand: u32, reserved: u32) -> StockAdjusted {
    StockAdjusted { stock: widgets(on_hand, reserved), ..StockAdjusted::default() }
}

#[test]
fn every_event_says_what_there_is() {
    given(pages![ProductCreated { sku: "WIDGET".into(), name: "Widget".into(), quantity: 10 }]).then(1, 10, 0, 10);
    given(pages![adjusted(7, 2)]).then(1, 7, 2, 5);
    given(pages![StockReserved { stock: widgets(7, 7), ..StockReserved::default() }]).then(1, 7, 7, 0);
    given(pages![ReservationCommitted { stock: widgets(3, 1), ..ReservationCommitted::default() }]).then(1, 3, 1, 2);
    given(pages![ReservationReleased { stock: widgets(10, 1), ..ReservationReleased::default() }]).then(1, 10, 1, 9);
}

#[test]
fn of_a_run_of_pages_the_last_counts() {
    given(pages![adjusted(1, 1), adjusted(2, 1), adjusted(3, 1)]).then(3, 3, 1, 2);
}

#[test]
fn what_is_no_business_of_it_does_not_count() {
    given(pages![adjusted(1, 1), OrderConfirmed {}]).then(1, 1, 1, 0);
    given(pages![OrderPlaced::default(), OrderConfirmed {}]).nothing();
    page(Any { type_url: "type.googleapis.com/nobody.Knows".into(), ..Any::default() }).nothing();
}

#[test]
fn what_cannot_be_true_is_not_published() {
    page(Any { value: vec![0xff], ..pack(&StockAdjusted::default()) }).refused("page 5: ");
    page(Any::default()).refused("page 5: ");
    given(pages![StockAdjusted { delta: 1, ..StockAdjusted::default() }])
        .refused(r#"page 1: "type.googleapis.com/inventory.StockAdjusted": stock.sku: "#);
    given(pages![adjusted(1, 2)]).refused("stock: 2 reserved of 1 on hand");
}

fn page(event: Any) -> Given {
    let pages = vec![EventPage { sequence: Some(Sequence::Num(5)), event: Some(event), ..EventPage::default() }];
    Given(EventBook { pages, ..EventBook::default() })
}
