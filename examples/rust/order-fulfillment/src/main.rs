//! A saga that has orders get their stock, and tells them when they have.
//!
//! ```text
//! order                           saga                       inventory
//! OrderPlaced ──────────────────► for each line ───────────► ReserveStock
//! RecordReservation ◄──────────── ──────────────◄─────────── StockReserved
//! OrderShipped ─────────────────► for each line ───────────► CommitReservation
//! OrderCancelled, OrderRejected ► for each reserved line ──► ReleaseReservation
//! ```
//!
//! It keeps nothing, and asks nobody: what a command needs is in the event. It
//! needs to know of no refusal: a refused command comes back to the aggregate
//! whose event led to it.

mod react;
mod saga;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use messages::{
    DESCRIPTORS,
    angzarr::saga_server::{SERVICE_NAME, SagaServer},
};
use serving::Service;
use tonic::service::Routes;

use crate::saga::Fulfillment;

#[tokio::main]
async fn main() -> ExitCode {
    let service =
        Service { name: SERVICE_NAME, routes: Routes::new(SagaServer::new(Fulfillment)), descriptors: DESCRIPTORS };
    serving::main("order-fulfillment", "127.0.0.1:50053", service).await
}
