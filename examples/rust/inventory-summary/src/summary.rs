//! Pages of one product → the last one that says what it has left → a summary.

use messages::{
    Any, OneOf,
    angzarr::{EventBook, Projection, event_page::Sequence},
    inventory::{ProductCreated, ReservationCommitted, ReservationReleased, Stock, StockAdjusted, StockReserved},
    inventorysummary::ProductSummary,
    one_of, pack,
};
use tonic::Status;

/// What the projector is called in configurations.
const NAME: &str = "inventory-summary";

one_of! {
    /// What changes a product's summary: all events of the inventory.
    Event { ProductCreated, StockAdjusted, StockReserved, ReservationCommitted, ReservationReleased }
}

/// Answers with the summary that the book's pages lead to, or with an empty
/// projection, if they are of types that it doesn't know.
pub fn project(book: &EventBook) -> Result<Projection, Status> {
    let mut projection = Projection::default();
    for page in &book.pages {
        let sequence = match page.sequence {
            Some(Sequence::Num(number)) => number,
            _ => 0,
        };
        let nothing = Any::default();
        let packed = page.event.as_ref().unwrap_or(&nothing);
        let summary = summarize(packed)
            .map_err(|why| Status::invalid_argument(format!("page {sequence}: {:?}: {why}", packed.type_url)))?;
        if let Some(summary) = summary {
            projection = Projection {
                cover: book.cover.clone(),
                projector: NAME.to_string(),
                sequence,
                projection: Some(pack(&summary)),
            };
        }
    }
    Ok(projection)
}

/// Says what an event has left of a product: nothing, if it is no event of the
/// inventory.
fn summarize(packed: &Any) -> Result<Option<ProductSummary>, String> {
    if packed.type_url.is_empty() {
        return Err("no event".to_string());
    }
    let Some(event) = Event::unpack(packed).map_err(|why| why.to_string())? else {
        return Ok(None);
    };
    let Stock { sku, on_hand, reserved } = left(event);
    if sku.is_empty() {
        return Err("stock.sku: must not be empty: who recorded this must say what it left".to_string());
    }
    let Some(available) = on_hand.checked_sub(reserved) else {
        return Err(format!("stock: {reserved} reserved of {on_hand} on hand"));
    };
    Ok(Some(ProductSummary { sku, on_hand, reserved, available }))
}

/// The stock that an event says it has left.
fn left(event: Event) -> Stock {
    match event {
        Event::ProductCreated(e) => Stock { sku: e.sku, on_hand: e.quantity, reserved: 0 },
        Event::StockAdjusted(e) => e.stock.unwrap_or_default(),
        Event::StockReserved(e) => e.stock.unwrap_or_default(),
        Event::ReservationCommitted(e) => e.stock.unwrap_or_default(),
        Event::ReservationReleased(e) => e.stock.unwrap_or_default(),
    }
}
