//! Where an order stands, and which of its lines are reserved, made of its
//! history.

use std::fmt::{self, Display, Formatter};

use messages::{
    Any, OneOf,
    angzarr::{EventBook, EventPage, event_page::Sequence},
    one_of,
    order::{LineReserved, OrderCancelled, OrderConfirmed, OrderPlaced, OrderRejected, OrderShipped},
    type_name,
};

one_of! {
    /// What happens to an order.
    Event { OrderPlaced, LineReserved, OrderConfirmed, OrderShipped, OrderCancelled, OrderRejected }
}

/// An order as its events made it.
#[derive(Default)]
pub struct Order {
    pub state: State,
    /// Why it was cancelled or rejected.
    pub why: String,
    pub lines: Vec<Line>,
}

/// So much of a product.
pub struct Line {
    pub product: String,
    pub quantity: u32,
    /// The number of the product's event that set it aside.
    pub reservation: Option<u32>,
}

/// Refusals say it.
#[derive(Clone, Copy, Default, PartialEq)]
pub enum State {
    #[default]
    Unknown,
    Placed,
    Confirmed,
    Shipped,
    Cancelled,
    Rejected,
}

impl Display for State {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Unknown => "not placed",
            State::Placed => "placed",
            State::Confirmed => "confirmed",
            State::Shipped => "shipped",
            State::Cancelled => "cancelled",
            State::Rejected => "rejected",
        })
    }
}

/// Makes the state of an order out of its history. An order without history is
/// not placed yet.
pub fn fold(book: &EventBook) -> Result<Order, String> {
    let mut order = Order::default();
    for page in &book.pages {
        order.apply(&event(page)?);
    }
    Ok(order)
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
        .ok_or_else(|| format!("page {number}: not an event of an order: {}", type_name(packed)))
}

impl Order {
    /// Changes the order by one event. It never refuses what has happened.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::OrderPlaced(e) => {
                self.state = State::Placed;
                self.lines.extend(e.lines.iter().map(|line| Line {
                    product: line.product_id.clone(),
                    quantity: line.quantity,
                    reservation: None,
                }));
            }
            Event::LineReserved(e) => {
                if let Some(line) = self.lines.iter_mut().find(|line| line.product == e.product_id) {
                    line.reservation = Some(e.reservation);
                }
            }
            Event::OrderConfirmed(_) => self.state = State::Confirmed,
            Event::OrderShipped(_) => self.state = State::Shipped,
            Event::OrderCancelled(e) => {
                self.state = State::Cancelled;
                self.why = e.reason.clone();
            }
            Event::OrderRejected(e) => {
                self.state = State::Rejected;
                self.why = e.reason.clone();
            }
        }
    }

    pub fn line(&self, product: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.product == product)
    }

    /// The lines that are set aside, as an event tells them.
    pub fn reserved(&self) -> Vec<messages::order::Line> {
        self.lines
            .iter()
            .filter(|line| line.reservation.is_some())
            .map(|line| messages::order::Line { product_id: line.product.clone(), quantity: line.quantity })
            .collect()
    }

    /// How many lines are not reserved yet.
    pub fn open(&self) -> usize {
        self.lines.iter().filter(|line| line.reservation.is_none()).count()
    }
}
