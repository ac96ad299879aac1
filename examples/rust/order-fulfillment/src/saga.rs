//! The one call of the contract: events in, commands out.

use messages::{
    Any, OneOf,
    angzarr::{EventBook, SynchronousProcessingResponse, event_page::Sequence, saga_server::Saga},
    invalid,
};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::react::{Event, react};

pub struct Fulfillment;

#[tonic::async_trait]
impl Saga for Fulfillment {
    /// Not implemented: this saga leaves the sending to its coordinator.
    async fn handle(&self, _: Request<EventBook>) -> Result<Response<()>, Status> {
        Err(Status::unimplemented("HandleSync has the commands"))
    }

    async fn handle_sync(
        &self,
        request: Request<EventBook>,
    ) -> Result<Response<SynchronousProcessingResponse>, Status> {
        handle_sync(request.get_ref()).map(Response::new)
    }
}

/// Answers with the commands that the book's events lead to. Events of types that
/// it doesn't know lead to none.
pub fn handle_sync(book: &EventBook) -> Result<SynchronousProcessingResponse, Status> {
    let root = book.cover.clone().and_then(|cover| cover.root).unwrap_or_default();
    let root = Uuid::from_slice(&root.value).map_err(|why| invalid("cover.root", why))?;
    let mut answer = SynchronousProcessingResponse::default();
    for page in &book.pages {
        let number = match page.sequence {
            Some(Sequence::Num(number)) => number,
            _ => 0,
        };
        let wrong = |why: String| Status::invalid_argument(format!("page {number}: {why}"));
        let packed: &Any = page.event.as_ref().ok_or_else(|| wrong("no event".to_string()))?;
        let event = Event::unpack(packed).map_err(|why| wrong(format!("{:?}: {why}", packed.type_url)))?;
        if let Some(event) = event {
            answer.commands.extend(react(root, number, &event).map_err(wrong)?);
        }
    }
    Ok(answer)
}
