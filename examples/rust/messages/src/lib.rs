//! The messages of the contract and of the examples, generated from their
//! protos by the build, and how they are put into an [`Any`] and read from it.

mod one_of;
mod refusal;

pub use one_of::{OneOf, pack, type_name};
pub use prost::{DecodeError, Name};
pub use prost_types::Any;
pub use refusal::invalid;

pub mod angzarr {
    tonic::include_proto!("angzarr");
}

pub mod inventory {
    tonic::include_proto!("inventory");
}

pub mod inventorysummary {
    tonic::include_proto!("inventorysummary");
}

pub mod order {
    tonic::include_proto!("order");
}

/// All of them, with what they import, as reflection tells them.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
