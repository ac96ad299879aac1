//! A projector: of each product it publishes how much there is, and how much of
//! that can be had.
//!
//! It keeps nothing: every event of the inventory carries what it has left, so a
//! page leads to the same summary whenever it comes, and however often. What it
//! can't be sure of it doesn't publish.

mod summary;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use messages::{
    DESCRIPTORS,
    angzarr::{
        EventBook, Projection,
        projector_server::{Projector, ProjectorServer, SERVICE_NAME},
    },
};
use serving::Service;
use tonic::{Request, Response, Status, service::Routes};

struct Summaries;

#[tonic::async_trait]
impl Projector for Summaries {
    /// Not implemented: all that this projector does is in the answer.
    async fn handle(&self, _: Request<EventBook>) -> Result<Response<()>, Status> {
        Err(Status::unimplemented("HandleSync has the projection"))
    }

    async fn handle_sync(&self, request: Request<EventBook>) -> Result<Response<Projection>, Status> {
        summary::project(request.get_ref()).map(Response::new)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let service =
        Service { name: SERVICE_NAME, routes: Routes::new(ProjectorServer::new(Summaries)), descriptors: DESCRIPTORS };
    serving::main("inventory-summary", "127.0.0.1:50052", service).await
}
