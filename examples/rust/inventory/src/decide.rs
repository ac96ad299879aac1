//! State + command → event or refusal; the rules are all here.

use messages::{
    angzarr::RejectionNotification,
    invalid,
    inventory::{
        AdjustStock, CommitReservation, CreateProduct, Product, ProductCreated, ReleaseReservation,
        ReservationCommitted, ReservationReleased, ReserveStock, Stock, StockAdjusted, StockReserved,
    },
    one_of,
};
use tonic::Status;

use crate::{
    compensate::compensate,
    product::{Event, reserved},
};

one_of! {
    /// What a product can be asked. The last is the news that a command which one
    /// of its events led to was rejected.
    Command { CreateProduct, AdjustStock, ReserveStock, CommitReservation, ReleaseReservation, RejectionNotification }
}

/// An event; nothing, where a command has been done already; or a refusal, which
/// the caller gets as it is.
pub type Decision = Result<Option<Event>, Status>;

pub fn decide(product: &Product, command: &Command) -> Decision {
    match command {
        Command::CreateProduct(c) => create(product, c),
        Command::AdjustStock(c) => adjust(product, c),
        Command::ReserveStock(c) => reserve(product, c),
        Command::CommitReservation(c) => commit(product, c),
        Command::ReleaseReservation(c) => release(product, c),
        Command::RejectionNotification(c) => compensate(product, c),
    }
}

fn create(product: &Product, c: &CreateProduct) -> Decision {
    if c.sku.is_empty() {
        return Err(invalid("sku", "must not be empty"));
    }
    if exists(product) {
        return Err(Status::already_exists(format!("product {:?} is there already", product.sku)));
    }
    decided(ProductCreated { sku: c.sku.clone(), name: c.name.clone(), quantity: c.quantity })
}

fn adjust(product: &Product, c: &AdjustStock) -> Decision {
    if c.delta == 0 {
        return Err(invalid("delta", "must not be zero"));
    }
    must_exist(product)?;
    let delta = i64::from(c.delta);
    must_have(product, -delta)?;
    if i64::from(product.on_hand) + delta > i64::from(u32::MAX) {
        return Err(Status::out_of_range(format!(
            "{delta} more of {:?} are too many: {} on hand, at most {} can be",
            product.sku,
            product.on_hand,
            u32::MAX
        )));
    }
    decided(StockAdjusted { delta: c.delta, reason: c.reason.clone(), stock: after(product, delta, 0) })
}

fn reserve(product: &Product, c: &ReserveStock) -> Decision {
    must_name_order(&c.order_id)?;
    if c.quantity == 0 {
        return Err(invalid("quantity", "must not be zero"));
    }
    must_exist(product)?;
    match product.reservations.get(&c.order_id) {
        Some(&has) if has == c.quantity => return Ok(None),
        Some(has) => {
            let why = format!("order {:?} has reserved {has} of {:?} already", c.order_id, product.sku);
            return Err(Status::already_exists(why));
        }
        None => {}
    }
    let quantity = i64::from(c.quantity);
    must_have(product, quantity)?;
    decided(StockReserved { order_id: c.order_id.clone(), quantity: c.quantity, stock: after(product, 0, quantity) })
}

fn commit(product: &Product, c: &CommitReservation) -> Decision {
    must_name_order(&c.order_id)?;
    must_exist(product)?;
    let Some(&quantity) = product.reservations.get(&c.order_id) else {
        let why = format!("order {:?} has reserved nothing of {:?}", c.order_id, product.sku);
        return Err(Status::failed_precondition(why));
    };
    let gone = -i64::from(quantity);
    decided(ReservationCommitted { order_id: c.order_id.clone(), quantity, stock: after(product, gone, gone) })
}

fn release(product: &Product, c: &ReleaseReservation) -> Decision {
    must_name_order(&c.order_id)?;
    must_exist(product)?;
    give_back(product, &c.order_id)
}

/// Releases all that an order has; that it has nothing is no reason to refuse,
/// since it is what was asked for.
pub fn give_back(product: &Product, order: &str) -> Decision {
    let Some(&quantity) = product.reservations.get(order) else {
        return Ok(None);
    };
    let stock = after(product, 0, -i64::from(quantity));
    decided(ReservationReleased { order_id: order.to_string(), quantity, stock })
}

fn decided(event: impl Into<Event>) -> Decision {
    Ok(Some(event.into()))
}

/// What an event leaves that changes the stock by so much.
fn after(product: &Product, on_hand: i64, reserves: i64) -> Option<Stock> {
    Some(Stock {
        sku: product.sku.clone(),
        on_hand: (i64::from(product.on_hand) + on_hand) as u32,
        reserved: (reserved(product) + reserves) as u32,
    })
}

/// Holds from a product's first event on: none is created without a sku.
fn exists(product: &Product) -> bool {
    !product.sku.is_empty()
}

fn must_exist(product: &Product) -> Result<(), Status> {
    if exists(product) {
        return Ok(());
    }
    Err(Status::not_found("no such product: create it first"))
}

fn must_have(product: &Product, asked: i64) -> Result<(), Status> {
    let (on_hand, reserved) = (i64::from(product.on_hand), reserved(product));
    let available = on_hand - reserved;
    if asked <= available {
        return Ok(());
    }
    Err(Status::failed_precondition(format!(
        "stock of {:?} is short: {available} available ({on_hand} on hand, {reserved} reserved), {asked} asked for",
        product.sku
    )))
}

fn must_name_order(order: &str) -> Result<(), Status> {
    if order.is_empty() {
        return Err(invalid("order_id", "must not be empty"));
    }
    Ok(())
}
