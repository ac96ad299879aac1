//! State + command → events or refusal; the rules are all here.

use std::collections::HashMap;

use messages::{
    angzarr::RejectionNotification,
    invalid, one_of,
    order::{
        CancelOrder, Line, LineReserved, OrderCancelled, OrderConfirmed, OrderPlaced, OrderShipped, PlaceOrder,
        RecordReservation, ShipOrder,
    },
};
use tonic::Status;
use uuid::Uuid;

use crate::{
    compensate::compensate,
    state::{Event, Order, State},
};

/// Keeps an order's history short, and what the saga makes of it.
pub const MOST_LINES: usize = 100;

one_of! {
    /// What an order can be asked. The last is the news that a command which one
    /// of its events led to was rejected.
    Command { PlaceOrder, RecordReservation, ShipOrder, CancelOrder, RejectionNotification }
}

/// Events, none where a command has been done already; or a refusal, which the
/// caller gets as it is.
pub type Decision = Result<Vec<Event>, Status>;

pub fn decide(order: &Order, command: &Command) -> Decision {
    match command {
        Command::PlaceOrder(c) => place(order, c),
        _ if order.state == State::Unknown => Err(Status::not_found("no such order: place it first")),
        Command::RecordReservation(c) => record(order, c),
        Command::ShipOrder(_) => ship(order),
        Command::CancelOrder(c) => cancel(order, c),
        Command::RejectionNotification(c) => compensate(order, c),
    }
}

fn place(order: &Order, c: &PlaceOrder) -> Decision {
    if order.state != State::Unknown {
        return Err(Status::already_exists(format!("the order is {} already", order.state)));
    }
    if c.lines.is_empty() || c.lines.len() > MOST_LINES {
        return Err(invalid("lines", format!("want 1 to {MOST_LINES}, not {}", c.lines.len())));
    }
    let (mut lines, mut first) = (Vec::new(), HashMap::new());
    for (i, line) in c.lines.iter().enumerate() {
        let product = Uuid::parse_str(&line.product_id)
            .map_err(|why| invalid(format!("lines[{i}].product_id"), format!("want a product's UUID: {why}")))?;
        if let Some(before) = first.insert(product, i) {
            let why = format!("is that of lines[{before}] too: want one line a product");
            return Err(invalid(format!("lines[{i}].product_id"), why));
        }
        if line.quantity == 0 {
            return Err(invalid(format!("lines[{i}].quantity"), "must not be zero"));
        }
        lines.push(Line { product_id: product.to_string(), quantity: line.quantity });
    }
    Ok(vec![OrderPlaced { lines }.into()])
}

/// Refuses what the order doesn't want, so that the product gets it back.
fn record(order: &Order, c: &RecordReservation) -> Decision {
    let line = order.line(&c.product_id);
    if order.state == State::Shipped && line.is_some_and(|line| line.reservation == Some(c.reservation)) {
        return Ok(vec![]); // it is what was shipped, and not to be given back
    }
    if !matches!(order.state, State::Placed | State::Confirmed) {
        let why = format!("the order is {}: it wants no stock any more", order.state);
        return Err(Status::failed_precondition(why));
    }
    let Some(line) = line else {
        let why = format!("the order has no line of product {:?}", c.product_id);
        return Err(Status::failed_precondition(why));
    };
    if c.quantity != line.quantity {
        let why = format!("the order wants {} of product {}, not {}", line.quantity, line.product, c.quantity);
        return Err(Status::failed_precondition(why));
    }
    if line.reservation.is_some() {
        return Ok(vec![]);
    }
    let mut events: Vec<Event> = vec![
        LineReserved { product_id: line.product.clone(), quantity: line.quantity, reservation: c.reservation }.into(),
    ];
    if order.open() == 1 {
        events.push(OrderConfirmed {}.into());
    }
    Ok(events)
}

fn ship(order: &Order) -> Decision {
    match order.state {
        State::Confirmed => Ok(vec![OrderShipped { lines: order.reserved() }.into()]),
        State::Placed => Err(Status::failed_precondition(format!(
            "the order is not confirmed: {} of {} lines are not reserved",
            order.open(),
            order.lines.len()
        ))),
        _ => Err(ended(order)),
    }
}

fn cancel(order: &Order, c: &CancelOrder) -> Decision {
    match order.state {
        State::Placed | State::Confirmed => {
            Ok(vec![OrderCancelled { reason: c.reason.clone(), reserved: order.reserved() }.into()])
        }
        _ => Err(ended(order)),
    }
}

/// Refuses what comes too late.
fn ended(order: &Order) -> Status {
    Status::failed_precondition(match order.why.as_str() {
        "" => format!("the order is {}", order.state),
        why => format!("the order is {}: {why}", order.state),
    })
}
