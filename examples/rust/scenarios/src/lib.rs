//! Stories about one aggregate, for tests: given what has happened, when commands
//! come in one book, then these events follow, or it is refused.

use std::{fmt::Debug, marker::PhantomData};

use messages::{
    Any, OneOf,
    angzarr::{
        CommandBook, CommandPage, ContextualCommand, Cover, EventBook, EventPage, Snapshot, Uuid, event_page::Sequence,
    },
};
use tonic::{Code, Status};

/// Events or commands, each of a type of its own.
#[macro_export]
macro_rules! pages {
    ($($message:expr),* $(,)?) => { vec![$($message.into()),*] };
}

pub type Logic = fn(&ContextualCommand) -> Result<EventBook, Status>;

/// The aggregate that stories are about.
pub fn cover() -> Cover {
    Cover { domain: "any".to_string(), root: Some(Uuid { value: b"0123456789abcdef".to_vec() }) }
}

/// A book of events, numbered after those that a snapshot stands for.
pub fn book(events: &[impl OneOf]) -> EventBook {
    let pages = (1..).zip(events).map(|(number, event)| EventPage {
        sequence: Some(Sequence::Num(number)),
        event: Some(event.pack()),
        ..EventPage::default()
    });
    EventBook { cover: Some(cover()), pages: pages.collect(), ..EventBook::default() }
}

/// What has happened to the aggregate.
pub struct Given {
    logic: Logic,
    book: EventBook,
}

pub fn given(logic: Logic, events: &[impl OneOf]) -> Given {
    Given { logic, book: book(events) }
}

impl Given {
    /// The state that the pages before the given ones have led to.
    pub fn after(mut self, state: Any) -> Self {
        self.book.snapshot = Some(Snapshot { sequence: 40, state: Some(state) });
        self
    }

    pub fn when<C: OneOf, E: OneOf>(self, commands: Vec<C>) -> Outcome<E> {
        self.asked(commands.iter().map(|command| Some(command.pack())).collect())
    }

    /// What an aggregate is asked that has no type for it.
    pub fn asked<E: OneOf>(self, commands: Vec<Option<Any>>) -> Outcome<E> {
        let pages = commands.into_iter().map(|command| CommandPage { command, ..CommandPage::default() });
        let asked = CommandBook { cover: Some(cover()), pages: pages.collect(), ..CommandBook::default() };
        let contextual = ContextualCommand { events: Some(self.book), command: Some(asked) };
        Outcome { answer: (self.logic)(&contextual), events: PhantomData }
    }
}

/// What the commands led to.
pub struct Outcome<E> {
    answer: Result<EventBook, Status>,
    events: PhantomData<E>,
}

impl<E: Debug + OneOf> Outcome<E> {
    #[track_caller]
    pub fn then(self, want: Vec<E>) {
        let answer = self.accepted();
        assert_eq!(answer.cover, Some(cover()));
        assert!(answer.pages.iter().all(|page| page.sequence.is_none()), "numbers are the coordinator's");
        let got: Vec<E> = answer.pages.iter().map(unpacked).collect();
        assert_eq!(got, want);
    }

    #[track_caller]
    pub fn refused(self, code: Code, because: &str) -> Status {
        let refusal = self.answer.expect_err("it was accepted");
        assert_eq!(refusal.code(), code, "{refusal}");
        assert!(refusal.message().contains(because), "{:?} does not say {because:?}", refusal.message());
        refusal
    }

    #[track_caller]
    pub fn accepted(self) -> EventBook {
        self.answer.expect("it was refused")
    }
}

#[track_caller]
fn unpacked<E: OneOf>(page: &EventPage) -> E {
    let event = page.event.as_ref().expect("a page without an event");
    E::unpack(event).expect("an event that cannot be read").expect("an event of another domain")
}
