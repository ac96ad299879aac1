//! Which commands an event of an order or a product leads to. An order is known to
//! the inventory by its root's text form, a product to the order by its own.

use messages::{
    Name,
    angzarr::{CommandBook, CommandPage, Cover, Uuid as Root},
    inventory::{CommitReservation, ReleaseReservation, ReserveStock, StockReserved},
    one_of,
    order::{Line, OrderCancelled, OrderPlaced, OrderRejected, OrderShipped, RecordReservation},
    pack,
};
use uuid::Uuid;

const ORDERS: &str = "order";
const INVENTORY: &str = "inventory";

one_of! {
    /// What there is to react to.
    Event { OrderPlaced, OrderShipped, OrderCancelled, OrderRejected, StockReserved }
}

pub fn react(root: Uuid, number: u32, event: &Event) -> Result<Vec<CommandBook>, String> {
    let id = root.to_string();
    match event {
        Event::OrderPlaced(e) => {
            for_each(&e.lines, |line| ReserveStock { order_id: id.clone(), quantity: line.quantity })
        }
        Event::OrderShipped(e) => for_each(&e.lines, |_| CommitReservation { order_id: id.clone() }),
        Event::OrderCancelled(e) => release(&id, &e.reserved),
        Event::OrderRejected(e) => release(&id, &e.reserved),
        Event::StockReserved(e) => Ok(order(&e.order_id)
            .map(|customer| {
                let news = RecordReservation { product_id: id, quantity: e.quantity, reservation: number };
                command(ORDERS, customer, &news)
            })
            .into_iter()
            .collect()),
    }
}

fn release(id: &str, lines: &[Line]) -> Result<Vec<CommandBook>, String> {
    for_each(lines, |_| ReleaseReservation { order_id: id.to_string() })
}

/// Makes a command for the product of each line.
fn for_each<M: Name>(lines: &[Line], say: impl Fn(&Line) -> M) -> Result<Vec<CommandBook>, String> {
    let books = lines.iter().enumerate().map(|(i, line)| {
        let product = Uuid::parse_str(&line.product_id).map_err(|why| format!("line {i}: product_id: {why}"))?;
        Ok(command(INVENTORY, product, &say(line)))
    });
    books.collect()
}

/// The order that a reservation is for; none, where it was made by hand.
fn order(id: &str) -> Option<Uuid> {
    Uuid::parse_str(id).ok().filter(|order| order.to_string() == id)
}

/// A command for one aggregate. Who sent it, and under which id, its coordinator
/// adds.
fn command(domain: &str, root: Uuid, message: &impl Name) -> CommandBook {
    CommandBook {
        cover: Some(Cover { domain: domain.to_string(), root: Some(Root { value: root.as_bytes().to_vec() }) }),
        pages: vec![CommandPage { command: Some(pack(message)), ..CommandPage::default() }],
        ..CommandBook::default()
    }
}
