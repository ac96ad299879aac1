use std::fmt::Debug;

use prost::{DecodeError, Name};
use prost_types::Any;

/// One of several messages, as an [`Any`] holds it: the events of a domain, say.
/// [`one_of!`](crate::one_of) makes such enums.
pub trait OneOf: Debug + PartialEq + Sized {
    /// Reads it; nothing, if the message is none of these.
    fn unpack(any: &Any) -> Result<Option<Self>, DecodeError>;
    fn pack(&self) -> Any;
}

/// Makes an enum of messages that are in scope.
#[macro_export]
macro_rules! one_of {
    ($(#[$about:meta])* $name:ident { $($message:ident),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name { $($message($message)),+ }

        impl $crate::OneOf for $name {
            fn unpack(any: &$crate::Any) -> Result<Option<Self>, $crate::DecodeError> {
                let name = $crate::type_name(any);
                $(if name == <$message as $crate::Name>::full_name() {
                    return Ok(Some(Self::$message(any.to_msg()?)));
                })+
                Ok(None)
            }

            fn pack(&self) -> $crate::Any {
                match self { $(Self::$message(message) => $crate::pack(message)),+ }
            }
        }

        $(impl From<$message> for $name {
            fn from(message: $message) -> Self { Self::$message(message) }
        })+
    };
}

/// The full name of the message's type; empty, where it says none.
pub fn type_name(any: &Any) -> &str {
    any.type_url.rsplit('/').next().unwrap_or_default()
}

pub fn pack<M: Name>(message: &M) -> Any {
    Any::from_msg(message).expect("a buffer that grows is never too small")
}
