//! Business logic of the inventory: products, their stock, and what orders have
//! set aside of it.
//!
//! The same book and the same commands always lead to the same events; nothing
//! is kept between calls. The commands of one book are one unit: all are
//! accepted, or none. On hand never falls below what is reserved, and an event
//! says what it has left.

mod compensate;
mod decide;
mod logic;
mod product;
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
    serving::main("inventory", "127.0.0.1:50051", service).await
}
