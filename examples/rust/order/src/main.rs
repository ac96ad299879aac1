//! Business logic of orders, which works with another domain's through a saga: an
//! order is confirmed when the inventory has reserved all of its lines, and
//! rejected when it can't.
//!
//! An order is shipped, cancelled or rejected, once, and then takes no
//! reservation any more. The event that ends it names the lines that are
//! reserved; a reservation that comes later is refused, which sends it back to
//! the product. What a saga sends may come again: it does no more than the first
//! time.

mod compensate;
mod decide;
mod logic;
mod state;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use messages::{
    DESCRIPTORS,
    angzarr::business_logic_server::{BusinessLogicServer, SERVICE_NAME},
};
use serving::Service;
use tonic::service::Routes;

use crate::logic::Logic;

#[tokio::main]
async fn main() -> ExitCode {
    let service =
        Service { name: SERVICE_NAME, routes: Routes::new(BusinessLogicServer::new(Logic)), descriptors: DESCRIPTORS };
    serving::main("order", "127.0.0.1:50054", service).await
}
