//! The answer to the news that a command which an event of this product led to
//! was rejected.

use messages::{
    Name, angzarr::RejectionNotification, invalid, inventory::Product, order::RecordReservation, type_name,
};
use tonic::Status;
use uuid::Uuid;

use crate::decide::{Decision, give_back};

/// An order that refuses its reservation, because it was cancelled meanwhile,
/// gives it back. All else nobody here can make good; a refusal makes it a dead
/// letter, for people to look at.
pub fn compensate(product: &Product, rejection: &RejectionNotification) -> Decision {
    let command = rejection.command.clone().unwrap_or_default();
    // The saga puts one command in a book.
    let rejected = command.pages.first().and_then(|page| page.command.as_ref());
    let name = rejected.map(type_name).unwrap_or_default();
    if name != RecordReservation::full_name() {
        let why = format!("nothing makes good a rejected {name:?}: {}", rejection.message);
        return Err(Status::failed_precondition(why));
    }
    let root = command.cover.and_then(|cover| cover.root).unwrap_or_default();
    let order = Uuid::from_slice(&root.value).map_err(|why| invalid("command.cover.root", why))?;
    give_back(product, &order.to_string())
}
