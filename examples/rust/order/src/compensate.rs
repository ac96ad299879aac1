//! The answer to the news that a command which an event of this order led to was
//! rejected.

use messages::{
    Name, angzarr::RejectionNotification, invalid, inventory::ReserveStock, order::OrderRejected, type_name,
};
use tonic::Status;
use uuid::Uuid;

use crate::{
    decide::Decision,
    state::{Order, State},
};

/// Without one of its lines an order is rejected as a whole, and names the lines
/// that are reserved, for the saga to release. All else nobody here can make
/// good; a refusal makes it a dead letter, for people to look at.
pub fn compensate(order: &Order, rejection: &RejectionNotification) -> Decision {
    let command = rejection.command.clone().unwrap_or_default();
    // The saga puts one command in a book.
    let rejected = command.pages.first().and_then(|page| page.command.as_ref());
    let name = rejected.map(type_name).unwrap_or_default();
    if name != ReserveStock::full_name() {
        let why = format!("nothing makes good a rejected {name:?}: {}", rejection.message);
        return Err(Status::failed_precondition(why));
    }
    let root = command.cover.and_then(|cover| cover.root).unwrap_or_default();
    let product = Uuid::from_slice(&root.value).map_err(|why| invalid("command.cover.root", why))?;
    let Some(line) = order.line(&product.to_string()) else {
        return Err(Status::failed_precondition(format!("the order has no line of product {product}")));
    };
    if order.state != State::Placed || line.reservation.is_some() {
        // The order is rejected or cancelled without it; or the line has what it
        // needs, and this was the same command once more.
        return Ok(vec![]);
    }
    let event = OrderRejected {
        reason: rejection.message.clone(),
        product_id: line.product.clone(),
        reserved: order.reserved(),
    };
    Ok(vec![event.into()])
}
