//! The one call of the contract: a book and commands in, events out.

use messages::{
    Any, OneOf,
    angzarr::{CommandPage, ContextualCommand, EventBook, EventPage, business_logic_server::BusinessLogic},
    invalid, type_name,
};
use tonic::{Request, Response, Status};

use crate::{
    decide::{Command, decide},
    state::fold,
};

pub struct Logic;

#[tonic::async_trait]
impl BusinessLogic for Logic {
    async fn handle(&self, request: Request<ContextualCommand>) -> Result<Response<EventBook>, Status> {
        handle(request.get_ref()).map(Response::new)
    }
}

/// Answers with the events that the commands lead to, in order, or refuses them
/// all with a status that says why. It makes no snapshots: an order's history is
/// short.
pub fn handle(asked: &ContextualCommand) -> Result<EventBook, Status> {
    let history = asked.events.clone().unwrap_or_default();
    // Not a refusal: a decision on half-understood history would be wrong.
    let mut order = fold(&history).map_err(Status::internal)?;
    let commands = asked.command.clone().unwrap_or_default();
    let mut book = EventBook { cover: commands.cover, ..EventBook::default() };
    for page in &commands.pages {
        for event in decide(&order, &command(page)?)? {
            // The next command of the unit sees what this one led to.
            order.apply(&event);
            book.pages.push(EventPage { event: Some(event.pack()), ..EventPage::default() });
        }
    }
    Ok(book)
}

fn command(page: &CommandPage) -> Result<Command, Status> {
    let nothing = Any::default();
    let packed = page.command.as_ref().unwrap_or(&nothing);
    Command::unpack(packed)
        .map_err(|why| invalid("command", format!("cannot read {:?}: {why}", packed.type_url)))?
        .ok_or_else(|| {
            let want = "want order.PlaceOrder, RecordReservation, ShipOrder or CancelOrder";
            invalid("command", format!("unknown type {}: {want}", type_name(packed)))
        })
}
