//! The state of a product, made of its history.

use messages::{
    Any, OneOf,
    angzarr::{EventBook, EventPage, event_page::Sequence},
    inventory::{Product, ProductCreated, ReservationCommitted, ReservationReleased, StockAdjusted, StockReserved},
    one_of, type_name,
};

one_of! {
    /// What happens to a product.
    Event { ProductCreated, StockAdjusted, StockReserved, ReservationCommitted, ReservationReleased }
}

/// Makes the state out of an open book: the snapshot, if there is one, and the
/// pages after it. A product without history is empty.
pub fn fold(book: &EventBook) -> Result<Product, String> {
    let snapshot = book.snapshot.clone().unwrap_or_default();
    let mut product = match snapshot.state {
        Some(state) => state.to_msg().map_err(|why| format!("snapshot of page {}: {why}", snapshot.sequence))?,
        None => Product::default(),
    };
    for page in &book.pages {
        apply(&mut product, &event(page)?);
    }
    Ok(product)
}

fn event(page: &EventPage) -> Result<Event, String> {
    let number = match page.sequence {
        Some(Sequence::Num(number)) => number,
        _ => 0,
    };
    let nothing = Any::default();
    let packed = page.event.as_ref().unwrap_or(&nothing);
    Event::unpack(packed)
        .map_err(|why| format!("page {number}: {:?}: {why}", packed.type_url))?
        .ok_or_else(|| format!("page {number}: not an event of the inventory: {}", type_name(packed)))
}

/// Changes the product by one event. It never refuses what has happened.
pub fn apply(product: &mut Product, event: &Event) {
    match event {
        Event::ProductCreated(e) => {
            product.sku = e.sku.clone();
            product.name = e.name.clone();
            product.on_hand = e.quantity;
        }
        Event::StockAdjusted(e) => product.on_hand = product.on_hand.wrapping_add_signed(e.delta),
        Event::StockReserved(e) => {
            product.reservations.insert(e.order_id.clone(), e.quantity);
        }
        Event::ReservationCommitted(e) => {
            product.on_hand = product.on_hand.wrapping_sub(e.quantity);
            product.reservations.remove(&e.order_id);
        }
        Event::ReservationReleased(e) => {
            product.reservations.remove(&e.order_id);
        }
    }
}

/// What all orders together have set aside.
pub fn reserved(product: &Product) -> i64 {
    product.reservations.values().map(|&quantity| i64::from(quantity)).sum()
}
